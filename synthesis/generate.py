"""The story, top to bottom: from a request and a loaded model to images in real units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthesis.catalog import SAMPLERS
from synthesis.checkpoints import LoadedModel
from synthesis.errors import SynthesisError
from synthesis.guidance import guided
from synthesis.imaging.storage import from_stored, labels_sha256, pixel_sha256, to_stored
from synthesis.metrics.quality import Judge, quality
from synthesis.networks import ConditionBatch, first_state
from synthesis.options import options_of
from synthesis.reporting import reporter, units
from synthesis.reproduction import identity, numerics, repeatable, versions
from synthesis.request import OnStep, SynthesisRequest, SynthesisResult
from synthesis.stepping import SpanVelocity, Velocity, noise_like


def generate(
    model: LoadedModel,
    request: SynthesisRequest,
    *,
    on_step: OnStep | None = None,
    batch: int = 1,
    judge: Judge | None = None,
) -> SynthesisResult:
    """Make `request.count` images that obey the request's labels and condition.

    Every image has a noise stream of its own, drawn on the CPU from its seed alone. `batch`
    images share one network call; their noise does not depend on it, though the last bits of the
    network's arithmetic may, so it is recorded. `on_step` is called after each sampler step of
    each batch; `Cancelled` raised there ends the work. `judge` adds its own quality numbers.

    Raises SynthesisError, in words for the clinician, where this model cannot serve the request.
    """
    begun = perf_counter()
    _check(model, request)
    modality = request.condition.modality
    settings = _sampler_settings(model, request)
    sampler = SAMPLERS[request.sampler.name].load()
    options = SAMPLERS[request.sampler.name].load_options()
    chosen = options(**{f.name: settings[f.name] for f in fields(options) if f.name in settings})
    stored = []
    with repeatable():
        for first in range(0, request.count, batch):
            seeds = request.seeds[first : first + batch]
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            x_1 = sampler(
                _velocity(model, request, len(seeds)),
                first_state(model.network, noise_like(_blank(model, request, len(seeds)), generators)),
                settings["times"],
                options=chosen,
                on_step=reporter(model, modality, on_step, image=first + 1, images=request.count),
                generator=generators,
            )
            stored += [to_stored(image, modality) for image in units(model, x_1, modality)]
    images = np.stack([from_stored(one) for one in stored])
    return SynthesisResult(
        images=images,
        seeds=request.seeds,
        recipe=_recipe(model, request, settings, min(batch, request.count)),
        pixel_sha256=[pixel_sha256(one) for one in stored],
        quality=[quality(image, request.labels, request.condition, model.recipe, judge) for image in images],
        seconds=perf_counter() - begun,
    )


def _check(model: LoadedModel, request: SynthesisRequest) -> None:
    """Refuse what would fail inside; `preflight` says the same, and more, before submitting."""
    if model.network.takes_image:
        raise SynthesisError(
            "This model was trained to change images and draws none from nothing. Choose another model, or "
            "open an image and change it."
        )
    image = model.recipe["image"]
    expected = (int(image["rows"]), int(image["columns"]))
    if request.labels.shape != expected:
        raise SynthesisError(
            f"The mask has {request.labels.shape[0]} x {request.labels.shape[1]} pixels, but this model "
            f"draws {expected[0]} x {expected[1]}. Fit the mask to the model first."
        )
    if request.sampler.name not in SAMPLERS:
        raise SynthesisError(f'There is no sampler "{request.sampler.name}"; choose {", ".join(SAMPLERS)}.')
    only = SAMPLERS[request.sampler.name].steps
    if only is not None and request.sampler.steps != only:
        label = SAMPLERS[request.sampler.name].label
        raise SynthesisError(f"The sampler “{label}” takes {only} step, not {request.sampler.steps}.")
    if request.condition.modality not in model.normalisation:
        known = ", ".join(model.normalisation)
        raise SynthesisError(f"This model draws {known}, not {request.condition.modality}.")


def _sampler_settings(model: LoadedModel, request: SynthesisRequest) -> dict[str, Any]:
    """The sampler options as they are used: the model's time grid, and its values where none is given."""
    settings = request.sampler.to_json()
    sampler, modality = request.sampler, request.condition.modality
    if settings["kappa"] is None:
        settings["kappa"] = model.kappa(sampler.steps, modality)
    if sampler.name == "shortcut":
        settings.setdefault("temperature", model.temperature(sampler.steps, modality))
    for option in options_of(sampler.name):
        settings.setdefault(option.name, option.default)
    return {**settings, "times": model.times(sampler.steps, modality, sampler.name)}


def _device(model: LoadedModel) -> tuple[torch.device, torch.dtype]:
    return model.network.device, model.network.dtype


def _blank(model: LoadedModel, request: SynthesisRequest, batch: int) -> Tensor:
    """States [B, C, h, w] float32 of nothing, on the model's device."""
    rows, columns = request.labels.shape
    return torch.empty((batch, *model.network.state_shape(rows, columns)), device=_device(model)[0])


def _velocity(model: LoadedModel, request: SynthesisRequest, batch: int) -> Velocity:
    """The network as a velocity v(x, t) under the request's condition and guidance."""
    device, dtype = _device(model)
    network = model.network
    stated = network.condition(np.stack([request.labels] * batch), [request.condition] * batch)

    def under(condition: ConditionBatch) -> Velocity:
        tensors = tuple(condition.to(device, dtype))

        def velocity(x: Tensor, t: Tensor, *span: Tensor) -> Tensor:
            with (
                torch.inference_mode(),
                torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
            ):
                v: Tensor = network(x, t.expand(batch), *tensors, *span)
            return v.float()

        return SpanVelocity(velocity) if network.spans else velocity

    if request.sampler.guidance == 1:
        return under(stated)
    return guided(under(stated), under(network.unconditional(stated)), request.sampler.guidance)


def _recipe(
    model: LoadedModel, request: SynthesisRequest, settings: Mapping[str, Any], batch: int
) -> dict[str, Any]:
    """Everything the pixels depend on, as plain JSON; with the labels it makes them again."""
    return {
        "model": identity(model.recipe, model.weights_sha256),
        "condition": request.condition.to_json(),
        "sampler": dict(settings),
        "seed": request.seed,
        "count": request.count,
        "labels_sha256": labels_sha256(request.labels),
        "shape": list(request.labels.shape),
        "spacing_mm": list(request.spacing_mm),
        "unit": "HU" if request.condition.modality == "CT" else "signal",
        "numerics": numerics(*_device(model), batch),
        "versions": versions(),
    }
