"""The numbers of a counterfactual in words: what each is, and how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from synthesis.request import SEVERITIES
from webapp.jobs.edit_words import level_of

NEAR_LEVELS = 0.5  # a severity is read as asked for when it is no farther away than that
LEAKING = 0.5  # share of the change inside the region from which on that outside is flagged
FAITHFUL_DB = 30.0  # what there-and-back should reach
STILL_DB = 35.0  # what a change of nothing should reach
UNRETURNED = 0.5  # share of the change inside the region from which on what undoing leaves is flagged


@dataclass(frozen=True, kw_only=True)
class NumberRow:
    """One number of a counterfactual, and how to read it."""

    name: str
    value: str
    sentence: str
    is_good: bool = True


def number_rows(numbers: Mapping[str, Any], asked: Mapping[str, Any]) -> list[NumberRow]:
    """How strong and how faithful a change is; `asked` is the condition that the image shall show."""
    unit = "HU" if asked.get("modality") == "CT" else _("signal")
    inside, outside = numbers.get("inside"), numbers.get("outside")
    rows = [*_severity_rows(numbers.get("severity") or {}, asked)]
    if inside is not None:
        sentence = _(
            "Root mean square change where it was asked for. Near zero would mean that nothing happened."
        )
        rows.append(NumberRow(name=_("Change inside"), value=f"{inside:.1f} {unit}", sentence=sentence))
    if numbers.get("inside_mean") is not None:
        sentence = _(
            "Mean where it was asked for, with its sign: above zero brighter than before, below darker."
        )
        value = f"{_signed(numbers['inside_mean'])} {unit}"
        rows.append(NumberRow(name=_("Mean change inside"), value=value, sentence=sentence))
    if outside is not None:
        calm = inside is None or outside <= LEAKING * max(inside, 1.0)
        sentence = _(
            "Root mean square change elsewhere. Nothing was asked for there, so the nearer to zero the "
            "better."
        )
        rows.append(
            NumberRow(
                name=_("Change outside"), value=f"{outside:.1f} {unit}", sentence=sentence, is_good=calm
            )
        )
    if numbers.get("outside_most") is not None:
        sentence = _("The pixel that changed most where none should.")
        value = f"{numbers['outside_most']:.0f} {unit}"
        rows.append(NumberRow(name=_("Largest change outside"), value=value, sentence=sentence))
    rows += _likeness_rows(numbers, unit)
    return rows


def _likeness_rows(numbers: Mapping[str, Any], unit: str) -> list[NumberRow]:
    rows = []
    if numbers.get("l1") is not None:
        sentence = _(
            "Mean absolute change over the whole image: of two changes that do the same, prefer the smaller."
        )
        rows.append(
            NumberRow(name=_("Mean change (L1)"), value=f"{numbers['l1']:.1f} {unit}", sentence=sentence)
        )
    if "psnr" in numbers:
        sentence = _(
            "Likeness to the original over the whole image, air included; higher is more alike. What is "
            "plain to see in one organ can still leave 40 dB."
        )
        rows.append(NumberRow(name=_("PSNR"), value=decibels(numbers["psnr"]), sentence=sentence))
    if numbers.get("ssim") is not None:
        sentence = _("Likeness of structure over the whole image; 1 is the same image.")
        rows.append(NumberRow(name=_("SSIM"), value=f"{numbers['ssim']:.3f}", sentence=sentence))
    if numbers.get("lpips") is not None:
        sentence = _(
            "How different it looks to a network trained on photographs; 0 is the same image. It says "
            "nothing about the anatomy."
        )
        rows.append(NumberRow(name=_("LPIPS"), value=f"{numbers['lpips']:.3f}", sentence=sentence))
    return rows


def spread_rows(inside: float | None, unit: str) -> list[NumberRow]:
    """How far several images lie apart where they were to change; empty where that is not known."""
    if inside is None:
        return []
    sentence = _(
        "How far the images of this change lie apart where it was asked for (one standard deviation): what "
        "the image leaves open. The map of it shows where."
    )
    value = f"{inside:.1f} {unit}"
    return [NumberRow(name=_("Spread between images"), value=value, sentence=sentence)]


def unchanged_rows(numbers: Mapping[str, Any]) -> list[NumberRow]:
    """What the method loses by itself; empty where that was not measured."""
    still = numbers.get("unchanged")
    if not still:
        return []
    psnr = still.get("psnr")
    sentence = _(
        "Likeness to the original when the same method is asked for no change: what the method alone "
        "loses. Above 35 dB little is."
    )
    good = psnr is None or psnr >= STILL_DB
    name = _("Nothing changed (PSNR)")
    return [NumberRow(name=name, value=decibels(psnr), sentence=sentence, is_good=good)]


def undone_rows(numbers: Mapping[str, Any], asked: Mapping[str, Any]) -> list[NumberRow]:
    """What was lost on the way there and back; empty where the change was not undone."""
    undone = numbers.get("undone")
    if not undone:
        return []
    unit = "HU" if asked.get("modality") == "CT" else _("signal")
    psnr = undone.get("psnr")
    sentence = _(
        "Likeness of the image with the change undone to the original, over the whole image; above 30 dB "
        "little of that was lost. What one organ lost stands under Undo the change."
    )
    rows = [
        NumberRow(
            name=_("There and back (PSNR)"),
            value=decibels(psnr),
            sentence=sentence,
            is_good=psnr is None or psnr >= FAITHFUL_DB,
        )
    ]
    inside, outside = undone.get("inside"), undone.get("outside")
    moved = numbers.get("inside")
    if inside is not None:
        returned = not moved or inside <= UNRETURNED * moved
        rows.append(_lost_row(_("Lost inside"), inside, moved, unit, is_good=returned))
    if outside is not None:
        rows.append(_lost_row(_("Lost outside"), outside, numbers.get("outside"), unit, is_good=True))
    return rows


def _lost_row(name: str, lost: float, changed: float | None, unit: str, *, is_good: bool) -> NumberRow:
    """What stays after undoing, beside what the change had moved there."""
    sentence = _("Root mean square difference to the original that stays after undoing.")
    if changed:
        moved = f"{changed:.1f} {unit}"
        sentence += " " + _("The change itself was %(moved)s there.") % {"moved": moved}
    return NumberRow(name=name, value=f"{lost:.1f} {unit}", sentence=sentence, is_good=is_good)


def _signed(value: float) -> str:
    """A number with one decimal and its sign; one that rounds to nothing has none."""
    rounded = round(value, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def _severity_rows(read: Mapping[str, Any], asked: Mapping[str, Any]) -> list[NumberRow]:
    """What the severity reader sees before and after."""
    before, after = read_level(read.get("before")), read_level(read.get("after"))
    if before is None or after is None:
        return []
    wanted = level_of(asked)
    if read.get("followed"):
        sentence = _("The method followed this very reader, so its verdict proves nothing here.")
    else:
        sentence = _(
            "A network trained on phantoms reads the liver's texture; the editor never saw it. "
            "0 is none, 3 severe."
        )
    return [
        NumberRow(
            name=_("Severity as read"),
            value=f"{before:.1f} → {after:.1f}",
            sentence=sentence,
            is_good=abs(after - wanted) <= NEAR_LEVELS,
        )
    ]


def read_level(shares: Mapping[str, float] | None) -> float | None:
    """The mean of the grades 0 to 3, each counted as the reader shares itself out over them."""
    if not shares:
        return None
    return sum(float(shares.get(name, 0.0)) * place for place, name in enumerate(SEVERITIES))


def decibels(value: float | None) -> str:
    """A PSNR; None is that of equal images."""
    return _("identical") if value is None else f"{value:.1f} dB"
