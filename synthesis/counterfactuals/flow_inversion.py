"""Back along the flow under what the image shows, forth again under what it shall show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from synthesis.drift import drifted_velocity
from synthesis.editing import Edit
from synthesis.inversion import heun_step, inverted_path
from synthesis.paths import posterior_mean
from synthesis.round_trip import (
    Path,
    RoundTripOptions,
    both_ways,
    first_state,
    kept_outside,
    pulled,
    report,
    turning_time,
    weight_of,
)
from synthesis.stepping import OnSamplerStep, Velocity, evaluate

TOLERANCE = 2e-3  # of each step back, root mean square on the state's scale (0.2 HU for the shipped model)
SHIFT = 0.25  # of the time grid: short steps near the image, where its own noise makes the flow stiff


@dataclass(frozen=True, kw_only=True)
class Options(RoundTripOptions):
    """contrast: the weight g of

        v = v_before + g r (v_after - v_before),

    r being the edit's region where `confined`, else 1. For Gaussian laws whose covariances share their
    axes, variances p and q along one of them, an edit from the start carries a deviation from the mean
    to (q / p)^(g / 2) of itself: g = 1 ends in the new law; g = 2 is, where the old image is the new one
    plus something independent, the conditional mean of the new one, the least mean square error that
    there is. Where severity changes beside other things it alone is weighed, lest mean values go too far:

        v = v_before + r (v_between - v_before + g (v_after - v_between)).
    """

    strength: float = 0.5
    tolerance: float = TOLERANCE


def flow_inversion(
    edit: Edit, *, options: Options | None = None, on_step: OnSamplerStep | None = None
) -> Tensor:
    """The changed states [B, C, ...]; `edit.x` itself at strength 0.

    Heun's method both ways, its inverse by fixed point: with the condition unchanged the image comes
    back to within the tolerance. The way back takes half of the reports, the way forth the other half.
    """
    options = options or Options()
    if turning_time(edit, options) >= 1:
        return edit.x
    on_back, on_forth = both_ways(on_step, options.steps)
    path = way_back(edit, options, on_step=on_back)
    return way_forth(edit, path, options, on_step=on_forth)


def beside_unchanged(
    edit: Edit,
    still: Edit,
    *,
    options: Options,
    on_step: OnSamplerStep | None = None,
    on_still: OnSamplerStep | None = None,
) -> tuple[Tensor, Tensor]:
    """What `flow_inversion` makes of an edit and, without variety, of `still`, which asks for no change.

    Both share one way back, so that `on_still` hears of a way forth alone.
    """
    if turning_time(edit, options) >= 1:
        return edit.x, edit.x
    on_back, on_forth = both_ways(on_step, options.steps)
    path = way_back(edit, options, on_step=on_back)
    changed = way_forth(edit, path, options, on_step=on_forth)
    return changed, way_forth(still, path, replace(options, variety=0.0), on_step=on_still)


def way_back(edit: Edit, options: Options, *, on_step: OnSamplerStep | None = None) -> Path:
    """The image's own states [(t, x_t), ...] up to (1, x), under what it shows.

    Their times are `edit_times`, and halves of its steps where the flow is too stiff for a whole one. One
    way back may serve several ways forth.
    """
    times = edit_times(options.steps, turning_time(edit, options))
    return inverted_path(edit.before, edit.x, times, tolerance=options.tolerance, on_step=on_step)


def way_forth(edit: Edit, path: Path, options: Options, *, on_step: OnSamplerStep | None = None) -> Tensor:
    """From the first state of a way back to the changed image, under what it shall show."""
    x = first_state(edit.before, edit, path, options)
    changed = _changed(edit, options)
    velocity = drifted_velocity(changed, options.drift, is_trained_with_drift=False, steps=len(path) - 1)
    asked = edit_times(options.steps, path[0][0])
    for (a, _), (b, own) in pairwise(path):
        v = evaluate(velocity, x, a)
        estimate = posterior_mean(x, v, a)
        x = kept_outside(heun_step(velocity, x, a, b, v), own, b, edit, options)
        report(on_step, asked, b, x, estimate)
    return x


def _changed(edit: Edit, options: Options) -> Velocity:
    """The velocity of the way forth, with its contrast."""
    weight = weight_of(edit, options)
    if edit.between is None:
        return pulled(edit.before, edit.after, options.contrast * weight)
    firmer = pulled(edit.between, edit.after, options.contrast * torch.ones_like(weight))
    return pulled(edit.before, firmer, weight)


def edit_times(steps: int, begin: float) -> list[float]:
    """steps + 1 times from `begin` to 1, sigma = 1 - t shifted by SHIFT within 1 - begin."""
    if steps < 1 or not 0 <= begin < 1:
        raise ValueError(f"expected steps >= 1 and 0 <= begin < 1, got {steps} and {begin}.")
    inner = [1 - k / steps for k in range(1, steps)]
    sigmas = [SHIFT * s / (1 + (SHIFT - 1) * s) for s in inner]
    return [begin, *(1 - (1 - begin) * sigma for sigma in sigmas), 1.0]
