"""The training case that a result is most like: in words, and as a picture made again from its seed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from PIL import Image

from synthesis.phantoms import abdomen
from webapp.jobs.models import Result
from webapp.jobs.pictures import grey_picture, marked

PHANTOM = re.compile(r"phantom (\d{1,18})\Z")
WHY = {
    "no index": gettext_lazy("Not known: this model was installed without an index of its training cases."),
    "no judge": gettext_lazy("The network that compares images does not know this model's label set."),
    "other judge": gettext_lazy("The index of this model was made with another network than the one here."),
    "unreadable": gettext_lazy("The index of this model's training cases could not be read."),
}


@dataclass(frozen=True, kw_only=True)
class NearestCase:
    """What is shown of the nearest training case; `sentence` alone where none is known."""

    sentence: str
    meaning: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    is_near: bool = False
    has_picture: bool = False


def nearest_of(result: Result) -> NearestCase | None:
    """The nearest training case in words; None for results made before it was looked for."""
    near = (result.quality or {}).get("nearest")
    if not isinstance(near, dict):
        return None
    if "why" in near:
        return NearestCase(sentence=str(WHY.get(str(near["why"]), WHY["unreadable"])))
    strangers = near.get("closer_than_held_out")
    share = near["closer_than_training"] if strangers is None else strangers
    threshold = near.get("threshold")
    is_near = threshold is not None and near["distance"] < threshold
    rows = [
        (_("Distance"), f"{near['distance']:.2f}"),
        (_("Looked at below"), f"{threshold:.2f}" if threshold is not None else _("not measured")),
        (_("Training cases"), f"{near['training_cases']:,}".replace(",", " ")),
        (_("Nearest"), str(near["case"])),
    ]
    return NearestCase(
        sentence=_sentence(share, by_strangers=strangers is not None),
        meaning=_meaning(near, is_near),
        rows=tuple(rows),
        is_near=is_near,
        has_picture=phantom_seed_of(result) is not None,
    )


def _sentence(share: float, *, by_strangers: bool) -> str:
    percent = {"share": f"{100 * share:.0f}"}
    if by_strangers:
        return (
            _("Closer to its nearest training case than %(share)s %% of held-out phantoms are to theirs.")
            % percent
        )
    return (
        _("Closer to its nearest training case than %(share)s %% of training cases are to each other.")
        % percent
    )


def _meaning(near: dict[str, Any], is_near: bool) -> str:
    words = []
    if is_near:
        words.append(
            _("That is nearer than all but one in a hundred strangers: compare both pictures for a copy.")
        )
    else:
        words.append(_("Strangers have 50 % on average; only above 99 % is a copy to be suspected."))
    if near.get("adapted"):
        words.append(_("The adapter's own training cases are not in this index."))
    return " ".join(words)


def phantom_seed_of(result: Result) -> int | None:
    """The seed that makes the nearest training phantom again; None for anything but a phantom."""
    near = (result.quality or {}).get("nearest")
    found = PHANTOM.match(str(near.get("case", ""))) if isinstance(near, dict) else None
    return int(found[1]) if found else None


def nearest_picture(result: Result, *, side: int) -> Image.Image | None:
    """The nearest training phantom, made again on the result's grid and marked as synthetic."""
    seed = phantom_seed_of(result)
    if seed is None:
        return None
    shape = (int(result.request.grid["rows"]), int(result.request.grid["columns"]))
    modality = str(result.request.parameters["condition"]["modality"])
    phantom = abdomen(seed, shape=shape, modality=modality)
    return marked(grey_picture(phantom.image, modality, side=side))
