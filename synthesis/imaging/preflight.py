"""Before submitting: what this model was not trained for, in plain words, with the nearest valid setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from synthesis.catalog import SAMPLERS
from synthesis.control.patient_prompts import told_in
from synthesis.imaging.fitting import BODY_FILL
from synthesis.options import options_of, samplers_with
from synthesis.phantoms import labels as L
from synthesis.request import (
    SEED_LIMIT,
    SEVEREST,
    SEVERITIES,
    SEXES,
    STEATOSIS_GRADES,
    Condition,
    SamplerOptions,
)

STEPS = (1, 100)
COUNTS = (1, 64)
GUIDANCE = (0.0, 10.0)
AGES = (18.0, 90.0)  # years; a recipe may say otherwise under "attributes"."age"
LEAST_PIXELS = 12  # of an organ, for it to count as there
FILL = (0.5, 0.97)  # share of the frame's width that the body may take
NO_ORGANS = (L.AIR, L.BODY, L.FAT, L.MUSCLE, L.SKIN)

Recipe = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """One reason why a request cannot be served.

    field: which setting; message: a plain sentence; suggestion: the nearest valid value, or None.
    """

    field: str
    message: str
    suggestion: Any = None


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A request that may still be wrong: everything `SynthesisRequest` has, unchecked."""

    labels: npt.NDArray[np.uint8]
    spacing_mm: tuple[float, float]
    condition: Condition
    sampler: SamplerOptions
    seed: int = 0
    count: int = 1


def preflight(draft: Any, recipe: Recipe) -> list[Problem]:
    """Everything that speaks against a request (a Draft or a SynthesisRequest) under a model's recipe.

    An empty list means that the model was trained for this.
    """
    problems = preflight_settings(draft.condition, draft.sampler, recipe, seed=draft.seed, count=draft.count)
    problems += preflight_mask(draft.labels, draft.spacing_mm, recipe)
    problems += _liver_problems(draft.labels, draft.condition)
    return problems


def preflight_settings(
    condition: Condition, sampler: SamplerOptions, recipe: Recipe, *, seed: int = 0, count: int = 1
) -> list[Problem]:
    """What speaks against condition, sampler, seed and count; needs no mask."""
    known = list(recipe.get("modalities") or recipe["image"]["normalisation"])
    problems = []
    if condition.modality not in known:
        problems.append(
            Problem(
                "modality",
                f"This model draws {_either(known)}, not {condition.modality}.",
                _nearest_modality(condition.modality, known),
            )
        )
    if condition.severity not in SEVERITIES:
        problems.append(Problem("severity", f"Severity is one of {_either(SEVERITIES)}.", SEVERITIES[0]))
    if condition.severity_level is not None:
        what = "The severity (0 none, 1 low, 2 mild, 3 severe)"
        problems += _range("severity_level", what, "", condition.severity_level, (0, SEVEREST))
    if condition.steatosis not in STEATOSIS_GRADES:
        grade = round(float(np.clip(np.nan_to_num(_number(condition.steatosis)), 0, STEATOSIS_GRADES[-1])))
        problems.append(Problem("steatosis", "The steatosis grade is 0, 1, 2 or 3.", grade))
    if condition.sex is not None and condition.sex not in SEXES:
        problems.append(Problem("sex", "Sex is F, M or left open.", None))
    if condition.age is not None:
        limits = recipe.get("attributes", {}).get("age", AGES)
        problems += _range("age", "The age", "years", condition.age, limits)
    problems += _words_problems(condition, recipe)
    if sampler.name not in SAMPLERS:
        problems.append(Problem("sampler", f"There is no sampler called {sampler.name}.", "rft"))
    problems += _range("steps", "The number of steps", "", sampler.steps, STEPS, whole=True)
    problems += _fixed_steps(sampler)
    problems += _learned_steps(sampler, recipe)
    problems += _option_problems(sampler)
    problems += _range("guidance", "Guidance", "", sampler.guidance, GUIDANCE)
    problems += _range("count", "The number of images", "", count, COUNTS, whole=True)
    problems += _range("seed", "The seed", "", seed, (0, SEED_LIMIT - 1), whole=True)
    return problems


def _words_problems(condition: Condition, recipe: Recipe) -> list[Problem]:
    """What a model cannot be told: a diagnosis, or what its words have no place for, or a liver's disease."""
    prompts = recipe.get("prompts") or {}
    told_of = told_in(prompts) if prompts else frozenset({"age", "sex"})
    known = list(prompts.get("diagnoses") or {}) if "diagnosis" in told_of else []
    problems = [
        Problem(name, f"This model is told patients in words that leave out their {name}.", None)
        for name in ("age", "sex")
        if name not in told_of and getattr(condition, name) is not None
    ]
    if condition.diagnosis is not None and condition.diagnosis not in known:
        told = f"is told a diagnosis as {_either(known)}" if known else "is told no diagnosis"
        problems.append(Problem("diagnosis", f"This model {told}.", None))
    if prompts:
        words = "is not among the words that this model is told patients in."
        if condition.severity in SEVERITIES[1:] or _number(condition.severity_level) > 0:
            problems.append(Problem("severity", f"Cirrhosis {words}", SEVERITIES[0]))
        if condition.steatosis in STEATOSIS_GRADES[1:]:
            problems.append(Problem("steatosis", f"Steatosis {words}", 0))
    return problems


def _fixed_steps(sampler: SamplerOptions) -> list[Problem]:
    """The sampler takes one number of steps alone, and it is not the one that was asked for."""
    entry = SAMPLERS.get(sampler.name)
    if entry is None or entry.steps in (None, sampler.steps):
        return []
    return [
        Problem(
            "steps",
            f"The sampler \u201c{entry.label}\u201d takes {entry.steps} step, not {sampler.steps}.",
            entry.steps,
        )
    ]


def _option_problems(sampler: SamplerOptions) -> list[Problem]:
    """Options out of their range, and options that this sampler does not have."""
    own = options_of(sampler.name)
    problems = []
    for option in own:
        value = getattr(sampler, option.name)
        words = option.problem(value)
        if words is not None:
            problems.append(Problem(option.name, words, option.nearest(value)))
    if sampler.name not in SAMPLERS:
        return problems
    label = SAMPLERS[sampler.name].label
    for name in sorted(SamplerOptions.OPTIONAL - {option.name for option in own}):
        if getattr(sampler, name) is not None:
            others = " or ".join(f"\u201c{SAMPLERS[one].label}\u201d" for one in samplers_with(name))
            words = f"The sampler \u201c{label}\u201d has no option {name}; that belongs to {others}."
            problems.append(Problem(name, words, None))
    return problems


def _learned_steps(sampler: SamplerOptions, recipe: Recipe) -> list[Problem]:
    """Long steps are asked of a model that did not learn them, or not so many."""
    if sampler.name != "shortcut":
        return []
    if "shortcut" not in recipe:
        return [Problem("sampler", "This model did not learn to draw in long steps.", "rft")]
    most = int(recipe["shortcut"]["segments"])
    if sampler.steps <= most:
        return []
    return [Problem("steps", f"This model learned to draw in 1 to {most} steps, not {sampler.steps}.", most)]


def preflight_mask(
    labels: npt.NDArray[np.integer], spacing_mm: tuple[float, float], recipe: Recipe
) -> list[Problem]:
    """What speaks against a mask on the model's grid: its size, labels, spacing, field of view, organs."""
    rows, columns = int(recipe["image"]["rows"]), int(recipe["image"]["columns"])
    if labels.ndim != 2 or labels.shape != (rows, columns):
        size = " x ".join(str(n) for n in labels.shape)
        return [
            Problem(
                "mask", f"The mask has {size} pixels; this model draws {rows} x {columns}.", [rows, columns]
            )
        ]
    names = _names(recipe)
    problems = []
    strange = sorted(set(np.unique(labels).tolist()) - set(names))
    if strange:
        problems.append(
            Problem("mask", f"The mask holds label {_either(strange)}, which this model does not know.", None)
        )
    problems += _organ_problems(labels, names)
    problems += _spacing_problems(spacing_mm, (rows, columns), recipe)
    if not problems:
        problems += _framing_problems(labels, spacing_mm)
    return problems


def _organ_problems(labels: npt.NDArray[np.integer], names: Mapping[int, str]) -> list[Problem]:
    organs = [value for value in names if value not in NO_ORGANS]
    if any(int((labels == value).sum()) >= LEAST_PIXELS for value in organs):
        return []
    listed = ", ".join(names[value] for value in organs)
    return [Problem("mask", f"The mask has none of the organs this model was trained on: {listed}.", None)]


def _spacing_problems(
    spacing_mm: tuple[float, float], shape: tuple[int, int], recipe: Recipe
) -> list[Problem]:
    field = recipe.get("field", {})
    row, column = (float(value) for value in spacing_mm)
    if not (np.isfinite([row, column]).all() and min(row, column) > 0):
        middle = round(float(np.mean(field.get("spacing_mm", (3.0, 3.0)))), 3)
        return [Problem("spacing_mm", "The pixel spacing must be a positive number of mm.", [middle, middle])]
    if abs(row - column) > 0.02 * max(row, column):
        mean = round((row * column) ** 0.5, 3)
        return [
            Problem(
                "spacing_mm",
                f"This model draws square pixels; these are {row:.3g} by {column:.3g} mm.",
                [mean, mean],
            )
        ]
    width = column * shape[1]
    limits = field.get("spacing_mm")
    fov = field.get("fov_mm")
    nearest = _nearest_spacing(column, shape[1], recipe)
    if limits and not limits[0] <= column <= limits[1]:
        words = (
            f"Pixels of {column:.3g} mm: this model was trained with {limits[0]:.3g} to {limits[1]:.3g} mm."
        )
        return [Problem("spacing_mm", words, [nearest, nearest])]
    if fov and not fov[0] <= width <= fov[1]:
        words = (
            f"A field of view of {width:.0f} mm: this model was trained with {fov[0]:.0f} to {fov[1]:.0f} mm."
        )
        return [Problem("spacing_mm", words, [nearest, nearest])]
    return []


def _nearest_spacing(spacing: float, columns: int, recipe: Recipe) -> float:
    """The spacing nearest to the given one that fits both the trained spacings and fields of view."""
    field = recipe.get("field", {})
    low, high = 0.0, float("inf")
    for limits, size in ((field.get("spacing_mm"), 1), (field.get("fov_mm"), columns)):
        if limits:
            low, high = max(low, limits[0] / size), min(high, limits[1] / size)
    return float(np.clip(spacing, low, max(low, high)))


def _framing_problems(labels: npt.NDArray[np.integer], spacing_mm: tuple[float, float]) -> list[Problem]:
    """A body that fills the frame too little or too much, which no training image did."""
    body = ndimage.binary_fill_holes(labels != L.AIR)
    column = np.nonzero(body)[1]
    fill = float(np.ptp(column) + 1) / labels.shape[1]
    if FILL[0] <= fill <= FILL[1]:
        return []
    step = round(float(spacing_mm[1]) * fill / BODY_FILL, 3)
    if fill > FILL[1]:
        words = f"The body takes {fill:.0%} of the image's width; the model needs air on both sides of it."
    else:
        words = f"The body takes only {fill:.0%} of the image's width; the model was trained with 81 to 88 %."
    return [Problem("spacing_mm", words, [step, step])]


def _liver_problems(labels: npt.NDArray[np.integer], condition: Condition) -> list[Problem]:
    if bool(np.isin(labels, (L.LIVER, L.LESION)).any()):
        return []
    words = "is shown inside the liver, and this mask has no liver."
    problems = []
    if condition.severity in SEVERITIES[1:] or _number(condition.severity_level) > 0:
        problems.append(Problem("severity", f"Cirrhosis {words}", "none"))
    if condition.steatosis in STEATOSIS_GRADES[1:]:
        problems.append(Problem("steatosis", f"Steatosis {words}", 0))
    return problems


def _range(
    field: str, what: str, unit: str, value: Any, limits: Any, *, whole: bool = False
) -> list[Problem]:
    """One problem if a value is no number, or outside of its limits."""
    low, high = limits
    number = _number(value)
    if np.isfinite(number) and low <= number <= high and (not whole or number == int(number)):
        return []
    nearest = float(np.clip(number, low, high)) if np.isfinite(number) else float(low)
    words = (
        f"{what} must lie between {_plain(low)} and {_plain(high)}{' ' + unit if unit else ''}, not {value}."
    )
    if whole:
        words = words.replace("must lie", "must be a whole number")
    return [Problem(field, words, round(nearest) if whole else nearest)]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _names(recipe: Recipe) -> dict[int, str]:
    own = {int(row["value"]): str(row["name"]) for row in recipe.get("label_set", ())}
    return own or {one.value: one.name for one in L.LABEL_SET}


def _nearest_modality(wanted: str, known: list[str]) -> str:
    """The one that the word contains, an MR one for any MR, or the first."""
    word = wanted.upper()
    named = [name for name in known if name in word]
    magnetic = [name for name in known if word.startswith("MR") and name != "CT"]
    return (named or magnetic or known)[0]


def _either(values: Any) -> str:
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
