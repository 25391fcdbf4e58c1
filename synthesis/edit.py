"""The same image with one thing changed: from a request and a loaded model to images in real units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthesis.catalog import COUNTERFACTUALS
from synthesis.checkpoints import LoadedModel
from synthesis.control.captions import captions_of
from synthesis.drift import Drift, drift_dc_sigma
from synthesis.edit_regions import region_of
from synthesis.edit_request import (
    BACKWARDS,
    CounterfactualRequest,
    CounterfactualResult,
    EditOptions,
    Mask,
    but_severity,
    changes_more_than_severity,
    edited_region,
    level_of,
    methods_of,
    passes_of,
    softened,
    strength_and_contrast,
)
from synthesis.editing import Edit, Instructed, Instructions
from synthesis.errors import SynthesisError
from synthesis.footprint import SEQUENTIAL
from synthesis.imaging.storage import from_stored, labels_sha256, pixel_sha256, to_stored
from synthesis.metrics import perceptual
from synthesis.metrics.judges import Judges
from synthesis.metrics.minimality import minimality
from synthesis.networks import ConditionBatch
from synthesis.null_edit import changed_and_not
from synthesis.outcomes import SeverityOutcome, severity_read
from synthesis.phantoms.contrast import WINDOWS
from synthesis.placement import plan_of
from synthesis.reporting import reporters, units
from synthesis.reproduction import identity, numerics, repeatable, versions
from synthesis.request import Condition, Image, Labels, OnStep
from synthesis.stepping import Velocity

FROM_THE_NOISE = ("instruct_pix2pix", "pix2pix_zero")  # methods whose strength is 1 where none is asked for


@repeatable()
def edit(
    model: LoadedModel,
    request: CounterfactualRequest,
    *,
    on_step: OnStep | None = None,
    judges: Judges | None = None,
    whole: tuple[Labels, Labels] | None = None,
) -> CounterfactualResult:
    """Change one thing, or several at once, in `request.image` and keep the rest.

    `on_step` is called after each step; `Cancelled` raised there ends the work. `judges` are needed by
    the method `guided`, and add what the severity reader sees before and after to the numbers. `whole`:
    the masks before and after of the image's stack, which then decide how strongly all of it is changed.
    Raises SynthesisError, in words for the clinician, where this model or method cannot serve the request.
    """
    begun = perf_counter()
    _check(model, request, judges)
    options, modality = request.options, request.before.modality
    region = region_of(request, model.recipe.get("label_set"))
    work = prepare(
        model,
        [request.image] * request.count,
        [request.labels] * request.count,
        [request.target_labels] * request.count,
        [request.before] * request.count,
        [request.after] * request.count,
        judges=judges,
        seeds=request.seeds,
        regions=[region] * request.count,
    )
    old, new = whole or (request.labels, request.target_labels)
    chosen = method_options(options, old, new, request.before, request.after, model.recipe)
    method = COUNTERFACTUALS[options.method].load()
    tell = reporters(model, modality, on_step, passes_of(options))
    undone = still = None
    if not options.undo:
        made = _images(model, work, method(work, options=chosen, on_step=tell[0]), request)
    else:
        was = [request.labels] * request.count, [request.before] * request.count
        both = changed_and_not(
            work,
            method=options.method,
            chosen=chosen,
            seeds=request.seeds,
            tell=tell,
            outcome=outcome_of(model, judges, *was),
        )
        made, still = (_images(model, work, states, request) for states in both)
        steady = replace(options, variety=0.0)
        backward = method_options(steady, new, old, request.after, request.before, model.recipe)
        again = _back(model, made, request, region, judges)
        found = method(again, options=backward, on_step=tell[-1])
        undone = np.stack([_stored_units(model, x, modality) for x in torch.split(found, 1)])
    original = from_stored(to_stored(request.image, modality))
    return CounterfactualResult(
        images=made,
        difference=made - original,
        spread=made.std(0) if request.count > 1 else None,
        region=region,
        numbers=_numbers(model, request, made, undone, still, region, judges),
        recipe=_recipe(model, request, chosen, work.x),
        pixel_sha256=[pixel_sha256(to_stored(one, modality)) for one in made],
        seconds=perf_counter() - begun,
        undone=undone,
        unchanged=still,
    )


def _images(model: LoadedModel, work: Edit, states: Tensor, request: CounterfactualRequest) -> Image:
    """States [B, C, h, w] in HU or signal [B, rows, columns]; the image itself where nothing moved."""
    modality = request.before.modality
    original = from_stored(to_stored(request.image, modality))
    return np.stack(
        [
            original if torch.equal(x, was) else _stored_units(model, x, modality)
            for x, was in zip(torch.split(states, 1), torch.split(work.x, 1), strict=True)
        ]
    )


def prepare(
    model: LoadedModel,
    images: Sequence[Image],
    labels: Sequence[Labels],
    labels_after: Sequence[Labels],
    before: Sequence[Condition],
    after: Sequence[Condition],
    *,
    judges: Judges | None = None,
    seeds: Sequence[int] | None = None,
    regions: Sequence[Mask] | None = None,
) -> Edit:
    """The edit of a batch of images [rows, columns] in HU or signal, all of one modality.

    regions: where the change may act; by default where it belongs.
    """
    network, modality = model.network, before[0].modality
    device = network.device
    scaled = np.stack([model.normalise(image, modality) for image in images])[:, None]
    with torch.no_grad():
        x, _ = network.encode(torch.from_numpy(scaled).to(device))
    each = list(zip(labels, labels_after, before, after, strict=True))
    if regions is None:
        regions = [edited_region(*four) for four in each]
    soft = np.stack([softened(region) for region in regions])
    region = F.adaptive_avg_pool2d(torch.from_numpy(soft)[:, None].to(device), (x.shape[2], x.shape[3]))
    old, new = np.stack(labels), np.stack(labels_after)
    changes = list(map(level_of, after)) != list(map(level_of, before))
    outcome = outcome_of(model, judges, labels_after, after) if changes else None
    told, told_after = network.condition(old, before), network.condition(new, after)
    words = getattr(network, "prompts", None)
    between = instructions = None
    mostly = between_of(labels, labels_after, before, after)
    if mostly is not None:
        between = velocity_under(model, network.condition(new, mostly))
    if network.takes_image:
        instructions = Instructions(
            before=instructed(model, told),
            after=instructed(model, told_after),
            untold=instructed(model, network.unconditional(told_after)),
            times=lambda steps, sampler: model.times(steps, modality, sampler),
            kappa=lambda steps: model.kappa(steps, modality),
        )
    return Edit(
        x=x,
        before=velocity_under(model, told),
        after=velocity_under(model, told_after),
        region=region,
        start=network.start,
        outcome=outcome,
        generator=None if seeds is None else [torch.Generator().manual_seed(seed) for seed in seeds],
        network=network,
        told=tuple(told.to(device, network.dtype)),
        told_after=tuple(told_after.to(device, network.dtype)),
        said=tuple(captions_of(one, words) for one in before),
        said_after=tuple(captions_of(one, words) for one in after),
        instructions=instructions,
        between=between,
    )


def between_of(
    labels: Sequence[Labels],
    labels_after: Sequence[Labels],
    before: Sequence[Condition],
    after: Sequence[Condition],
) -> list[Condition] | None:
    """What is said of each image where all has changed but the severity; None where no more than that does.

    Under the masks to come, it lies between what the images show and what they shall show.
    """
    each = zip(labels, labels_after, before, after, strict=True)
    if [*map(level_of, before)] == [*map(level_of, after)]:
        return None
    if not any(changes_more_than_severity(*four) for four in each):
        return None
    return [but_severity(one, other) for one, other in zip(before, after, strict=True)]


def outcome_of(
    model: LoadedModel, judges: Judges | None, labels: Sequence[Labels], shown: Sequence[Condition]
) -> SeverityOutcome | None:
    """The reader of the severities that images are to show; None without one, or where they are not said."""
    levels = [one for one in map(level_of, shown) if one is not None]
    if judges is None or len(levels) < len(shown):
        return None
    masks = np.stack(labels)
    modality = shown[0].modality
    own = model.normalisation[modality]
    return SeverityOutcome(judges.severity, masks, modality, levels, model.network.decode, own)


def velocity_under(model: LoadedModel, condition: ConditionBatch) -> Velocity:
    """The network as a velocity v(x, t) under a condition, without guidance."""
    velocity = instructed(model, condition)
    return lambda x, t: velocity(x, t, None)


def instructed(model: LoadedModel, condition: ConditionBatch) -> Instructed:
    """The same for a network that is shown the image of states x_1, v(x, t, x_1); None shows none."""
    network = model.network
    device, dtype = network.device, network.dtype
    tensors = tuple(condition.to(device, dtype))

    def velocity(x: Tensor, t: Tensor, x_1: Tensor | None) -> Tensor:
        more = {} if x_1 is None else {"source": network.shown(x_1)}
        with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            v: Tensor = network(x, t.expand(len(x)), *tensors, **more)
        return v.float()

    return velocity


def method_options(
    options: EditOptions,
    labels: Labels,
    labels_after: Labels,
    before: Condition,
    after: Condition,
    recipe: Mapping[str, Any] | None = None,
) -> Any:
    """The method's own options from a request's, with what was left open decided by the change.

    What a model that is shown the image asks for stands in its recipe's `edit`: guidance, image_guidance,
    sampler.
    """
    values = options.to_json() | {"drift": Drift(delta=options.drift, scheme=options.drift_scheme)}
    strength, contrast = strength_and_contrast(labels, labels_after, before, after)
    if options.method in FROM_THE_NOISE:
        strength, contrast = 1.0, 1.0
    values["strength"] = strength if options.strength is None else options.strength
    values["contrast"] = contrast if options.contrast is None else options.contrast
    if options.method == "instruct_pix2pix":
        values = dict((recipe or {}).get("edit", {})) | values
    kind = COUNTERFACTUALS[options.method].load_options()
    return kind(**{one.name: values[one.name] for one in fields(kind) if one.name in values})


def _check(model: LoadedModel, request: CounterfactualRequest, judges: Judges | None) -> None:
    expected = (int(model.recipe["image"]["rows"]), int(model.recipe["image"]["columns"]))
    if request.image.shape != expected:
        raise SynthesisError(
            f"The image has {request.image.shape[0]} x {request.image.shape[1]} pixels, but this model works "
            f"on {expected[0]} x {expected[1]}. Fit image and mask to the model first."
        )
    if request.options.method not in COUNTERFACTUALS:
        known = ", ".join(COUNTERFACTUALS)
        raise SynthesisError(f'There is no method "{request.options.method}"; choose {known}.')
    offered = methods_of(model.recipe)
    if request.options.method not in offered:
        raise SynthesisError(
            f'This model cannot be edited by "{request.options.method}". Choose {" or ".join(offered)}, '
            "or another model."
        )
    if request.before.modality not in model.normalisation:
        known = ", ".join(model.normalisation)
        raise SynthesisError(f"This model knows {known}, not {request.before.modality}.")
    if request.options.method == "guided" and judges is None:
        raise SynthesisError(
            "This method follows the severity reader's verdict, and no reader is installed here. "
            "Choose another method."
        )
    if request.options.method in BACKWARDS and plan_of(model.network) == SEQUENTIAL:
        raise SynthesisError(
            "This model is so large that its layers come to this device one by one, and this method follows "
            "changes back through them. Choose another method."
        )


def _back(
    model: LoadedModel,
    images: Image,
    request: CounterfactualRequest,
    region: Mask,
    judges: Judges | None,
) -> Edit:
    """The edit that takes the change in the images back, from their stored integers."""
    count = request.count
    return prepare(
        model,
        list(images),
        [request.target_labels] * count,
        [request.labels] * count,
        [request.after] * count,
        [request.before] * count,
        judges=judges,
        seeds=request.seeds,
        regions=[region] * count,
    )


def _stored_units(model: LoadedModel, x: Tensor, modality: str) -> Image:
    """One state [1, C, h, w] in HU or signal, as it is stored."""
    return from_stored(to_stored(units(model, x, modality)[0], modality))


def _numbers(
    model: LoadedModel,
    request: CounterfactualRequest,
    made: Image,
    undone: Image | None,
    still: Image | None,
    region: Mask,
    judges: Judges | None,
) -> list[dict[str, Any]]:
    modality = request.before.modality
    low, high = model.recipe["image"].get("windows", WINDOWS)[modality]
    original = from_stored(to_stored(request.image, modality))
    alike = perceptual.installed()
    found: list[dict[str, Any]] = []
    for index, image in enumerate(made):
        row: dict[str, Any] = dict(minimality(image, original, region, data_range=high - low))
        if alike is not None:
            row["lpips"] = alike(image, original, low=low, high=high)
        if still is not None:
            row["unchanged"] = minimality(still[index], original, region, data_range=high - low)
        if undone is not None:
            row["undone"] = minimality(undone[index], original, region, data_range=high - low)
        if judges is not None:
            row["severity"] = {
                name: severity_read(judges.severity, one, mask, modality)
                for name, one, mask in (
                    ("before", original, request.labels),
                    ("after", image, request.target_labels),
                )
            }
            row["severity"]["followed"] = request.options.method == "guided"
        found.append(row)
    return found


def _recipe(model: LoadedModel, request: CounterfactualRequest, chosen: Any, x: Tensor) -> dict[str, Any]:
    """Everything the pixels depend on, as plain JSON; with image and masks it makes them again.

    Where the states x [B, C, ...] start drifted it tells as well how far that is.
    """
    used = {one.name: getattr(chosen, one.name) for one in fields(chosen) if one.name != "drift"}
    drift = getattr(chosen, "drift", None)
    size = {"drift_dc_sigma": drift_dc_sigma(drift.delta, x)} if drift is not None and drift.delta else {}
    return {
        "model": identity(model.recipe, model.weights_sha256),
        "before": request.before.to_json(),
        "after": request.after.to_json(),
        "options": request.options.to_json() | used,
        **size,
        "seed": request.seed,
        "count": request.count,
        "image_sha256": pixel_sha256(to_stored(request.image, request.before.modality)),
        "labels_sha256": labels_sha256(request.labels),
        "labels_after_sha256": labels_sha256(
            request.labels if request.labels_after is None else request.labels_after
        ),
        "shape": list(request.image.shape),
        "spacing_mm": list(request.spacing_mm),
        "unit": "HU" if request.before.modality == "CT" else "signal",
        "numerics": numerics(model.network.device, model.network.dtype, request.count),
        "versions": versions(),
    }
