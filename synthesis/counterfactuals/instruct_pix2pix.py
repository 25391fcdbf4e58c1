"""A network that is shown the image draws it anew as the new condition says: InstructPix2Pix."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from synthesis.catalog import SAMPLERS
from synthesis.drift import NO_DRIFT, Drift, drifted_velocity, spread
from synthesis.editing import Edit, Instructions
from synthesis.errors import SynthesisError
from synthesis.inversion import drifted_start
from synthesis.round_trip import pulled
from synthesis.stepping import OnSamplerStep, Velocity, noise_like
from synthesis.variance_preserving import scale


@dataclass(frozen=True, kw_only=True)
class Options:
    """guidance: s_T, how firmly the new condition is followed; image_guidance: s_I, how firmly the image is
    kept; at 1 and 1 the network is followed as it is, with one call a step instead of two or three.
    sampler: a name in SAMPLERS. steps: its steps; one alone answers the mean of all images that fit, more of
    them one of these. kappa: RFT's correction, None for what the model is calibrated to. strength: 1
    begins from pure noise; less, from the image with that much noise, so that less can change; 0 returns it.
    confined: outside the edit's region the old condition is followed. blend: outside it the image itself
    is kept. drift: moves the start, and the steps.
    """

    guidance: float = 1.0
    image_guidance: float = 1.0
    sampler: str = "euler"
    steps: int = 8
    kappa: float | None = None
    strength: float = 1.0
    confined: bool = True
    blend: bool = False
    drift: Drift = NO_DRIFT


def instruct_pix2pix(
    edit: Edit, *, options: Options | None = None, on_step: OnSamplerStep | None = None
) -> Tensor:
    """The changed states [B, C, ...], drawn from each item's own noise; `edit.x` itself at strength 0.

        v = v(0, 0) + s_I (v(0, I) - v(0, 0)) + s_T (v(c, I) - v(0, I))

    (Brooks et al., CVPR 2023, equation 3, for the velocity, which is linear in their score.) The sampler
    makes the reports. Raises SynthesisError for a network that is shown no image.
    """
    options = options or Options()
    if options.strength == 0:
        return edit.x
    if edit.instructions is None:
        raise SynthesisError(
            "This method needs a model that was trained to change images: one that is shown the image. "
            "Choose another model, or another method."
        )
    begin = max(edit.start, 1 - options.strength)
    times = _times(edit.instructions, edit.start, begin, options)
    velocity = drifted_velocity(
        _confined(edit, edit.instructions, options),
        options.drift,
        is_trained_with_drift=False,
        steps=options.steps,
    )
    found: Tensor = SAMPLERS[options.sampler].load()(
        _blended(edit, velocity, options),
        _first_state(edit, begin, options),
        times,
        options=_sampler_options(edit, edit.instructions, options),
        on_step=on_step,
        generator=edit.generator,
    )
    return edit.x + edit.region * (found - edit.x) if options.blend else found


def guided_twice(instructions: Instructions, source: Tensor, options: Options) -> Velocity:
    """v(x, t) with both weights; what they cancel is not asked for."""
    s_i, s_t = options.image_guidance, options.guidance

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        v = s_t * instructions.after(x, t, source)
        if s_i != s_t:
            v = v + (s_i - s_t) * instructions.untold(x, t, source)
        return v + (1 - s_i) * instructions.untold(x, t, None) if s_i != 1 else v

    return velocity


def _confined(edit: Edit, instructions: Instructions, options: Options) -> Velocity:
    """v_before + r (v - v_before), r the region: where nothing is asked, the old condition and the image."""
    velocity = guided_twice(instructions, edit.x, options)

    def steady(x: Tensor, t: Tensor) -> Tensor:
        return instructions.before(x, t, edit.x)

    return pulled(steady, velocity, edit.region) if options.confined else velocity


def _blended(edit: Edit, velocity: Velocity, options: Options) -> Velocity:
    """Outside the region the velocity (x_1 - x) / (1 - t) of the path that ends in the image x_1 itself."""
    if not options.blend:
        return velocity

    def blended(x: Tensor, t: Tensor) -> Tensor:
        to_image = (edit.x - x) / (1 - t)
        return to_image + edit.region * (velocity(x, t) - to_image)

    return blended


def _first_state(edit: Edit, begin: float, options: Options) -> Tensor:
    """The state at `begin`: noise alone at the network's start, else (1 - t) n + t x_1; n ~ N(delta, I)."""
    noise = noise_like(edit.x, edit.generator)
    x = noise * scale(begin) if begin == edit.start else (1 - begin) * noise + begin * edit.x
    return drifted_start(x, begin, options.drift)


def _times(instructions: Instructions, start: float, begin: float, options: Options) -> list[float]:
    """The model's grid, squeezed into what is left of it from `begin` on."""
    grid = instructions.times(options.steps, options.sampler)
    return [begin + (t - start) * (1 - begin) / (1 - start) for t in grid[:-1]] + [1.0]


def _sampler_options(edit: Edit, instructions: Instructions, options: Options) -> Any:
    """The sampler's own: RFT's correction, and the mean of the start law that its score counts from."""
    kind = SAMPLERS[options.sampler].load_options()
    known = {one.name for one in fields(kind)}
    values: dict[str, Any] = {}
    if "kappa" in known:
        values["kappa"] = instructions.kappa(options.steps) if options.kappa is None else options.kappa
    if "drift" in known and options.drift.scheme in ("noise", "prior"):
        delta = options.drift.delta
        values["drift"] = spread(delta, edit.x) if isinstance(delta, Tensor) else delta
    return kind(**values)
