"""Uncertainty maps: how far each pixel may still differ once an image is known up to some noise.

    Cov[x_1 | x_t] = ((1-t)^2 / t) d x1_hat / d x_t,   x1_hat = x_t + (1-t) v(x_t, t)

(math.md 1.4; the posterior covariance of an L2-optimal velocity, as Tweedie's second-order formula
gives it). The diagonal of the Jacobian is estimated by probes, after Hutchinson.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthesis.checkpoints import LoadedModel
from synthesis.errors import SynthesisError
from synthesis.footprint import WHOLE
from synthesis.imaging.uncertainty import PROBES_AT_ONCE, Options, UncertaintyMap, refusal
from synthesis.networks import ConditionBatch
from synthesis.paths import interpolate, posterior_mean
from synthesis.placement import plan_of
from synthesis.reproduction import repeatable
from synthesis.request import SEED_LIMIT, Condition

Estimate = Callable[[Tensor], Tensor]

NOISE_STREAM = 0x5EED  # keeps a map's noise apart from the noise that its image was drawn from
# Length of the central difference through a decoder, in spreads of the state; 16 bits round to 1/256 or so.
PUSH, PUSH_16 = 1e-2, 0.2
TOO_LARGE = (
    "This model is too large to lie on this device whole, and an uncertainty map needs that. "
    "Leave the map out."
)


def check_map(model: LoadedModel, *, guidance: float = 1.0) -> None:
    """Raise SynthesisError, in a sentence, where no map can be made with this model as it lies.

    What reads gradients reads the weights once more after the call, when visiting ones have left the device.
    """
    problem = refusal(model.recipe, guidance=guidance)
    if problem is None and plan_of(model.network) != WHOLE:
        problem = TOO_LARGE
    if problem is not None:
        raise SynthesisError(problem)


@repeatable()
def uncertainty_map(
    model: LoadedModel,
    image: npt.NDArray[np.floating],
    labels: npt.NDArray[np.uint8],
    condition: Condition,
    *,
    seed: int,
    options: Options | None = None,
    batch: int = PROBES_AT_ONCE,
    on_probe: Callable[[int, int], None] | None = None,
) -> UncertaintyMap:
    """The map of an image [rows, columns] in HU or signal under its labels and condition.

    The image is seen through fresh noise, x_t = (1-t) n + t x_1, one draw a round: whatever sampler drew
    it and in how many steps, such a state obeys the law that the network was trained on. `seed` decides
    noise and probes. `on_probe(done, probes)` is called after every `batch` of them; what it raises ends
    the work.

    Raises SynthesisError where `check_map` does.
    """
    check_map(model)
    options = options or Options()
    modality = condition.modality
    scaled = torch.from_numpy(model.normalise(image, modality))[None, None].to(model.network.device)
    generator = torch.Generator().manual_seed((seed + NOISE_STREAM) % SEED_LIMIT)
    with torch.no_grad():
        x_1 = model.network.encode(scaled)[0]  # [1, C, h, w]
    stated = model.network.condition(labels[None], [condition])
    rounds = []
    for number in range(options.rounds):
        noise = torch.randn(x_1.shape, generator=generator).to(x_1.device)
        rounds.append(
            posterior_variance(
                estimate_at(model, stated, options.t),
                interpolate(noise, x_1, options.t),
                options.t,
                spacing=options.spacing,
                generator=generator,
                batch=batch,
                decode=model.network.decode if model.network.in_latents else None,
                push=push_in(model.network.dtype),
                on_probe=_counted(on_probe, number * options.spacing**2, options.probes),
            )[0, 0]
        )
    return _summed_up(model, scaled[0, 0], torch.stack(rounds), modality, options)


def posterior_variance(
    estimate: Estimate,
    x: Tensor,
    t: float,
    *,
    spacing: int = 1,
    generator: torch.Generator | None = None,
    batch: int = PROBES_AT_ONCE,
    decode: Estimate | None = None,
    push: float = PUSH,
    on_probe: Callable[[int], None] | None = None,
) -> Tensor:
    """One estimate of the diagonal of Cov[x_1 | x_t = x], in the shape of `x` [1, C, h, w].

    `estimate` maps states [B, C, h, w] at time t to E[x_1 | x_t]. Probes z are +1 or -1 on a lattice of
    pixels `spacing` apart and 0 elsewhere, one for each place of the lattice: E[z (J^T z)] is the diagonal,
    and what near neighbours would add to its scatter is left out (Tang and Saad 2012; spacing 1 is
    Hutchinson's own probe). J^T z is reverse mode, which every network has; forward mode stops at fused
    attention.
    With a decoder g the variances are those of g(x_1) to first order, diag(G J G^T), G the Jacobian of g;
    `push` is how far the central difference for G goes, in standard deviations of the direction.
    """
    with torch.no_grad():
        x_1 = estimate(x)
        shape = x.shape if decode is None else decode(x_1).shape
    total = torch.zeros(shape, device=x.device)
    done = 0
    for part in torch.split(_lattice(shape, spacing, generator).to(x.device), batch):
        pulled = _pull(estimate, decode, x, part)
        pushed = pulled if decode is None else _push(decode, x_1, pulled, push)
        total += (part * pushed).sum(0, keepdim=True)
        done += len(part)
        if on_probe is not None:
            on_probe(done)
    return total * ((1 - t) ** 2 / t)


def push_in(dtype: torch.dtype) -> float:
    """How far the difference goes through a decoder of that type: further where rounding is coarse."""
    return PUSH if dtype.itemsize >= 4 else PUSH_16


def estimate_at(model: LoadedModel, stated: ConditionBatch, t: float) -> Estimate:
    """x1_hat under the condition, for any number of states."""
    device, dtype = model.network.device, model.network.dtype
    tensors = tuple(stated.to(device, dtype))

    def estimate(x: Tensor) -> Tensor:
        each = tuple(one.expand(len(x), *one.shape[1:]) for one in tensors)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            v: Tensor = model.network(x.to(dtype), torch.full((len(x),), t, device=device), *each)
        return posterior_mean(x, v.float(), t)

    return estimate


def _lattice(shape: torch.Size, spacing: int, generator: torch.Generator | None) -> Tensor:
    """Probes [spacing^2, C, h, w] whose supports share out every pixel of `shape` [1, C, h, w]."""
    signs = torch.randint(0, 2, (1, *shape[1:]), generator=generator).float() * 2 - 1
    probes = torch.zeros((spacing**2, *shape[1:]))
    for place in range(spacing**2):
        row, column = divmod(place, spacing)
        probes[place, :, row::spacing, column::spacing] = signs[0, :, row::spacing, column::spacing]
    return probes


def _pull(estimate: Estimate, decode: Estimate | None, x: Tensor, probes: Tensor) -> Tensor:
    """J^T z for every probe, with a decoder J^T G^T z: [B, C, h, w]."""
    with torch.enable_grad():
        states = x.detach().repeat(len(probes), *[1] * (x.ndim - 1)).requires_grad_(True)
        seen = estimate(states)
        (found,) = torch.autograd.grad(seen if decode is None else decode(seen), states, probes)
    return found


def _push(decode: Estimate, x_1: Tensor, directions: Tensor, push: float) -> Tensor:
    """G w for every direction w [B, C, h, w], by a central difference through the decoder."""
    length = directions.flatten(1).std(1).clamp(min=1e-12).reshape(-1, *[1] * (directions.ndim - 1))
    step = push * directions / length
    with torch.no_grad():
        return (decode(x_1 + step) - decode(x_1 - step)) * (length / (2 * push))


def _summed_up(
    model: LoadedModel, scaled: Tensor, rounds: Tensor, modality: str, options: Options
) -> UncertaintyMap:
    """Rounds [R, rows, columns] of variances on the network's scale as one map in real units.

    The scale is bent, so the map is half the distance in real units between one deviation below and above.
    """
    variance = rounds.mean(0)
    error = None
    if len(rounds) > 1:
        scatter = rounds.var(0).mean() / len(rounds)
        # of the deviation: half the relative error of the variance
        error = float(scatter.sqrt() / variance.mean().clamp(min=1e-12) / 2)
    std = variance.clamp(min=0).sqrt().cpu().numpy()
    middle = scaled.cpu().numpy()
    low, high = (model.denormalise(middle + sign * std, modality) for sign in (-1, 1))
    return UncertaintyMap(
        std=np.asarray((high - low) / 2, np.float32),
        t=options.t,
        probes=options.probes,
        probe_error=error,
        below_zero=float((variance < 0).float().mean()),
    )


def _counted(
    on_probe: Callable[[int, int], None] | None, before: int, total: int
) -> Callable[[int], None] | None:
    if on_probe is None:
        return None
    return lambda done: on_probe(before + done, total)
