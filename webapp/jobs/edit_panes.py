"""What the workspace's viewer is told: the original, the counterfactual, their difference, the undoing."""

from __future__ import annotations

import zlib
from math import ceil, log10
from typing import Any

import numpy as np
import numpy.typing as npt
from django.urls import reverse
from django.utils.translation import gettext as _

from synthesis.imaging.dicom_write import derived_uid
from synthesis.imaging.storage import Stored
from synthesis.imaging.uncertainty import packed
from webapp.cases.selectors import case_stored_slice
from webapp.cases.viewer import Config, mask_config, pane_config
from webapp.core.errors import NotVisible
from webapp.core.permissions import can
from webapp.jobs.edits import original_pixels, pixels_unpacked
from webapp.jobs.models import Result, SynthesisRequest

IMAGES = ("original", "undone")
"""The pictures of a workspace that are no cases of their own."""
LEAST_TOP = 5
SHARE = 99.5  # per cent of the pixels whose difference the colours tell apart


def unit_of(request: SynthesisRequest) -> str:
    """The unit of the image's values."""
    return "HU" if request.parameters["condition"]["modality"] == "CT" else "signal"


def sees_source(user: Any, request: SynthesisRequest) -> bool:
    """Whether the person may still see the case that was changed, and with it what tells its pixels."""
    return request.case is not None and can(user, "view", request.case)


def pixels_of(result: Result, name: str) -> Stored:
    """int16 [rows, columns] of a picture by name; raises NotVisible where there is none."""
    request = result.request
    if name == "original":
        return original_pixels(request, request.edit)
    found = bytes(result.edited.undone)
    if name != "undone" or not found:
        raise NotVisible
    return pixels_unpacked(found, request)


def changed_pixels(result: Result) -> Stored:
    """int16 [rows, columns] of the counterfactual itself."""
    return np.asarray(case_stored_slice(result.case, 0)).astype(np.int16)


def difference(result: Result, *, undone: bool = False) -> npt.NDArray[np.int16]:
    """The counterfactual (or what undoing it gave) minus the original, int16 [rows, columns]."""
    image = pixels_of(result, "undone") if undone else changed_pixels(result)
    apart = image.astype(np.int32) - pixels_of(result, "original")
    limits = np.iinfo(np.int16)
    return np.clip(apart, limits.min, limits.max).astype(np.int16)


def difference_packed(result: Result, *, undone: bool = False) -> bytes:
    """The same as the viewer takes it: zlib over little-endian int16."""
    return zlib.compress(difference(result, undone=undone).astype("<i2").tobytes(), 6)


def spread(request: SynthesisRequest) -> npt.NDArray[np.float32] | None:
    """Standard deviation over the request's images [rows, columns], HU or signal; None of one image."""
    results = request.results.select_related("case").order_by("index")
    images = [changed_pixels(result).astype(np.float32) for result in results]
    return np.std(np.stack(images), axis=0) if len(images) > 1 else None


def edit_panes(result: Result, *, shows_source: bool, undone: bool) -> list[Config]:
    """The viewports: original, counterfactual and difference; or with them its undoing and what was lost."""
    changed = pane_config(_("Counterfactual"), result.case, mask=None)
    if not shows_source:
        return [changed]
    original = _picture(_("Original"), result, "original")
    if undone:
        back = _picture(_("Undone again"), result, "undone")
        lost = _picture(_("What was lost"), result, "undone")
        blink = {"title": original["title"], "case": original["case"]}
        return [
            original,
            changed,
            back | {"blink": blink},
            lost | {"difference": _difference(result, undone=True)},
        ]
    blink = {"title": original["title"], "case": original["case"]}
    apart = pane_config(_("Difference"), result.case, mask=None) | {
        "difference": _difference(result),
        "mask": mask_config(result.mask) if result.mask is not None else None,
        "show_mask": False,
    }
    fourth = _spread_pane(result)
    if not fourth and result.edited.undone:
        fourth = [_picture(_("Undone again"), result, "undone")]
    return [original, changed | {"blink": blink}, apart, *fourth]


def _picture(title: str, result: Result, name: str) -> Config:
    """A viewport of a picture that is no case: it lies on the counterfactual's grid."""
    source, pane = result.request.case, pane_config(title, result.case)
    address = reverse("jobs:counterfactual-picture", args=[result.request_id, result.index, name])
    is_synthetic = name != "original" or source is None or source.is_synthetic
    case = pane["case"] | {
        "name": source.name if source is not None else result.case.name,
        "description": _("on the model's grid") if name == "original" else _("the change taken back"),
        "is_synthetic": is_synthetic,
        "series_url": address.rstrip("/"),
        "frames": [{**pane["case"]["frames"][0], "sop": picture_uid(result, name)}],
    }
    return pane | {"case": case}


def picture_uid(result: Result, name: str) -> str:
    """A UID for a picture that is no case, of use to the viewer only."""
    return derived_uid("counterfactual", result.pk, name)


def picture_metadata(result: Result, name: str) -> dict[str, Any]:
    """DICOM JSON of such a picture: the counterfactual's own, under another identity."""
    instance = result.case.instances.get()
    uid = picture_uid(result, name)
    return instance.metadata | {"00080018": {"vr": "UI", "Value": [uid]}}


def _difference(result: Result, *, undone: bool = False) -> Config:
    request = result.request
    address = reverse("jobs:counterfactual-difference", args=[request.pk, result.index])
    return {
        "url": f"{address}?of=undone" if undone else address,
        "shape": [1, request.grid["rows"], request.grid["columns"]],
        "unit": unit_of(request),
        "top": round_top(difference(result, undone=undone)),
    }


def _spread_pane(result: Result) -> list[Config]:
    found = spread(result.request)
    if found is None:
        return []
    _values, scale = packed(found)
    heat = {
        "url": reverse("jobs:counterfactual-spread", args=[result.request_id]),
        "shape": [1, *found.shape],
        "scale": scale,
        "unit": unit_of(result.request),
        "top": round_top(found),
    }
    return [pane_config(_("Spread over the seeds"), result.case, mask=None) | {"heat": heat}]


def round_top(values: npt.NDArray[Any]) -> float:
    """A round number near the largest differences: 1, 2 or 5 times a power of ten, LEAST_TOP at least."""
    largest = max(
        float(np.percentile(np.abs(values[values != 0]), SHARE)) if values.any() else 0.0, LEAST_TOP
    )
    power = 10.0 ** (ceil(log10(largest)) - 1)
    return next(step * power for step in (1, 2, 5, 10) if step * power >= largest)
