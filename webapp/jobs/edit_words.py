"""Counterfactuals in words: what was changed and how, and what each number says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from synthesis.catalog import COUNTERFACTUALS, SAMPLERS
from synthesis.drift_size import drift_dc_sigma_of
from synthesis.edit_request import BELONGS, EVERYWHERE, PAINTED
from synthesis.request import SEVERITIES
from webapp.jobs.models import SynthesisRequest
from webapp.jobs.severities import GRADE_WORDS, severity_terms, severity_words

DRIFT_WORDS = {
    "init_only": gettext_lazy("The start alone"),
    "noise": gettext_lazy("The noise and every step"),
    "prior": gettext_lazy("The image and every step"),
    "literal": gettext_lazy("A little after every step"),
}
Words = Callable[[Mapping[str, Any]], Any]

NEAR_LEVELS = 0.5  # a severity is read as asked for when it is no farther away than that
LEAKING = 0.5  # share of the change inside the region from which on that outside is flagged
FAITHFUL_DB = 30.0  # what there-and-back should reach
STILL_DB = 35.0  # what a change of nothing should reach


@dataclass(frozen=True, kw_only=True)
class NumberRow:
    """One number of a counterfactual, and how to read it."""

    name: str
    value: str
    sentence: str
    is_good: bool = True


def changes(parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What differs between the two conditions: (name, before, after), in words."""
    before, after = parameters.get("before", {}), parameters.get("condition", {})
    sexes = {"F": _("female"), "M": _("male")}
    told: list[tuple[str, Words, Words]] = [
        (_("Cirrhosis"), _level, severity_words),
        (_("Steatosis"), lambda one: one.get("steatosis", 0), _steatosis_words),
        (_("Age"), lambda one: one.get("age"), _age_words),
        (_("Sex"), lambda one: one.get("sex"), lambda one: sexes.get(one.get("sex") or "", "–")),
        (_("Diagnosis"), lambda one: one.get("diagnosis"), lambda one: one.get("diagnosis") or "–"),
    ]
    return [
        (name, words(before), words(after)) for name, value, words in told if value(before) != value(after)
    ]


def _steatosis_words(condition: Mapping[str, Any]) -> str:
    return _("grade %(number)d") % {"number": condition.get("steatosis", 0)}


def _age_words(condition: Mapping[str, Any]) -> str:
    age = condition.get("age")
    return "–" if age is None else _("%(age)g years") % {"age": age}


def change_title(item: SynthesisRequest) -> str:
    """The change in a few words: "No cirrhosis → severe cirrhosis, CT"; of a series it says so."""
    code = _("Diagnosis")  # kept as it is written
    told = [
        f"{before} → {after if name == code else after.lower()}"
        for name, before, after in changes(item.parameters)
    ]
    if _changes_mask(item):
        told.append(_("another mask"))
    words = f"{', '.join(told) or _('nothing')}, {item.parameters.get('condition', {}).get('modality', '')}"
    return _("%(change)s series") % {"change": words} if item.parameters.get("slices") else words


def change_terms(item: SynthesisRequest) -> str:
    """The same in English, for headers: "CT, no cirrhosis to severe cirrhosis"."""
    before, after = item.parameters["before"], item.parameters["condition"]
    words = [str(after.get("modality", ""))]
    if _level(before) != _level(after):
        words.append(f"{severity_terms(before)} to {severity_terms(after)}")
    for name in ("steatosis", "age", "sex", "diagnosis"):
        if before.get(name) != after.get(name):
            words.append(f"{name} {_plain(before.get(name))} to {_plain(after.get(name))}")
    if _changes_mask(item):
        words.append("another mask")
    return ", ".join(words)


def method_terms(options: Mapping[str, Any]) -> str:
    """The method in English, for headers: what steers it, and what is not as usual."""
    method = str(options.get("method"))
    if method == "guided":
        return f"guided by a severity reader, weight {options.get('weight', 0):g}{_place_terms(options)}"
    words = [method.replace("_", " ")]
    for name, usual in _STEERING.get(method, {}).items():
        value = options.get(name)
        if value is not None and value != usual:
            words.append(f"{name.replace('_', ' ')} {value:g}" if isinstance(value, float | int) else value)
    if options.get("negative") and method == "pix2pix_zero":
        words.append("with words to lead away from")
    if options.get("drift"):
        words.append(f"drift {options['drift']:g} {options.get('drift_scheme', '')}".strip())
    return ", ".join(words) + _place_terms(options)


def _place_of(options: Mapping[str, Any]) -> str:
    return str(options.get("where") or (BELONGS if options.get("confined", True) else EVERYWHERE))


def _place_terms(options: Mapping[str, Any]) -> str:
    """Where a change was allowed to act, in English, unless it is where it belongs."""
    place = _place_of(options)
    known = {BELONGS: "", EVERYWHERE: ", acting everywhere", PAINTED: ", only inside a painted region"}
    return known.get(place, f", only inside the label {place}")


def where_words(options: Mapping[str, Any]) -> str:
    """Where a change may act, in words for screens."""
    place = _place_of(options)
    known = {
        BELONGS: _("only where the change belongs"),
        EVERYWHERE: _("everywhere"),
        PAINTED: _("only where it was painted"),
    }
    return known.get(place) or _("only in one structure: %(name)s") % {"name": place}


def _changes_mask(item: SynthesisRequest) -> bool:
    """Whether another mask is part of the change, and not only marks its place."""
    return bool(item.prepared.get("mask_after")) and _place_of(item.parameters["edit"]) != PAINTED


def drift_words(options: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """A drift, what it moves, and how far that is for a model of this recipe; empty where there is none."""
    delta = options.get("drift")
    if not delta or options.get("method") == "guided":
        return ""
    moved = str(DRIFT_WORDS.get(str(options.get("drift_scheme")), "")).lower()
    words = f"{delta:g} ({moved})" if moved else f"{delta:g}"
    size = drift_dc_sigma_of(float(delta), recipe)
    if size is None:
        return words
    return _("%(drift)s: moves the mean of the noise by %(size).1f of its standard deviations") % {
        "drift": words,
        "size": size,
    }


# The settings that steer a method, each with the value that need not be told.
_STEERING: Mapping[str, Mapping[str, Any]] = {
    "flow_inversion": {"strength": None},
    "pix2pix_zero": {"strength": None, "attention": None, "guidance": 1.0, "regularisation": 0.0},
    "instruct_pix2pix": {"strength": 1.0, "guidance": None, "image_guidance": None},
}


def edit_asked_rows(item: SynthesisRequest) -> list[tuple[str, str]]:
    """What a request for a counterfactual asks for."""
    options = item.parameters["edit"]
    flow = options.get("method") != "guided"
    entry = COUNTERFACTUALS.get(options.get("method", ""))
    notes = item.prepared
    rows = [
        (_("Model"), str(item.model)),
        (_("Adapter"), str(item.adapter or "")),
        (_("Source"), _source_words(notes)),
        *((name, f"{before} → {after}") for name, before, after in changes(item.parameters)),
        (_("Mask"), _("another one afterwards") if _changes_mask(item) else ""),
        (_("Method"), str(entry.label) if entry else options.get("method", "")),
        (_("Strength"), _strength_words(options) if flow else ""),
        (_("Steps"), str(options.get("steps")) if flow else ""),
        *_own_rows(options),
        (_("Where"), where_words(options)),
        (_("Outside"), _("the image itself is put back") if flow and options.get("blend") else ""),
        (_("Variety"), f"{options.get('variety'):g}" if options.get("variety") else ""),
        (_("Drift"), drift_words(options, item.model.recipe_with(item.adapter))),
        (_("Weight of the outcome"), f"{options.get('weight', 0):g}" if not flow else ""),
        (_("First seed"), str(item.seed)),
        (_("Note"), item.note),
    ]
    return [(label, str(value)) for label, value in rows if str(value).strip()]


def _own_rows(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings that only some methods have, where they were asked for."""
    named = (
        (_("Hold the layout"), "attention"),
        (_("Guidance"), "guidance"),
        (_("Guidance by the image"), "image_guidance"),
        (_("Keep the noise even"), "regularisation"),
    )
    rows = [(label, f"{options[name]:g}") for label, name in named if options.get(name) is not None]
    sampler = SAMPLERS.get(str(options.get("sampler") or ""))
    rows += [(_("Sampler"), sampler.label)] if sampler else []
    return [*rows, (_("Lead away from"), str(options.get("negative") or ""))]


def _source_words(notes: Mapping[str, Any]) -> str:
    case, series = notes.get("case", ""), notes.get("series")
    if not series:
        return _("%(case)s, slice %(slice)d") % {
            "case": case,
            "slice": int(notes.get("slice_index") or 0) + 1,
        }
    return _("%(case)s, slices %(first)d to %(last)d, of which %(changed)d change") % {
        "case": case,
        "first": series["first"] + 1,
        "last": series["last"] + 1,
        "changed": len(series["edited"]),
    }


def _strength_words(options: Mapping[str, Any]) -> str:
    strength = options.get("strength")
    if strength is not None:
        return f"{strength:g}"
    return _("as the change demands") if options.get("method") == "flow_inversion" else "1"


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
    if outside is not None:
        calm = inside is None or outside <= LEAKING * max(inside, 1.0)
        sentence = _("The same elsewhere. Nothing was asked for there, so the nearer to zero the better.")
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
            "Likeness to the original in decibels; 40 dB can hardly be seen, 20 dB is another image."
        )
        rows.append(NumberRow(name=_("PSNR"), value=decibels(numbers["psnr"]), sentence=sentence))
    if numbers.get("ssim") is not None:
        sentence = _("Likeness of structure; 1 is the same image.")
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
    sentence = _("Likeness of the image with the change undone to the original; above 30 dB little was lost.")
    rows = [
        NumberRow(
            name=_("There and back (PSNR)"),
            value=decibels(psnr),
            sentence=sentence,
            is_good=psnr is None or psnr >= FAITHFUL_DB,
        )
    ]
    for name, key in ((_("Lost inside"), "inside"), (_("Lost outside"), "outside")):
        if undone.get(key) is not None:
            sentence = _("Root mean square difference that stays after undoing.")
            rows.append(NumberRow(name=name, value=f"{undone[key]:.1f} {unit}", sentence=sentence))
    return rows


def _severity_rows(read: Mapping[str, Any], asked: Mapping[str, Any]) -> list[NumberRow]:
    """What the severity reader sees before and after."""
    before, after = read_level(read.get("before")), read_level(read.get("after"))
    if before is None or after is None:
        return []
    wanted = _level(asked)
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


def level_word(level: float) -> str:
    """A severity on the scale in words: "Mild", or "1.5 (low to mild)"."""
    if level == int(level):
        return str(GRADE_WORDS[SEVERITIES[int(level)]])
    low, high = (str(GRADE_WORDS[SEVERITIES[int(level) + step]]).lower() for step in (0, 1))
    return f"{level:g} ({low}–{high})"


def _level(condition: Mapping[str, Any]) -> float:
    level = condition.get("severity_level")
    word = str(condition.get("severity", "none"))
    return float(level) if level is not None else float(SEVERITIES.index(word)) if word in SEVERITIES else 0.0


def _plain(value: Any) -> str:
    return "unknown" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
