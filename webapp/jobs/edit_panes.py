"""What the workspace's viewer is told: the original, the counterfactual, their difference, the undoing."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from synthesis.imaging.dicom_write import derived_uid
from webapp.cases.viewer import Config, pane_config
from webapp.core.errors import NotVisible
from webapp.core.permissions import can
from webapp.core.recent import Recent
from webapp.jobs.edit_maps import difference_top, spread_of
from webapp.jobs.models import Result, SynthesisRequest

HELD = 32  # results whose pictures' UIDs a web process remembers

_uids: Recent[dict[str, int]] = Recent(HELD)


def unit_of(request: SynthesisRequest) -> str:
    """The unit of the image's values."""
    return "HU" if request.parameters["condition"]["modality"] == "CT" else "signal"


def sees_source(user: Any, request: SynthesisRequest) -> bool:
    """Whether the person may still see the case that was changed, and with it what tells its pixels."""
    return request.case is not None and can(user, "view", request.case)


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
    """What is common to all is worked out once."""
    changed = pane_config(_("Counterfactual"), result.case, mask=result.mask) | {"show_mask": False}
    if not shows_source:
        return [changed]
    plain = changed | {"mask": None}
    original = _picture(_("Original"), result, "original", plain)
    blink = {"title": original["title"], "case": original["case"]}
    if undone:
        back = _picture(_("Change undone"), result, "undone", plain)
        lost = {"title": _("What was lost"), "difference": _difference(result, undone=True)}
        return [original, changed, back | {"blink": blink}, back | lost]
    apart = plain | {"title": _("Difference"), "difference": _difference(result)}
    fourth = _spread_pane(result, plain)
    if not fourth and result.edited.undone:
        fourth = [_picture(_("Change undone"), result, "undone", plain)]
    return [original, changed | {"blink": blink}, apart, *fourth]


def _picture(title: str, result: Result, name: str, pane: Config) -> Config:
    """A viewport of a picture that is no case: it lies on the grid of the counterfactual, as its pane."""
    source = result.request.case
    address = reverse("jobs:counterfactual-picture", args=[result.request_id, result.index, name])
    is_synthetic = name != "original" or source is None or source.is_synthetic
    uids = picture_uids(result, name)
    case = pane["case"] | {
        "name": source.name if source is not None else result.case.name,
        "description": _("on the model's grid") if name == "original" else _("the change taken back"),
        "is_synthetic": is_synthetic,
        "series_url": address.rstrip("/"),
        "frames": [{**frame, "sop": sop} for frame, sop in zip(pane["case"]["frames"], uids, strict=True)],
    }
    return pane | {"title": title, "case": case}


def picture_uid(result: Result, name: str, place: int = 0) -> str:
    """A UID for a slice of a picture that is no case, of use to the viewer only."""
    return derived_uid("counterfactual", result.pk, name, place)


def picture_uids(result: Result, name: str) -> dict[str, int]:
    """The places of a picture's slices, from 0, by their UIDs."""
    slices = result.case.slice_count
    made = partial(picture_uid, result, name)
    return _uids.get((result.pk, name, slices), lambda: {made(place): place for place in range(slices)})


def picture_place(result: Result, name: str, sop: str) -> int:
    """The slice, from 0, that such a UID names; raises NotVisible for any other."""
    try:
        return picture_uids(result, name)[sop]
    except KeyError as error:
        raise NotVisible from error


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
        "top": difference_top(result, undone=undone),
    }


def _spread_pane(result: Result, pane: Config) -> list[Config]:
    found = spread_of(result.request)
    if found is None:
        return []
    heat = {
        "url": reverse("jobs:counterfactual-spread", args=[result.request_id]),
        "shape": list(found.shape),
        "scale": found.scale,
        "unit": unit_of(result.request),
        "top": found.top,
    }
    return [pane | {"title": _("Spread"), "heat": heat}]
