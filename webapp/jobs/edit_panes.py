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
from webapp.cases.selectors import instance_frame
from webapp.cases.viewer import Config, pane_config
from webapp.core.errors import NotVisible
from webapp.core.permissions import can
from webapp.jobs.edits import original_pixels, slices_of
from webapp.jobs.models import Result, SynthesisRequest
from webapp.jobs.unpacked import unpacked

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
    """int16 [slices, rows, columns] of a picture by name; raises NotVisible where there is none.

    Not to be written to, for it may be held for the next who asks. Whether this one may see it is the
    caller's matter.
    """
    if name not in IMAGES:
        raise NotVisible
    return unpacked.get((result.pk, result.pixel_sha256, name), lambda: _pixels_read(result, name))


def _pixels_read(result: Result, name: str) -> Stored:
    """The same, from what is kept."""
    request = result.request
    found = bytes(getattr(result.edited, name))
    if found:
        return stack_unpacked(found, request)
    if name != "original" or slices_of(request) is not None:
        raise NotVisible
    return original_pixels(request, request.edit)[None]


def stack_unpacked(packed_pixels: bytes, request: SynthesisRequest) -> Stored:
    """One image or several on the request's grid, int16 [slices, rows, columns]."""
    flat = np.frombuffer(zlib.decompress(packed_pixels), dtype="<i2")
    return flat.reshape(-1, int(request.grid["rows"]), int(request.grid["columns"])).astype(np.int16)


def changed_pixels(result: Result) -> Stored:
    """int16 [slices, rows, columns] of the counterfactual itself."""
    case = result.case
    instances = {one.number: one for one in case.instances.all()}
    stack = [instance_frame(instances[number], frame) for number, frame in case.stack]
    return np.stack(stack).astype(np.int16)


def difference(result: Result, *, undone: bool = False) -> npt.NDArray[np.int16]:
    """The counterfactual (or what undoing it gave) minus the original, int16 [slices, rows, columns]."""
    image = pixels_of(result, "undone") if undone else changed_pixels(result)
    apart = image.astype(np.int32) - pixels_of(result, "original")
    limits = np.iinfo(np.int16)
    return np.clip(apart, limits.min, limits.max).astype(np.int16)


def difference_packed(result: Result, *, undone: bool = False) -> bytes:
    """The same as the viewer takes it: zlib over little-endian int16."""
    return zlib.compress(difference(result, undone=undone).astype("<i2").tobytes(), 6)


def spread(request: SynthesisRequest) -> npt.NDArray[np.float32] | None:
    """Standard deviation over the request's images [slices, rows, columns]; None of one image."""
    results = request.results.select_related("case").order_by("index")
    images = [changed_pixels(result).astype(np.float32) for result in results]
    return np.std(np.stack(images), axis=0) if len(images) > 1 else None


def places_of(result: Result) -> list[int]:
    """The source's slice, from 0, that each of the result's slices lies on."""
    found = result.recipe.get("slices", {}).get("source")
    return [int(one) for one in found] if found else [int(result.request.slice_index or 0)]


def shown_place(result: Result) -> int:
    """The slice of the result, from 0, that stands for all: the one that was looked at when asking."""
    places, shown = places_of(result), result.request.slice_index
    return places.index(shown) if shown in places else 0


def slice_notes(result: Result) -> list[str]:
    """What is to be said of each slice of a series: whether it was changed; empty of a single slice."""
    series = result.request.prepared.get("series")
    if not series:
        return []
    words = {index: _("changed") for index in series["edited"]}
    words |= {index: _("kept as it is: it has no mask") for index in series["unmasked"]}
    words |= {index: _("kept as it is: nothing in it is concerned") for index in series["unconcerned"]}
    said = _("Slice %(number)d of the source, %(words)s.")
    return [said % {"number": one + 1, "words": words.get(one, "")} for one in places_of(result)]


def edit_panes(result: Result, *, shows_source: bool, undone: bool, place: int = 0) -> list[Config]:
    """The viewports: original, counterfactual and difference; or with them its undoing and what was lost.

    They open at the slice `place`, counted from 0 in the result.
    """
    return [pane | {"slice": place} for pane in _panes(result, shows_source=shows_source, undone=undone)]


def _panes(result: Result, *, shows_source: bool, undone: bool) -> list[Config]:
    changed = pane_config(_("Counterfactual"), result.case, mask=result.mask) | {"show_mask": False}
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
        "frames": [
            {**frame, "sop": picture_uid(result, name, place)}
            for place, frame in enumerate(pane["case"]["frames"])
        ],
    }
    return pane | {"case": case}


def picture_uid(result: Result, name: str, place: int = 0) -> str:
    """A UID for a slice of a picture that is no case, of use to the viewer only."""
    return derived_uid("counterfactual", result.pk, name, place)


def picture_place(result: Result, name: str, sop: str) -> int:
    """The slice, from 0, that such a UID names; raises NotVisible for any other."""
    known = [picture_uid(result, name, place) for place in range(result.case.slice_count)]
    if sop not in known:
        raise NotVisible
    return known.index(sop)


def picture_metadata(result: Result, name: str) -> list[dict[str, Any]]:
    """DICOM JSON of such a picture's slices: the counterfactual's own, under other identities."""
    known = dict(result.case.instances.values_list("number", "metadata"))
    return [
        known[number] | {"00080018": {"vr": "UI", "Value": [picture_uid(result, name, place)]}}
        for place, (number, _frame) in enumerate(result.case.stack)
    ]


def _difference(result: Result, *, undone: bool = False) -> Config:
    request = result.request
    address = reverse("jobs:counterfactual-difference", args=[request.pk, result.index])
    return {
        "url": f"{address}?of=undone" if undone else address,
        "shape": [result.case.slice_count, request.grid["rows"], request.grid["columns"]],
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
        "shape": list(found.shape),
        "scale": scale,
        "unit": unit_of(result.request),
        "top": round_top(found),
    }
    return [pane_config(_("Spread"), result.case, mask=None) | {"heat": heat}]


def round_top(values: npt.NDArray[Any]) -> float:
    """A round number near the largest differences: 1, 2 or 5 times a power of ten, LEAST_TOP at least."""
    largest = max(
        float(np.percentile(np.abs(values[values != 0]), SHARE)) if values.any() else 0.0, LEAST_TOP
    )
    power = 10.0 ** (ceil(log10(largest)) - 1)
    return next(step * power for step in (1, 2, 5, 10) if step * power >= largest)
