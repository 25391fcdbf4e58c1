"""The one statement of the time convention: t=0 is noise, t=1 is data, and v points to the data.

    x_t = (1 - t) n + t x_1,   n ~ N(delta, I),   v*(x, t) = E[x_1 - n | x_t = x]

`delta` is 0 unless the start law is drifted. Everything here follows from an L2-optimal velocity
(math.md sections 0 and 1; a velocity trained with L1 is a conditional median, for which these are
approximations). `t` is a number, a scalar tensor, or one value per item of the batch, [B].
"""

from __future__ import annotations

import torch
from torch import Tensor

Time = float | Tensor


def time_like(t: Time, x: Tensor) -> Time:
    """`t` in a shape that broadcasts against `x`: [B] becomes [B, 1, ..., 1], the rest stays."""
    if isinstance(t, Tensor) and t.ndim == 1 and isinstance(x, Tensor) and x.ndim > 1:
        return t.reshape(-1, *([1] * (x.ndim - 1)))
    return t


def interpolate(n: Tensor, x_1: Tensor, t: Time) -> Tensor:
    """The path itself: x_t = (1 - t) n + t x_1."""
    t = time_like(t, x_1)
    return (1 - t) * n + t * x_1


def posterior_mean(x: Tensor, v: Tensor, t: Time) -> Tensor:
    """E[x_1 | x_t = x] = x + (1 - t) v: Tweedie's estimate of the data (math.md 1.1)."""
    return x + (1 - time_like(t, x)) * v


def noise_mean(x: Tensor, v: Tensor, t: Time) -> Tensor:
    """E[n | x_t = x] = x - t v (math.md 1.1; holds for any drift of the start law)."""
    return x - time_like(t, x) * v


def velocity_from_posterior_mean(x: Tensor, x_1: Tensor, t: Time) -> Tensor:
    """The velocity whose posterior mean is `x_1`: v = (x_1 - x) / (1 - t), for t < 1."""
    return (x_1 - x) / (1 - time_like(t, x))


def scaled_score(x: Tensor, v: Tensor, t: Time, drift: float | Tensor = 0.0) -> Tensor:
    """(1 - t)^2 times the score, (1 - t)(t v - x + drift): finite up to t = 1 (math.md 1.3)."""
    t = time_like(t, x)
    return (1 - t) * (t * v - x + drift)


def score(x: Tensor, v: Tensor, t: Time, drift: float | Tensor = 0.0) -> Tensor:
    """The score of p_t: (t v - x + drift) / (1 - t), for t < 1 (math.md 1.2 and its last line).

    Raises ValueError at t = 1, where the score is not defined; `scaled_score` is finite there.
    """
    if bool(torch.any(torch.as_tensor(t) >= 1)):
        raise ValueError("score: expected t < 1, got t = 1; use scaled_score there.")
    t = time_like(t, x)
    return (t * v - x + drift) / (1 - t)
