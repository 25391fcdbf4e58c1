"""Writing masks: versions of labelled segmentations bound to a case."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from synthesis.imaging.colours import label_color
from webapp.accounts.models import User
from webapp.cases.files import case_folder, keep_file, scratch_folder
from webapp.cases.models import Case, Mask, MaskOrigin
from webapp.cases.selectors import mask_array, mask_list_for_case
from webapp.core.errors import ApplicationError, Conflict
from webapp.core.services import audit_record

Values = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def mask_save(
    *,
    user: User | None,
    case: Case,
    name: str,
    array: Values,
    labels: Sequence[Mapping[str, Any]],
    origin: str,
    expected_version: int | None = None,
) -> Mask:
    """Save a mask as the next version under its name.

    Args:
        array: [slices, rows, columns] of label values in the case's stack order, 0 for none.
        labels: {"value", "name", "color"} for every value that occurs.
        expected_version: the version that the person started from (0: none yet); where somebody
            saved meanwhile, nothing is stored.

    Raises:
        ApplicationError: when the shape is not the case's, or a value has no label.
        Conflict: when `expected_version` is no longer the current one.
    """
    name = " ".join(name.split())
    if not name or len(name) > 120:
        raise ApplicationError(_("A mask needs a name of at most 120 characters."), field="name")
    if origin not in MaskOrigin.values:
        raise ValueError(f"origin: expected one of {MaskOrigin.values}, got {origin!r}.")
    data = _mask_values(case, array)
    described = mask_labels(labels, present=set().union(*(np.unique(plane).tolist() for plane in data)))
    digest = mask_sha256(data)
    with transaction.atomic():
        current = case.masks.select_for_update().filter(name=name).order_by("-version").first()
        version = current.version if current else 0
        if expected_version is not None and expected_version != version:
            raise Conflict(
                _("Somebody saved version {version} of this mask meanwhile; yours was not stored.").format(
                    version=version
                ),
                code="mask_version",
            )
        if current and current.content_sha256 == digest and current.labels == described:
            return current
        mask = Mask(
            case=case,
            name=name,
            origin=origin,
            labels=described,
            shape=list(data.shape),
            content_sha256=digest,
            version=version + 1,
            created_by=user,
        )
        mask.file = _mask_file(mask, data)
        try:
            with transaction.atomic():
                mask.save(force_insert=True)
        except IntegrityError as error:
            raise Conflict(_("Somebody saved this mask at the same moment; yours was not stored.")) from error
        if current:
            Mask.objects.filter(pk=current.pk).update(replaced_by=mask)
        audit_record(
            actor=user, action="mask.saved", obj=mask, detail={"case": str(case.pk), "version": mask.version}
        )
    return mask


def mask_sha256(array: Values) -> str:
    """SHA-256 over shape and values (little endian), the identity of a mask's content."""
    digest = hashlib.sha256(" ".join(map(str, array.shape)).encode())
    for plane in array:
        digest.update(np.ascontiguousarray(plane, dtype="<u2").data)
    return digest.hexdigest()


def _mask_values(case: Case, array: npt.NDArray[Any]) -> Values:
    expected = (case.slice_count, case.rows, case.columns)
    if array.shape != expected:
        raise ApplicationError(
            _("The mask has the size {got}, the case {expected} (slices x rows x columns).").format(
                got=" x ".join(map(str, array.shape)), expected=" x ".join(map(str, expected))
            ),
            field="array",
            code="mask_shape",
        )
    if array.dtype != np.uint16:
        if array.dtype.kind not in "uib" or (array.size and (array.min() < 0 or array.max() > 65_535)):
            raise ApplicationError(_("A mask's values are whole numbers from 0 to 65535."), field="array")
        return array if array.dtype == np.uint8 else array.astype(np.uint16)
    return array


def mask_labels(
    labels: Sequence[Mapping[str, Any]], *, present: Iterable[int] | None = None
) -> list[dict[str, Any]]:
    """The labels in their stored form, sorted by value; those without a colour get one of their own.

    Raises:
        ApplicationError: for a malformed or repeated label, or a present value without one.
    """
    result: dict[int, dict[str, Any]] = {}
    for label in labels:
        try:
            value, name = int(label["value"]), str(label["name"]).strip()[:80]
        except (KeyError, TypeError, ValueError) as error:
            raise ApplicationError(_("Each label needs a value and a name."), field="labels") from error
        color = str(label.get("color") or "").lower()
        is_color = not color or re.fullmatch("#[0-9a-f]{6}", color)
        if not (0 <= value <= 65_535) or not name or not is_color or value in result:
            raise ApplicationError(
                _("The label {value} is not valid: values are unique, 0 to 65535, colours #rrggbb.").format(
                    value=value
                ),
                field="labels",
            )
        result[value] = {"value": value, "name": name, "color": color}
    missing = sorted({int(v) for v in (() if present is None else present)} - set(result) - {0})
    if missing:
        raise ApplicationError(
            _("The mask has the values {values}, which no label names.").format(
                values=", ".join(map(str, missing[:10]))
            ),
            field="labels",
        )
    taken = {label["color"] for label in result.values()}
    for value in sorted(result):
        if not result[value]["color"]:
            result[value]["color"] = label_color(value, taken)
            taken.add(result[value]["color"])
    return [result[value] for value in sorted(result)]


def _mask_file(mask: Mask, data: Values) -> str:
    with scratch_folder() as folder:
        path = folder / "mask.z"
        machine = zlib.compressobj(6)
        with path.open("wb") as out:
            for plane in data:
                out.write(machine.compress(np.ascontiguousarray(plane, dtype="<u2").tobytes()))
            out.write(machine.flush())
        return keep_file(path, f"{case_folder(mask.case_id)}/masks/{mask.pk}.z")


@transaction.atomic
def mask_delete(*, user: User, mask: Mask) -> None:
    """Delete a mask with all its versions."""
    versions = list(Mask.objects.filter(case=mask.case, name=mask.name))
    audit_record(actor=user, action="mask.deleted", obj=mask, detail={"versions": len(versions)})
    names = [version.file for version in versions]
    Mask.objects.filter(pk__in=[version.pk for version in versions]).delete()

    def forget() -> None:
        for name in names:
            default_storage.delete(name)

    transaction.on_commit(forget)


def case_masks_relay(*, case: Case, places: Sequence[int | None]) -> None:
    """After slices were added to a case, write its masks again with empty planes for the new ones.

    `places` has for each slice of the new stack its index in the old one, or None.
    """
    for mask in list(mask_list_for_case(case=case)):
        old = mask_array(mask)
        new = np.zeros((case.slice_count, case.rows, case.columns), np.uint16)
        for index, place in enumerate(places):
            if place is not None:
                new[index] = old[place]
        mask_save(
            user=mask.created_by, case=case, name=mask.name, array=new, labels=mask.labels, origin=mask.origin
        )
