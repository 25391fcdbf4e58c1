"""Back along the flow under what the image shows, forth again under what it shall show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from synthesis.drift import Drift, drifted_velocity
from synthesis.editing import Edit, counted
from synthesis.inversion import beside_drift, drifted_start, heun_step, inverted_path, renewed
from synthesis.paths import posterior_mean
from synthesis.stepping import OnSamplerStep, SamplerStep, Velocity, evaluate

TOLERANCE = 2e-3  # of each step back, root mean square on the state's scale (0.2 HU for the shipped model)
SHIFT = 0.25  # of the time grid: short steps near the image, where its own noise makes the flow stiff
NO_DRIFT = Drift()


@dataclass(frozen=True, kw_only=True)
class Options:
    """strength: how far back, 1 to the noise itself. steps: each way. contrast: the weight g of

        v = v_before + g r (v_after - v_before),

    r being the edit's region where `confined`, else 1. For Gaussian laws whose covariances share their
    axes, variances p and q along one of them, an edit from the start carries a deviation from the mean
    to (q / p)^(g / 2) of itself: g = 1 ends in the new law; g = 2 is, where the old image is the new one
    plus something independent, the conditional mean of the new one, the least mean square error that
    there is. blend: outside the region the path of the image itself is kept. variety: share of the noise
    in the region drawn anew. drift: moves the state the way forth starts from, and its steps; of the drift
    that a network was trained with its velocity is free already (`synthesis.networks.Network`).
    """

    strength: float = 0.5
    steps: int = 8
    contrast: float = 1.0
    confined: bool = True
    blend: bool = False
    variety: float = 0.0
    drift: Drift = NO_DRIFT
    tolerance: float = TOLERANCE


def flow_inversion(
    edit: Edit, *, options: Options | None = None, on_step: OnSamplerStep | None = None
) -> Tensor:
    """The changed states [B, C, ...]; `edit.x` itself at strength 0.

    Heun's method both ways, its inverse by fixed point: with the condition unchanged the image comes
    back to within the tolerance. The way back takes half of the reports, the way forth the other half.
    """
    options = options or Options()
    if max(edit.start, 1 - options.strength) >= 1:
        return edit.x
    total = 2 * options.steps
    path = way_back(edit, options, on_step=counted(on_step, done=0, total=total))
    return way_forth(edit, path, options, on_step=counted(on_step, done=options.steps, total=total))


def beside_unchanged(
    edit: Edit,
    still: Edit,
    *,
    options: Options,
    on_step: OnSamplerStep | None = None,
    on_still: OnSamplerStep | None = None,
) -> tuple[Tensor, Tensor]:
    """What `flow_inversion` makes of an edit and, without variety, of `still`, which asks for no change.

    Both share one way back, so the reports of the second begin half done.
    """
    if max(edit.start, 1 - options.strength) >= 1:
        return edit.x, edit.x
    steps, total = options.steps, 2 * options.steps
    path = way_back(edit, options, on_step=counted(on_step, done=0, total=total))
    changed = way_forth(edit, path, options, on_step=counted(on_step, done=steps, total=total))
    steady = replace(options, variety=0.0)
    return changed, way_forth(still, path, steady, on_step=counted(on_still, done=steps, total=total))


Path = list[tuple[float, Tensor]]


def way_back(edit: Edit, options: Options, *, on_step: OnSamplerStep | None = None) -> Path:
    """The image's own states [(t, x_t), ...] up to (1, x), under what it shows.

    Their times are `edit_times`, and halves of its steps where the flow is too stiff for a whole one. One
    way back may serve several ways forth.
    """
    times = edit_times(options.steps, max(edit.start, 1 - options.strength))
    return inverted_path(edit.before, edit.x, times, tolerance=options.tolerance, on_step=on_step)


def way_forth(edit: Edit, path: Path, options: Options, *, on_step: OnSamplerStep | None = None) -> Tensor:
    """From the first state of a way back to the changed image, under what it shall show."""
    begin, x = path[0]
    if options.variety:
        x = renewed(edit.before, x, begin, options.variety * edit.region, edit.generator)
    x = drifted_start(x, begin, options.drift)
    velocity = drifted_velocity(
        _pulled(edit, options), options.drift, is_trained_with_drift=False, steps=len(path) - 1
    )
    asked = edit_times(options.steps, begin)
    for (a, _), (b, kept) in pairwise(path):
        v = evaluate(velocity, x, a)
        estimate = posterior_mean(x, v, a)
        x = heun_step(velocity, x, a, b, v)
        if options.blend:
            own = beside_drift(kept, b, options.drift)
            x = own + edit.region * (x - own)
        if on_step is not None and b in asked:
            on_step(SamplerStep(asked.index(b), options.steps, b, x, estimate))
    return x


def edit_times(steps: int, begin: float) -> list[float]:
    """steps + 1 times from `begin` to 1, sigma = 1 - t shifted by SHIFT within 1 - begin."""
    if steps < 1 or not 0 <= begin < 1:
        raise ValueError(f"expected steps >= 1 and 0 <= begin < 1, got {steps} and {begin}.")
    inner = [1 - k / steps for k in range(1, steps)]
    sigmas = [SHIFT * s / (1 + (SHIFT - 1) * s) for s in inner]
    return [begin, *(1 - (1 - begin) * sigma for sigma in sigmas), 1.0]


def _pulled(edit: Edit, options: Options) -> Velocity:
    """v_before + g r (v_after - v_before)."""
    weight = options.contrast * (edit.region if options.confined else torch.ones_like(edit.region))

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        v = edit.before(x, t)
        return v + weight * (edit.after(x, t) - v)

    return edit.after if edit.after is edit.before or bool((weight == 1).all()) else velocity
