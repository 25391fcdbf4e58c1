"""From a case's slice and mask, or a phantom, to the label map that a model sees; nothing is hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _

from synthesis.control.patient_prompts import prompts_in
from synthesis.edit_request import takes_image
from synthesis.errors import SynthesisError
from synthesis.imaging.fitting import fit
from synthesis.imaging.labelmaps import concept_of, label_map
from synthesis.imaging.plane import flat_plane
from synthesis.imaging.preflight import Draft, Problem, preflight
from synthesis.imaging.uncertainty import refusal
from synthesis.phantoms import Attributes, abdomen, phantom_seed
from synthesis.request import SEVERITIES, STEATOSIS_GRADES, Condition, SamplerOptions
from webapp.cases.selectors import case_slice, mask_slice
from webapp.core.errors import ApplicationError
from webapp.jobs.mask_counts import mask_counts
from webapp.jobs.severities import GRADE_WORDS

PHANTOMS_FROM = 5_000_000
"""The demo anatomies are test phantoms that no evaluation uses."""
PHANTOM_LIMIT = 9_999
PARAMETERS = ("condition", "sampler", "phantom_seed", "phantom_severity", "uncertainty")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A wish with its label map on the model's grid, how that came about, and what speaks against it.

    `image` is the source on the same grid, in its own units, or None for phantoms and bare masks.
    `notes` is plain JSON: plane, what was derived, unmapped and lost, and where the anatomy is from.
    """

    labels: npt.NDArray[np.uint8]
    image: npt.NDArray[np.float32] | None
    grid: dict[str, Any]
    condition: Condition
    sampler: SamplerOptions
    parameters: dict[str, Any]
    notes: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)


def prepare(
    *,
    model: Any,
    parameters: Mapping[str, Any],
    adapter: Any = None,
    case: Any = None,
    mask: Any = None,
    slice_index: int | None = None,
    count: int = 1,
    seed: int = 0,
) -> Prepared:
    """Read, map, fit and check; what the model was not trained for is listed, so a form can show it all.

    Raises ApplicationError where there is no label map to speak of: no mask, no such slice, no body,
    settings that nobody knows.
    """
    condition, sampler = settings_of(parameters)
    recipe = model.recipe_with(adapter)
    if case is None:
        number = _whole(parameters.get("phantom_seed", 0), "phantom_seed", PHANTOM_LIMIT)
        shape = parameters.get("phantom_severity")
        labels, image, grid, notes = _from_phantom(number, condition, recipe, shape)
        extra: dict[str, Any] = {"phantom_seed": number, **({"phantom_severity": shape} if shape else {})}
    else:
        labels, image, grid, notes = _from_case(case, mask, slice_index, recipe)
        extra = {}
    if parameters.get("uncertainty"):
        extra["uncertainty"] = True
    row, column = grid["spacing_mm"]
    draft = Draft(
        labels=labels,
        spacing_mm=(row, column),
        condition=condition,
        sampler=sampler,
        seed=seed,
        count=count,
    )
    return Prepared(
        labels=labels,
        image=image,
        grid=grid,
        condition=condition,
        sampler=sampler,
        parameters={"condition": condition.to_json(), "sampler": sampler.to_json(), **extra},
        notes=notes,
        problems=[
            *_drawing_problems(recipe),
            *preflight(draft, recipe),
            *_uncertainty_problems(extra, sampler, recipe),
        ],
    )


def told_in_words(recipe: Mapping[str, Any], condition: Condition) -> str:
    """The sentence that a model is told the patient in; empty for one that is told in another way."""
    try:
        prompts = prompts_in(recipe)
        return prompts.prompt(condition) if prompts is not None else ""
    except ValueError:  # a diagnosis that it does not know: the preflight says so
        return ""


def _drawing_problems(recipe: Mapping[str, Any]) -> list[Problem]:
    """Why nothing can be drawn with the model, where it only changes images."""
    if not takes_image(recipe):
        return []
    words = _(
        "This model changes images and draws none from nothing. Choose another model, or change an image."
    )
    return [Problem("model", str(words))]


def _uncertainty_problems(
    extra: Mapping[str, Any], sampler: SamplerOptions, recipe: Mapping[str, Any]
) -> list[Problem]:
    """Why no uncertainty map can be had, where one is asked for."""
    words = refusal(recipe, guidance=sampler.guidance) if extra.get("uncertainty") else None
    if words is None:
        return []
    return [Problem("guidance", words, 1.0) if sampler.guidance != 1 else Problem("uncertainty", words)]


def settings_of(parameters: Mapping[str, Any]) -> tuple[Condition, SamplerOptions]:
    """Condition and sampler options of a request's parameters; raises ApplicationError for unknown ones."""
    unknown = sorted(set(parameters) - set(PARAMETERS))
    if unknown:
        raise ApplicationError(
            _("Unknown parameters: %(names)s. Known are %(known)s.")
            % {"names": ", ".join(unknown), "known": ", ".join(PARAMETERS)},
            field="parameters",
        )
    if parameters.get("phantom_severity") not in (None, *SEVERITIES):
        raise ApplicationError(
            _("The severity that shapes the anatomy is one of %(known)s.") % {"known": ", ".join(SEVERITIES)},
            field="phantom_severity",
        )
    if parameters.get("uncertainty") not in (None, True, False):
        raise ApplicationError(_("Ask for an uncertainty map with true or false."), field="uncertainty")
    try:
        condition = Condition.from_json(dict(parameters.get("condition") or {}))
        sampler = SamplerOptions.from_json(dict(parameters.get("sampler") or {}))
    except (TypeError, ValueError) as error:
        raise ApplicationError(
            _("These settings could not be read: %(reason)s") % {"reason": str(error)}, field="parameters"
        ) from error
    return condition, sampler


def _from_phantom(
    number: int, condition: Condition, recipe: Mapping[str, Any], severity: str | None = None
) -> tuple[npt.NDArray[np.uint8], None, dict[str, Any], dict[str, Any]]:
    """A demo anatomy whose shape (surface, spleen, ascites) goes with `severity`, else with the wish."""
    shape = (int(recipe["image"]["rows"]), int(recipe["image"]["columns"]))
    seed = phantom_seed("test", PHANTOMS_FROM + number)
    phantom = abdomen(seed, shape=shape, attributes=_attributes(condition, severity))
    row, column = (float(value) for value in phantom.spacing_mm)
    plane = flat_plane(shape, (row, column))
    said = [_("The anatomy is phantom number %(number)d, every structure labelled.") % {"number": number}]
    if severity is not None:
        said.append(
            _("Its outline stays that of %(grade)s cirrhosis, whatever severity is drawn.")
            % {"grade": _("no") if severity == "none" else GRADE_WORDS[severity].lower()}
        )
    elif condition.severity_level is not None:
        grade = GRADE_WORDS[condition.severity].lower()
        said.append(
            _("Its outline is that of the nearest grade, %(grade)s; the texture lies between the grades.")
            % {"grade": grade}
        )
    notes = {
        "source": "phantom",
        "phantom_seed": number,
        "plane": plane.to_json(),
        "derived": [],
        "unmapped": [],
        "lost": [],
        "notes": said,
    }
    grid = {"rows": shape[0], "columns": shape[1], "spacing_mm": [row, column]}
    return phantom.labels, None, grid, notes


def _attributes(condition: Condition, severity: str | None = None) -> Attributes:
    """The person of the condition; what the preflight will refuse anyway is left as in health."""
    severity = severity or condition.severity
    grade = SEVERITIES.index(severity) if severity in SEVERITIES else 0
    try:
        age = min(90.0, max(18.0, 55.0 if condition.age is None else float(condition.age)))
    except (TypeError, ValueError):
        age = 55.0
    return Attributes(
        severity_texture=grade,
        severity_shape=grade,
        steatosis=condition.steatosis if condition.steatosis in STEATOSIS_GRADES else 0,
        age=55.0 if isnan(age) else age,
        sex="M" if condition.sex == "M" else "F",
    )


def _from_case(
    case: Any, mask: Any, slice_index: int | None, recipe: Mapping[str, Any]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32] | None, dict[str, Any], dict[str, Any]]:
    """The mask's slice in the model's labels and on its grid, the gaps derived from the image."""
    if mask is None:
        raise ApplicationError(
            _("This case has no mask yet. Paint or import one, so that the model knows the anatomy."),
            field="mask",
        )
    if mask.case_id != case.pk:
        raise ApplicationError(_("This mask belongs to another case."), field="mask")
    index = best_slice(mask) if slice_index is None else slice_index
    if not 0 <= index < case.slice_count:
        raise ApplicationError(
            _("This case has slices 1 to %(count)d.") % {"count": case.slice_count}, field="slice_index"
        )
    names = label_map(mask.labels, recipe.get("label_set"))
    try:
        fitted = fit(
            mask=mask_slice(mask, index),
            names=names,
            recipe=recipe,
            source=case_slice(case, index),
            modality="CT" if case.modality == "CT" else "MR",
        )
    except SynthesisError as error:
        raise ApplicationError(str(error), field="mask") from error
    rows, columns = fitted.labels.shape
    notes = {
        **fitted.to_json(),
        "source": "case",
        "mapped": dict(names.mapped),
        "slice_index": index,
        "case": case.name,
        "case_content_sha256": case.content_sha256,
        "mask_content_sha256": mask.content_sha256,
        "source_modality": case.modality,
    }
    grid = {"rows": rows, "columns": columns, "spacing_mm": [float(v) for v in fitted.spacing_mm]}
    return fitted.labels, fitted.image, grid, notes


def best_slice(mask: Any) -> int:
    """The slice (from 0) that shows most of the liver, else most of the mask: where the form opens."""
    liver = [int(label["value"]) for label in mask.labels if concept_of(str(label["name"])) == "liver"]
    counted = mask_counts(mask)
    area = [sum(one.get(value, 0) for value in liver) for one in counted]
    if not any(area):
        area = [sum(number for value, number in one.items() if value) for one in counted]
    return int(np.argmax(area))


def _whole(value: Any, name: str, limit: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
        raise ApplicationError(
            _("The anatomy number must be a whole number from 0 to %(limit)d.") % {"limit": limit}, field=name
        )
    return value
