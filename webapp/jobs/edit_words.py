"""Counterfactuals in words: what was changed, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def changes(parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What differs between the two conditions: (name, before, after), in words."""
    before, after = parameters.get("before", {}), parameters.get("condition", {})
    sexes = {"F": _("Female"), "M": _("Male")}
    told: list[tuple[str, Words, Words]] = [
        (_("Cirrhosis"), level_of, severity_words),
        (_("Steatosis"), lambda one: one.get("steatosis", 0), _steatosis_words),
        (_("Age"), lambda one: one.get("age"), _age_words),
        (_("Sex"), lambda one: one.get("sex"), lambda one: sexes.get(one.get("sex") or "", "–")),
        (_("Diagnosis"), lambda one: one.get("diagnosis"), lambda one: one.get("diagnosis") or "–"),
    ]
    return [
        (name, words(before), words(after)) for name, value, words in told if value(before) != value(after)
    ]


def _steatosis_words(condition: Mapping[str, Any]) -> str:
    grade = condition.get("steatosis", 0)
    return _("Steatosis grade %(number)d") % {"number": grade} if grade else _("No steatosis")


def _age_words(condition: Mapping[str, Any]) -> str:
    age = condition.get("age")
    return "–" if age is None else _("%(age)g years") % {"age": age}


def change_title(item: SynthesisRequest) -> str:
    """The change in a few words: "No cirrhosis → severe cirrhosis, CT"; of a series it says so."""
    code = _("Diagnosis")  # kept as it is written
    told: list[str] = []
    for name, before, after in changes(item.parameters):
        was, is_now = (before, after) if name == code else (before.lower() if told else before, after.lower())
        told.append(f"{was} → {is_now}")
    if _changes_mask(item):
        mask = mask_words(item.prepared)
        told.append(mask if told else mask[0].upper() + mask[1:])
    words = f"{', '.join(told) or _('nothing')}, {item.parameters.get('condition', {}).get('modality', '')}"
    return _("%(change)s series") % {"change": words} if item.parameters.get("slices") else words


def change_terms(item: SynthesisRequest) -> str:
    """The same in English, for headers: "CT, no cirrhosis to severe cirrhosis"."""
    before, after = item.parameters["before"], item.parameters["condition"]
    words = [str(after.get("modality", ""))]
    if level_of(before) != level_of(after):
        words.append(f"{severity_terms(before)} to {severity_terms(after)}")
    for name in ("steatosis", "age", "sex", "diagnosis"):
        if before.get(name) != after.get(name):
            words.append(f"{name} {_plain(before.get(name))} to {_plain(after.get(name))}")
    if _changes_mask(item):
        lesion = item.prepared.get("lesion")
        words.append(f"lesion {lesion}" if lesion else "another mask")
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


def mask_words(notes: Mapping[str, Any]) -> str:
    """What another mask means for the image: a lesion more or less, larger or smaller, or something else."""
    known = {
        "added": _("a lesion added"),
        "removed": _("a lesion taken away"),
        "larger": _("a lesion larger"),
        "smaller": _("a lesion smaller"),
    }
    return known.get(str(notes.get("lesion"))) or _("another mask")


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


def edit_asked_rows(item: SynthesisRequest, used: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    """What a request for a counterfactual asks for; `used` are the options that it was then made with."""
    options = item.parameters["edit"]
    flow = options.get("method") != "guided"
    entry = COUNTERFACTUALS.get(options.get("method", ""))
    notes = item.prepared
    rows = [
        (_("Model"), str(item.model)),
        (_("Adapter"), str(item.adapter or "")),
        (_("Source"), _source_words(notes)),
        *((name, f"{before} → {after}") for name, before, after in changes(item.parameters)),
        (_("Mask"), mask_words(item.prepared) if _changes_mask(item) else ""),
        (_("Method"), str(entry.label) if entry else options.get("method", "")),
        (_("Strength"), _strength_words(options, used or {}) if flow else ""),
        (_("Steps"), str(options.get("steps")) if flow else ""),
        *_own_rows(options),
        (_("Where"), where_words(options)),
        (_("Outside"), _("the image itself is put back") if flow and options.get("blend") else ""),
        (_("Variety"), f"{options.get('variety'):g}" if options.get("variety") else ""),
        (_("Drift"), drift_words(options, item.model.recipe_with(item.adapter))),
        (_("Weight of the outcome"), f"{options.get('weight', 0):g}" if not flow else ""),
        (_("First seed") if item.count > 1 else _("Seed"), str(item.seed)),
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


def _strength_words(options: Mapping[str, Any], used: Mapping[str, Any]) -> str:
    """The strength that was asked for or, where it was left open, that was chosen."""
    strength = options.get("strength")
    if strength is not None:
        return f"{strength:g}"
    if options.get("method") != "flow_inversion":
        return "1"
    found = used.get("strength")
    if found is None:
        return _("chosen to fit the change")
    return _("%(strength)g, chosen to fit the change") % {"strength": found}


def level_word(level: float) -> str:
    """A severity on the scale in words: "Mild", or "1.5 (low to mild)"."""
    if level == int(level):
        return str(GRADE_WORDS[SEVERITIES[int(level)]])
    low, high = (str(GRADE_WORDS[SEVERITIES[int(level) + step]]).lower() for step in (0, 1))
    return f"{level:g} ({low}–{high})"


def level_of(condition: Mapping[str, Any]) -> float:
    """The severity that a condition tells, from 0 to 3; 0 where it tells none."""
    level = condition.get("severity_level")
    word = str(condition.get("severity", "none"))
    return float(level) if level is not None else float(SEVERITIES.index(word)) if word in SEVERITIES else 0.0


def _plain(value: Any) -> str:
    return "unknown" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
