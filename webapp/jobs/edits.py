"""Asking for counterfactuals: the same image with one thing changed, kept with the image it starts from."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from django.db import transaction
from django.utils.translation import gettext as _

from synthesis import edit_regions
from synthesis.edit_request import CounterfactualRequest, EditOptions, Mask
from synthesis.imaging.storage import Stored, from_stored
from synthesis.request import Condition
from webapp.core.errors import ApplicationError
from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.jobs.edit_preparation import PARAMETERS, PreparedEdit, edit_prepare
from webapp.jobs.memory import refuse_too_large
from webapp.jobs.models import Edit, EditStrip, SynthesisRequest
from webapp.jobs.requests import (
    check_asker,
    check_count,
    check_offered,
    labels_of,
    labels_packed,
    refuse_problems,
    refuse_without_source,
    seed_of,
)
from webapp.jobs.series_preparation import series_prepare
from webapp.jobs.submission import job_submit

COUNT_LIMIT = 8


def edit_submit(
    *,
    user: Any,
    model: Any,
    case: Any,
    mask: Any,
    parameters: Mapping[str, Any],
    adapter: Any = None,
    mask_after: Any = None,
    slice_index: int | None = None,
    slices: tuple[int, int] | None = None,
    count: int = 1,
    seed: int | None = None,
    note: str = "",
    strip: EditStrip | None = None,
) -> SynthesisRequest:
    """Ask for one slice of a case with something changed; the job is `request.jobs.get()`.

    `parameters` are those of `edit_prepare`; `mask_after`, a mask of the same case, adds or takes away a
    lesion, or marks the place where the change is to act. `adapter` is one of the model's. `slices`, the
    first and the last from 0, asks for all of them as one series (webapp/jobs/series_preparation.py).
    `count` images differ by their seeds, a missing seed
    is drawn. Raises ApplicationError in plain words for whatever cannot be done, NotAllowed for people who
    may not ask for synthesis.
    """
    check_asker(user)
    require(user, "request", case)
    check_offered(model, adapter)
    check_count(count, COUNT_LIMIT)
    seed = seed_of(seed)
    prepared = change_prepare(
        model=model,
        adapter=adapter,
        case=case,
        mask=mask,
        parameters=parameters,
        mask_after=mask_after,
        slice_index=slice_index,
        slices=slices,
        count=count,
        seed=seed,
    )
    refuse_problems(prepared.problems)
    refuse_too_large(model, prepared.options.method, count)
    kept = {
        "model": model,
        "adapter": adapter,
        "mask": mask,
        "count": count,
        "seed": seed,
        "note": note[:500],
    }
    return _store(user=user, case=case, prepared=prepared, strip=strip, **kept)


def _store(
    *, user: Any, case: Any, prepared: PreparedEdit, strip: EditStrip | None, **fields: Any
) -> SynthesisRequest:
    with transaction.atomic():
        item = SynthesisRequest.objects.create(
            owner=user,
            parameters=prepared.parameters,
            labels=labels_packed(prepared.labels),
            grid=prepared.grid,
            prepared=prepared.notes,
            slice_index=prepared.notes["slice_index"],
            case=case,
            **fields,
        )
        Edit.objects.create(
            request=item,
            source=case,
            image=pixels_packed(prepared.image),
            labels_after=labels_packed(prepared.labels_after) if prepared.labels_after is not None else b"",
            strip=strip,
        )
        job = job_submit(
            kind="counterfactual",
            owner=user,
            payload={"request_id": str(item.pk)},
            subject_type="jobs.SynthesisRequest",
            subject_id=item.pk,
            request=item,
        )
        audit_record(
            actor=user,
            action="counterfactual.requested",
            obj=item,
            detail={
                "model": str(item.model),
                **({"adapter": str(item.adapter)} if item.adapter is not None else {}),
                "case": str(item.case_id),
                "method": prepared.options.method,
                "count": item.count,
                "job": str(job.pk),
            },
        )
    return item


def edit_again(*, user: Any, request: SynthesisRequest, seed: int | None = None) -> SynthesisRequest:
    """Hand the same change in once more; raises ApplicationError where its source or mask is gone."""
    require(user, "request", request)
    refuse_without_source(request)
    return edit_submit(
        user=user,
        model=request.model,
        adapter=request.adapter,
        case=request.case,
        mask=request.mask,
        parameters=wished(request),
        mask_after=mask_after_of(request),
        slice_index=request.slice_index,
        slices=slices_of(request),
        count=request.count,
        seed=seed,
        note=request.note,
    )


def change_prepare(*, slices: tuple[int, int] | None = None, **wish: Any) -> PreparedEdit:
    """The wish of one slice, or of several, as `edit_prepare` and `series_prepare` take it."""
    return edit_prepare(**wish) if slices is None else series_prepare(slices=slices, **wish)


def slices_of(request: SynthesisRequest) -> tuple[int, int] | None:
    """The first and the last slice of a series, from 0; None where one slice is changed."""
    found = request.parameters.get("slices")
    return (int(found["first"]), int(found["last"])) if found else None


def wished(request: SynthesisRequest) -> dict[str, Any]:
    """The parameters that the request was handed in with."""
    return {key: value for key, value in request.parameters.items() if key in PARAMETERS}


def mask_after_of(request: SynthesisRequest) -> Any:
    """The other mask that was chosen, None where the mask stayed; ApplicationError where it is gone."""
    wanted = request.prepared.get("mask_after")
    if not wanted or request.case is None:
        return None
    found = request.case.masks.filter(pk=wanted).first()
    if found is None:
        raise ApplicationError(
            _("The other mask was deleted, so this cannot be made again. Nothing was handed in."),
            field="mask_after",
        )
    return found


def is_edit(request: SynthesisRequest) -> bool:
    """Whether a request asks for a counterfactual."""
    return "edit" in request.parameters


def edit_wish(request: SynthesisRequest) -> CounterfactualRequest:
    """The stored request as the mathematics takes it; raises ApplicationError where the source is gone."""
    found = Edit.objects.filter(request=request).first()
    if found is None:
        raise ApplicationError(
            _("The source of this counterfactual was deleted, so nothing can be made of it."),
            code="source_gone",
        )
    row, column = request.grid["spacing_mm"]
    return CounterfactualRequest(
        image=from_stored(original_pixels(request, found)),
        labels=labels_of(request),
        labels_after=labels_after_of(request, found),
        spacing_mm=(float(row), float(column)),
        before=Condition.from_json(request.parameters["before"]),
        after=Condition.from_json(request.parameters["condition"]),
        options=EditOptions.from_json(request.parameters["edit"]),
        seed=request.seed,
        count=request.count,
    )


def original_pixels(request: SynthesisRequest, found: Edit) -> Stored:
    """The source on the model's grid, int16 [rows, columns]."""
    return pixels_unpacked(bytes(found.image), request)


def labels_after_of(request: SynthesisRequest, found: Edit) -> Any:
    """The mask to come, uint8 [rows, columns]; None where it stays."""
    packed = bytes(found.labels_after)
    if not packed:
        return None
    return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(_shape(request)).copy()


def region_of(request: SynthesisRequest) -> Mask:
    """Where the change was asked for, bool [rows, columns]."""
    return edit_regions.region_of(edit_wish(request), request.label_set)


def pixels_packed(pixels: Stored) -> bytes:
    """int16 pixels [rows, columns] or [slices, rows, columns] as they are kept."""
    return zlib.compress(np.ascontiguousarray(pixels, dtype="<i2").data, 6)


def pixels_unpacked(packed: bytes, request: SynthesisRequest) -> Stored:
    """What `pixels_packed` was given, on the request's grid."""
    flat = np.frombuffer(zlib.decompress(packed), dtype="<i2")
    return flat.reshape(_shape(request)).astype(np.int16)


def _shape(request: SynthesisRequest) -> tuple[int, int]:
    return int(request.grid["rows"]), int(request.grid["columns"])
