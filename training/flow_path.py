"""What the objectives share: where on the flow's path to learn, and how errors there are weighed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from monai.losses import SSIMLoss
from peft import PeftModel
from torch import Tensor, nn

from synthesis.paths import interpolate, posterior_mean, time_like

if TYPE_CHECKING:
    from training.data import Batch
    from training.recipe import FlowSettings
    from training.run_state import RunState

SSIM_WINDOW = 11  # pixels, as in Wang et al. 2004


def draw_times(count: int, settings: FlowSettings, generator: torch.Generator, start: float = 0.0) -> Tensor:
    """Logit-normal times in (0, 1), a share uniform and a share exactly 0 instead: [count].

    Every sampler begins at t = 0, which a logit-normal law never visits: an organ that starts with
    the wrong mean keeps it, for later calls trust what they are given. For a network that begins at a
    later `start` the same law lies on start..1.
    """
    normal = torch.sigmoid(settings.time_mean + settings.time_std * torch.randn(count, generator=generator))
    uniform = torch.rand(count, generator=generator)
    which = torch.rand(count, generator=generator)
    first, even = settings.time_start, settings.time_start + settings.time_uniform
    times = torch.where(which < first, torch.zeros(count), torch.where(which < even, uniform, normal))
    return start + (1 - start) * times


def draw_noise(x_1: Tensor, generator: torch.Generator) -> Tensor:
    """Noise e ~ N(0, I) for the data x_1 [B, C, ...], on its device; drawn before the times."""
    return torch.randn(x_1.shape, generator=generator).to(x_1.device)


def drifted_noise(e: Tensor, t: Tensor, network: nn.Module, state: RunState | None) -> Tensor:
    """n = e + k(t) delta, the noise at the times t [B] of the path x_t = (1 - t) n + t x_1.

    Under the run's drift (math.md section 4, `TrainedDrift.noise_mean`) this is all that changes: loss
    and target x_1 - n are the same, and x_t + (1 - t) v still expects the data. e itself without one.
    """
    if state is None or not state.drift:
        return e
    preserving = bool(getattr(plain(network), "preserves_variance", False))
    return e + state.drift.noise_mean(e, t, preserving=preserving)


def plain(network: nn.Module) -> nn.Module:
    """The network itself, out of the wrappers that several devices and adapters need."""
    inner: Any = getattr(network, "module", network)
    return cast("nn.Module", inner.get_base_model() if isinstance(inner, PeftModel) else inner)


def start_of(network: nn.Module) -> float:
    """The time where this network begins, 0 for all that says nothing of it."""
    return float(getattr(plain(network), "start", 0.0))


def native_weights(t: Tensor, network: nn.Module) -> Tensor:
    """What a velocity's squared error is multiplied by to be that of the network's own prediction: [B].

    epsilon: n_hat = x - t v, so t^2. v_prediction: ((2 t - 1) x - r^2 v) / r, r^2 = t^2 + (1 - t)^2, so r^2.
    sample: x1_hat = x + (1 - t) v, so (1 - t)^2. flow: 1. (synthesis/variance_preserving.py)
    """
    prediction = getattr(getattr(plain(network), "options", None), "prediction", "flow")
    if prediction == "epsilon":
        return t**2
    if prediction == "v_prediction":
        return t**2 + (1 - t) ** 2
    if prediction == "sample":
        return (1 - t) ** 2
    return torch.ones_like(t)


def region_weights(labels: Tensor, settings: FlowSettings, size: tuple[int, int] | None = None) -> Tensor:
    """[B, H, W] labels to [B, 1, H, W] weights, 1 wherever no weight is set.

    `size`: of a smaller grid, that of a latent; each of its cells has the largest weight inside it.
    """
    weights = torch.ones_like(labels, dtype=torch.float32)
    for label, weight in settings.region_weights.items():
        weights[labels == int(label)] = weight
    return weights[:, None] if size is None else shrink_mask(weights[:, None], size)


def weighted_error(
    v: Tensor, target: Tensor, labels: Tensor, settings: FlowSettings, of_items: Tensor | None = None
) -> Tensor:
    """sum w |v - target|^2 / sum w, with the weights of the regions that `labels` [B, H, W] name.

    v, target: [B, C, h, w], on the labels' grid or on one smaller by a whole factor. `of_items` [B]
    multiplies the error of each item, without a change of the divisor.
    """
    weights = region_weights(labels, settings, (v.shape[2], v.shape[3]))
    error = (v.float() - target) ** 2
    if of_items is not None:
        error = error * time_like(of_items, error)
    return (weights * error).sum() / (weights.sum() * v.shape[1])


def path_loss(
    v: Tensor,
    x_t: Tensor,
    t: Tensor,
    ends: tuple[Tensor, Tensor],
    labels: Tensor,
    settings: FlowSettings,
    network: nn.Module | None = None,
) -> Tensor:
    """Stage 1's loss at one time: L_flow + w_2 |x1_hat - x_1|^2 + w_ssim (1 - SSIM(x1_hat, x_1)).

    `ends` are (n, x_1), the noise and the data whose path the state x_t lies on, and x1_hat = x_t +
    (1 - t) v. As x1_hat - x_1 = (1 - t)(v - (x_1 - n)), the squared error of the image is (1 - t)^2 times
    that of the velocity: the term asks for nothing new, it only weighs early times more, and leaves the
    optimum where it is. SSIM does not: it is no quadratic form of the error, so under it v is no longer
    exactly a conditional mean (math.md section 1.5). A weight of 0 leaves its term out. With
    settings.loss_on = "native" L_flow is the error of what `network` predicts itself (`native_weights`).
    """
    n, x_1 = ends
    native = settings.loss_on == "native" and network is not None
    of_items = native_weights(t, cast("nn.Module", network)) if native else None
    loss = weighted_error(v, x_1 - n, labels, settings, of_items)
    if not settings.weight_l2 and not settings.weight_ssim:
        return loss
    estimate = posterior_mean(x_t, v.float(), t)
    if settings.weight_l2:
        loss = loss + settings.weight_l2 * F.mse_loss(estimate, x_1)
    if settings.weight_ssim:
        loss = loss + settings.weight_ssim * unlikeness(estimate, x_1, settings.data_range)
    return loss


def flow_loss(
    network: nn.Module,
    batch: Batch,
    settings: FlowSettings,
    generator: torch.Generator,
    state: RunState | None = None,
) -> Tensor:
    """`path_loss` at drawn times of paths from drawn noise, around the run's drift, to the batch's images.

    Noise and times come from `generator`, so a step can be repeated exactly.
    """
    x_1 = batch.images
    e = draw_noise(x_1, generator)
    t = draw_times(x_1.shape[0], settings, generator, start_of(network)).to(x_1.device)
    n = drifted_noise(e, t, network, state)
    x_t = interpolate(n, x_1, t)
    v = network(x_t, t, *batch.condition)
    return path_loss(v, x_t, t, (n, x_1), batch.labels, settings, network)


def unlikeness(estimate: Tensor, x_1: Tensor, data_range: float) -> Tensor:
    """1 - SSIM, mean over the batch [B, C, ...], on the scale on which `data_range` is the whole range.

    Raises ValueError where the images are smaller than SSIM's window.
    """
    if min(estimate.shape[2:]) < SSIM_WINDOW:
        raise ValueError(
            f"weight_ssim: expected at least {SSIM_WINDOW} pixels a side for SSIM, "
            f"got {' x '.join(map(str, estimate.shape[2:]))}."
        )
    likeness = SSIMLoss(spatial_dims=estimate.ndim - 2, data_range=data_range, win_size=SSIM_WINDOW)
    return cast("Tensor", likeness(estimate, x_1))


def shrink_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask [B, 1, H, W] on a grid that is smaller by a whole factor: by maximum, so no lesion is lost.

    By nearest neighbour a lesion of one pixel would survive a factor of 4 in one case of 16 (in
    three dimensions of 64). Raises ValueError where the sizes do not divide.
    """
    factor = mask.shape[2] // size[0]
    if (size[0] * factor, size[1] * factor) != tuple(mask.shape[2:]):
        raise ValueError(f"a mask of {tuple(mask.shape[2:])} does not shrink to {size} by a whole factor")
    return F.max_pool2d(mask, factor) if factor > 1 else mask
