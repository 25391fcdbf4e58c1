"""From a case's slice, its mask and a wished change to what an editing model sees; nothing is hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from synthesis.catalog import COUNTERFACTUALS
from synthesis.edit_regions import chosen_region, label_names, label_value, lesion_value
from synthesis.edit_request import BELONGS, EVERYWHERE, PAINTED, EditOptions, Mask, methods_of, steps_of
from synthesis.errors import SynthesisError
from synthesis.imaging.fitting import Fitted, fit
from synthesis.imaging.labelmaps import label_map
from synthesis.imaging.lesion_changes import lesion_change
from synthesis.imaging.plane import Plane
from synthesis.imaging.preflight import Draft, Problem, preflight
from synthesis.imaging.storage import Stored, to_stored
from synthesis.phantoms.labels import LIVER
from synthesis.request import Condition, SamplerOptions
from webapp.cases.selectors import case_slice, mask_slice
from webapp.core.errors import ApplicationError
from webapp.jobs.preparation import best_slice

PARAMETERS = ("before", "condition", "edit")
STEPS_MOST = 64
USUAL_SCHEME = "init_only"  # of a drift of which nothing else is said: the one that changes the image
SIGNAL_TIMES = 3.0
"""How many times brighter or darker than what a model knows an MR image may be."""
SECTIONS = ("CT", "MR", "OT")  # kinds of image that a model of sections may know; OT may be anything
KIND_WORDS = {
    **dict.fromkeys(("CR", "DX"), gettext_lazy("an X-ray")),
    "MG": gettext_lazy("a mammogram"),
    "US": gettext_lazy("an ultrasound image"),
    "XA": gettext_lazy("an angiogram"),
    "PT": gettext_lazy("a PET image"),
    "NM": gettext_lazy("a nuclear medicine image"),
}

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class PreparedEdit:
    """A wished change with image and masks on the model's grid, and what speaks against it.

    `image` is int16 [rows, columns], HU or signal; `labels_after` is None where no other mask is said or
    it is alike. `region` is where the change may act. `notes` is plain JSON: where the grid lies, what was
    derived, unmapped and lost. `slices`: first, last and how many change, where it stands for several
    (webapp/jobs/series_preparation.py).
    """

    image: Stored
    labels: Labels
    labels_after: Labels | None
    region: Mask
    grid: dict[str, Any]
    before: Condition
    after: Condition
    options: EditOptions
    notes: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)
    slices: dict[str, int] | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What is stored with the request."""
        return {
            "condition": self.after.to_json(),
            "before": self.before.to_json(),
            "edit": self.options.to_json(),
            **({"slices": self.slices} if self.slices else {}),
        }


def edit_prepare(
    *,
    model: Any,
    case: Any,
    mask: Any,
    parameters: Mapping[str, Any],
    adapter: Any = None,
    mask_after: Any = None,
    slice_index: int | None = None,
    count: int = 1,
    seed: int = 0,
    onto: Plane | None = None,
) -> PreparedEdit:
    """Read, map, fit and check; every problem is listed, so that a form can show them all.

    `parameters` holds "before" and "condition" (the fields of `synthesis.request.Condition`: what the
    image shows, and what it shall show) and "edit" (those of `synthesis.edit_request.EditOptions`).
    Without a method it is the first that the model offers. `adapter` is one of the model's; `onto` a grid
    to use instead of one chosen for this slice.
    Raises ApplicationError where there is nothing to work on: no mask, no such slice, no body,
    settings that nobody knows.
    """
    recipe = model.recipe_with(adapter)
    before, after, options = change_of(_with_method(parameters, recipe))
    place_check(options.place, recipe)
    index = slice_of(case, mask, slice_index)
    fitted = fitted_slice(case, mask, index, recipe, onto)
    if fitted.image is None:
        raise ValueError("image: expected the source on the model's grid, got none.")
    other = fitted_slice(case, mask_after, index, recipe, onto).labels if mask_after is not None else None
    after_labels = None if other is None or np.array_equal(other, fitted.labels) else other
    rows, columns = fitted.labels.shape
    spacing = (float(fitted.spacing_mm[0]), float(fitted.spacing_mm[1]))
    known: dict[str, Any] = {"labels": fitted.labels, "spacing_mm": spacing, "seed": seed, "count": count}
    sampler = SamplerOptions()
    problems = _named("was_", preflight(Draft(**known, condition=before, sampler=sampler), recipe))
    marked = fitted.labels if after_labels is None else after_labels
    changes_mask = after_labels is not None and options.place != PAINTED
    then = known | {"labels": marked if changes_mask else fitted.labels}
    problems += _named("to_", preflight(Draft(**then, condition=after, sampler=sampler), recipe))
    problems += _change_problems(before, after, changes_mask)
    label_set = recipe.get("label_set")
    region = chosen_region(options.place, fitted.labels, marked, before, after, label_set)
    problems += _place_problems(options, region, fitted.labels, label_set)
    problems += _method_problems(model, recipe, options, before.level != after.level, count)
    problems += _image_problems(case, before, fitted, recipe)
    return PreparedEdit(
        image=to_stored(fitted.image, before.modality),
        labels=fitted.labels,
        labels_after=after_labels,
        region=region,
        grid={"rows": rows, "columns": columns, "spacing_mm": list(spacing)},
        before=before,
        after=after,
        options=options,
        notes=_notes(case, mask, mask_after, index, fitted)
        | {"lesion": lesion_change([(fitted.labels, marked)], lesion_value(label_set))},
        problems=_once(problems),
    )


def _with_method(parameters: Mapping[str, Any], recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same, by the model's first method where none is said."""
    asked = parameters.get("edit") or {}
    if not isinstance(asked, Mapping) or asked.get("method"):
        return parameters
    return {**parameters, "edit": {**asked, "method": methods_of(recipe)[0]}}


def change_of(parameters: Mapping[str, Any]) -> tuple[Condition, Condition, EditOptions]:
    """What the image shows, what it shall show, and how; raises ApplicationError for unknown settings."""
    unknown = sorted(set(parameters) - set(PARAMETERS))
    if unknown:
        raise ApplicationError(
            _("These settings are not known: %(names)s.") % {"names": ", ".join(unknown)}, field="parameters"
        )
    try:
        before = Condition.from_json(dict(parameters.get("before") or {}))
        after = Condition.from_json(dict(parameters.get("condition") or {}))
        asked = dict(parameters.get("edit") or {})
        usual: dict[str, Any] = {"steps": steps_of(str(asked.get("method")))}
        if asked.get("drift"):
            usual["drift_scheme"] = USUAL_SCHEME
        options = EditOptions.from_json(usual | asked)
        before.level, after.level  # noqa: B018  # an unknown word is found here
    except (TypeError, ValueError) as error:
        raise ApplicationError(
            _("These settings could not be read: %(reason)s") % {"reason": str(error)}, field="parameters"
        ) from error
    if before.modality != after.modality:
        raise ApplicationError(
            _("The kind of image cannot change: %(before)s stays %(before)s.") % {"before": before.modality},
            field="modality",
        )
    return before, after, options


def slice_of(case: Any, mask: Any, slice_index: int | None) -> int:
    """The slice that is meant, from 0: the one that was said, else where the mask shows most of the liver."""
    if mask is None:
        raise ApplicationError(
            _("This case has no mask yet. Paint or import one, so that the model knows the anatomy."),
            field="mask",
        )
    index = best_slice(mask) if slice_index is None else slice_index
    if not 0 <= index < case.slice_count:
        raise ApplicationError(
            _("This case has slices 1 to %(count)d.") % {"count": case.slice_count}, field="slice_index"
        )
    return index


def fitted_slice(
    case: Any, mask: Any, index: int, recipe: Mapping[str, Any], onto: Plane | None = None
) -> Fitted:
    """A slice and its mask as a model of that recipe sees them; raises ApplicationError where it cannot."""
    if mask.case_id != case.pk:
        raise ApplicationError(_("This mask belongs to another case."), field="mask")
    try:
        return fit(
            mask=mask_slice(mask, index),
            names=label_map(mask.labels, recipe.get("label_set")),
            recipe=recipe,
            source=case_slice(case, index),
            modality="CT" if case.modality == "CT" else "MR",
            keep_grid=True,
            onto=onto,
        )
    except SynthesisError as error:
        raise ApplicationError(str(error), field="mask") from error


def _named(prefix: str, problems: list[Problem]) -> list[Problem]:
    """Problems of a condition under the names that its fields have beside the other's."""
    own = ("severity", "severity_level", "steatosis", "age", "sex", "diagnosis")
    return [
        replace(one, field=prefix + one.field.replace("severity_level", "severity"))
        if one.field in own
        else one
        for one in problems
    ]


def _change_problems(before: Condition, after: Condition, mask_changes: bool) -> list[Problem]:
    """What speaks against the change itself."""
    problems = []
    alike = all(
        getattr(before, name) == getattr(after, name)
        for name in ("level", "steatosis", "age", "sex", "diagnosis")
    )
    if alike and not mask_changes:
        words = _("Nothing is to change. Choose what the image shall show instead of what it shows now.")
        problems.append(Problem("to_severity", words))
    if (before.age is None) != (after.age is None) or (before.sex is None) != (after.sex is None):
        words = _("To change age or sex, say as well which the image shows now.")
        problems.append(
            Problem("was_age" if before.age is None and after.age is not None else "was_sex", words)
        )
    return problems


def place_check(place: str, recipe: Mapping[str, Any]) -> None:
    """Raise ApplicationError where a change is to stay in a structure that the model does not know."""
    if place in (BELONGS, EVERYWHERE, PAINTED):
        return
    try:
        label_value(place, recipe.get("label_set"))
    except SynthesisError as error:
        raise ApplicationError(str(error), field="where") from error


def _place_problems(options: EditOptions, region: Mask, labels: Labels, label_set: Any) -> list[Problem]:
    """What speaks against the place that was chosen for the change: nothing lies there."""
    place = options.place
    if place in (BELONGS, EVERYWHERE):
        return []
    if region.any():
        if options.method != "guided" or (region & (labels == LIVER)).any():
            return []
        words = _(
            "This method follows a reader that looks at the liver, and the chosen place has no part of it. "
            "Choose another place or another method."
        )
        return [Problem("where", words, BELONGS)]
    if place == PAINTED:
        words = _(
            "Nothing is painted in this slice: choose another mask of this case that differs from the mask "
            "where the change is to act."
        )
        return [Problem("mask_after", words)]
    present = [name for value, name in label_names(label_set).items() if (labels == value).any()]
    words = _(
        "The mask shows no %(name)s in this slice, so the change has no place there. It shows: %(known)s."
    )
    return [Problem("where", words % {"name": place, "known": ", ".join(present)}, BELONGS)]


def _method_problems(
    model: Any, recipe: Mapping[str, Any], options: EditOptions, severity_changes: bool, count: int
) -> list[Problem]:
    """What speaks against making a change in this way with this model."""
    problems = []
    offered = methods_of(recipe)
    if options.method not in COUNTERFACTUALS:
        words = _("There is no method “%(name)s”; this model offers %(known)s.")
        told = words % {"name": options.method, "known": ", ".join(offered)}
        problems.append(Problem("method", told, offered[0]))
    elif options.method not in offered:
        words = _("The model %(model)s does not offer this method (%(name)s). It offers: %(known)s.")
        labels = "; ".join(COUNTERFACTUALS[name].label for name in offered)
        told = words % {"model": model, "name": COUNTERFACTUALS[options.method].label, "known": labels}
        problems.append(Problem("method", told, offered[0]))
    elif options.method == "guided" and not severity_changes:
        words = _(
            "This method follows the severity reader, so the severity must change. Choose another method."
        )
        problems.append(Problem("method", words, offered[0]))
    if options.method == "guided" and options.drift:
        words = _("This method moves pixels and draws no noise, so nothing can drift. Leave the drift at 0.")
        problems.append(Problem("drift", words, 0))
    if options.steps > STEPS_MOST:
        words = _("The number of steps must be from 1 to %(most)d.") % {"most": STEPS_MOST}
        problems.append(Problem("steps", words, STEPS_MOST))
    if count > 1 and options.method in ("flow_inversion", "pix2pix_zero") and options.variety == 0:
        words = _("Without variety every seed makes the same image. Give it some, or ask for one image.")
        problems.append(Problem("variety", words, 0.5))
    if count > 1 and options.method == "guided":
        words = _("This method draws nothing at random: every seed makes the same image. Ask for one.")
        problems.append(Problem("count", words, 1))
    return problems


def _image_problems(case: Any, before: Condition, fitted: Fitted, recipe: Mapping[str, Any]) -> list[Problem]:
    """What speaks against the source's pixels for this model."""
    if words := unfit_words(case, [recipe]):
        return [Problem("case", words)]
    if (case.modality == "CT") != (before.modality == "CT"):
        words = _("This case is %(modality)s. The change is made in the same kind of image.")
        return [
            Problem("modality", words % {"modality": case.modality}, "CT" if case.modality == "CT" else "T1")
        ]
    known = recipe["image"].get("normalisation", {}).get(before.modality, {}).get("units")
    if before.modality == "CT" or not known or fitted.image is None:
        return []
    bright = float(np.percentile(fitted.image, 99.5))
    if known[-1] / SIGNAL_TIMES <= bright <= known[-1] * SIGNAL_TIMES:
        return []
    words = _(
        "MR signal has no fixed scale, and this image's (brightest %(bright).0f) is far from what the model "
        "knows (0 to %(top).0f). It cannot be changed faithfully."
    )
    return [Problem("case", words % {"bright": bright, "top": known[-1]})]


def unfit_words(case: Any, recipes: Sequence[Mapping[str, Any]]) -> str:
    """Why none of these models knows such an image, in a sentence; empty where one may.

    A model that is told patients in words may have seen any kind of image; one that is told severities of a
    labelled anatomy has seen sections.
    """
    if case.modality in SECTIONS or not recipes or any(recipe.get("prompts") for recipe in recipes):
        return ""
    words = _(
        "This is %(kind)s, and the models here know only sections, by CT and MR: whatever they drew into it "
        "would be wrong, so it cannot be changed."
    )
    return words % {"kind": KIND_WORDS.get(case.modality, case.modality)}


def _once(problems: list[Problem]) -> list[Problem]:
    """Every sentence once."""
    found: dict[str, Problem] = {}
    for one in problems:
        found.setdefault(one.message, one)
    return list(found.values())


def _notes(case: Any, mask: Any, mask_after: Any, index: int, fitted: Fitted) -> dict[str, Any]:
    own = fitted.plane == fitted.source_plane
    said = [] if own else [_("The image is resampled to the model's grid; the change is made there.")]
    known = fitted.to_json()
    return {
        **known,
        "notes": [*said, *known["notes"]],
        "source": "case",
        "slice_index": index,
        "case": case.name,
        "case_content_sha256": case.content_sha256,
        "mask_content_sha256": mask.content_sha256,
        "mask_after": str(mask_after.pk) if mask_after is not None else None,
        "source_modality": case.modality,
    }
