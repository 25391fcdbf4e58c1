"""How far noise is from white: the two terms that keep an inverted image's noise editable, and their descent.

Parmar et al., "Zero-shot Image-to-Image Translation", SIGGRAPH 2023, section 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 8  # pixels to a side of the coarsest scale
FLOOR = 1e-7  # under the logarithm of a variance
HALVINGS = 6  # how often a step that does not lower the terms is halved before it is given up


def pair_loss(noise: Tensor) -> Tensor:
    """The correlation of noise [B, C, h, w] with itself moved by some pixels, squared and added up, [B].

    At each scale r(d) = mean over the pixels of n(p) n(p + d), n going round at its edges; r^2 is averaged
    over d = 1 ... half a side, along rows and along columns, and added up over both, over the channels and
    over the scales. The authors draw one d at random in each round: this is what they mean on average, and
    the same every time. Each scale is the mean over 2 x 2 pixels, times 2, which leaves white noise white,
    down to SMALLEST. White noise: 1 / pixels of each scale, in each direction and channel. A constant c:
    16^k c^4 at scale k.
    """
    total = noise.new_zeros(len(noise))
    while True:
        for axis in (2, 3):
            side = noise.shape[axis]
            power = torch.fft.rfft(noise, dim=axis).abs().square()
            along = torch.fft.irfft(power, n=side, dim=axis) / side  # [B, C, ...], r(d) along `axis`
            r = along.mean(2 if axis == 3 else 3)  # [B, C, side]
            total = total + r[..., 1 : side // 2 + 1].square().mean(-1).sum(1)
        if min(noise.shape[2:]) <= SMALLEST:
            return total
        noise = _coarser(noise)


def normal_loss(noise: Tensor) -> Tensor:
    """s^2 + m^2 - 1 - log s^2 of each item's mean m and variance s^2, [B]: twice KL(N(m, s^2) | N(0, 1))."""
    flat = noise.flatten(1)
    mean, variance = flat.mean(1), flat.var(1)
    return variance + mean.square() - 1 - torch.log(variance + FLOOR)


def whitened(noise: Tensor, weight: float, rounds: int) -> Tensor:
    """Noise [B, C, h, w] after some rounds of n - weight grad (pair + normal), each item for itself.

    A step that would not lower their sum, as long steps on small images would not, is halved until it does,
    at most HALVINGS times, and else left out. A weight of 0 returns the noise itself.
    """
    if weight == 0:
        return noise
    for _ in range(rounds):
        noise = _lowered(noise, weight)
    return noise


def white_loss(noise: Tensor) -> Tensor:
    """Both terms, [B]."""
    return pair_loss(noise) + normal_loss(noise)


def _lowered(noise: Tensor, weight: float) -> Tensor:
    with torch.enable_grad():
        leaf = noise.detach().float().requires_grad_(True)
        before = white_loss(leaf)
        (gradient,) = torch.autograd.grad(before.sum(), leaf)
    origin, before = leaf.detach(), before.detach()
    step = torch.full((len(noise), 1, 1, 1), weight, device=noise.device)
    found, pending = origin, torch.ones_like(step, dtype=torch.bool)
    for _ in range(HALVINGS + 1):
        ahead = origin - step * gradient
        lower = (white_loss(ahead) < before).reshape(-1, 1, 1, 1)
        found = torch.where(pending & lower, ahead, found)
        pending = pending & ~lower
        if not bool(pending.any()):
            break
        step = step / 2
    return found.to(noise.dtype)


def _coarser(noise: Tensor) -> Tensor:
    """Means over 2 x 2 pixels, times 2; a last odd row or column is left out."""
    batch, channels, rows, columns = noise.shape
    even = noise[:, :, : rows // 2 * 2, : columns // 2 * 2]
    return even.reshape(batch, channels, rows // 2, 2, columns // 2, 2).sum((3, 5)) / 2
