"""Latent drifting: a start law N(delta, I) instead of N(0, I), and what it asks of every step (math.md 4).

With x the state, alpha_bar A (1 at the data, A_T at the start) and a mean mu(A) that is 0 at the data:

    q(x | x_data) = N(sqrt(A) x_data + mu(A), (1 - A) I)

Then y = x - mu(A) is the ordinary diffusion, so every sampler becomes x_b = step(x_a - mu(A_a)) + mu(A_b);
the network sees x and still predicts noise of mean 0. Schemes:

    noise      mu = sqrt(1 - A) delta      the noise itself is drifted; the paper's shifted z_T
    prior      mu = (1 - sqrt(A)) delta    ordinary diffusion of x_data - delta (Zhou et al., CVPR 2023)
    init_only  the start alone is moved, the network and its steps are unchanged
    literal    delta / N is added after every one of N steps, as the paper prints it, but bounded

Only `noise` and `prior` are self-consistent: their reverse process ends in the law it was trained on.
A rectified flow has n ~ N(delta, I) and mu(t) = (1 - t) delta for both of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthesis.drift_size import SCHEMES
from synthesis.paths import Time, time_like
from synthesis.stepping import Velocity

TRAINED = SCHEMES[:2]  # those that a network can be trained with

Delta = float | Tensor
# (state, predicted noise, alpha_bar now, alpha_bar next, fresh noise) -> next state
Step = Callable[[Tensor, Tensor, float, float, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far and in which way.

    delta: one number; one per channel, [C]; or one per place, [C, ...] or [1, ...].
    scheme: one of SCHEMES.
    raw: `literal` only: add the whole delta after every step. Its effect grows with the number of
        steps without bound (35 times delta at 50 DDIM steps), so a warning is given.
    """

    delta: Delta = 0.0
    scheme: str = "noise"
    raw: bool = False

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ValueError(f"scheme: expected one of {', '.join(SCHEMES)}, got {self.scheme}.")
        if self.raw and self.scheme != "literal":
            raise ValueError(f"raw: expected only with the scheme literal, got {self.scheme}.")
        if self.raw:
            warnings.warn(
                "The drift is added whole after every step: its effect grows with the number of steps.",
                stacklevel=2,
            )

    def mean(self, alpha_bar: float) -> Delta:
        """mu at that alpha_bar: what x carries beyond the ordinary diffusion's state."""
        if self.scheme == "noise":
            return self.delta * sqrt(1 - alpha_bar)
        if self.scheme == "prior":
            return self.delta * (1 - sqrt(alpha_bar))
        return self.delta * 0.0

    def reverse_shift(self, now: float, following: float) -> Delta:
        """k = mu(A_b) - gamma mu(A_a): what is added to the DDPM mean gamma x + eta x_hat.

        gamma = sqrt(a) (1 - A_b) / (1 - A_a), a = A_a / A_b, with x_hat predicted from x - mu(A_a).
        `now` and `following` are alpha_bar before and after the step.
        """
        gamma = sqrt(now / following) * (1 - following) / (1 - now)
        return self.mean(following) - gamma * self.mean(now)

    def moves_the_start(self) -> bool:
        """Whether the first state is drawn around delta (all schemes but `literal`)."""
        return self.scheme != "literal"


NO_DRIFT = Drift()


@dataclass(frozen=True, kw_only=True)
class TrainedDrift:
    """The drift that a network was trained with: what a recipe's `drift` says, in plain values.

    delta: one number, or one per channel of its states. scheme: "noise" or "prior".
    Raises ValueError for anything else.
    """

    delta: float | tuple[float, ...] = 0.0
    scheme: str = "noise"

    def __post_init__(self) -> None:
        values = self.delta if isinstance(self.delta, tuple | list) else (self.delta,)
        if not values or any(type(one) not in (int, float) or not isfinite(one) for one in values):
            raise ValueError(f"drift: expected delta as a number or one per channel, got {self.delta!r}.")
        if self.scheme not in TRAINED:
            raise ValueError(f"drift: expected the scheme {' or '.join(TRAINED)}, got {self.scheme!r}.")
        if isinstance(self.delta, tuple | list):
            object.__setattr__(self, "delta", tuple(float(one) for one in self.delta))
        else:
            object.__setattr__(self, "delta", float(self.delta))

    def __bool__(self) -> bool:
        """Whether anything is moved at all."""
        return any(self.delta) if isinstance(self.delta, tuple) else self.delta != 0

    def to_json(self) -> dict[str, Any]:
        """As a recipe says it."""
        return {
            "delta": list(self.delta) if isinstance(self.delta, tuple) else self.delta,
            "scheme": self.scheme,
        }

    def noise_mean(self, x: Tensor, t: Time, *, preserving: bool) -> Tensor:
        """k(t) delta in a shape that broadcasts against x [B, C, ...]: around it the noise of a path lies,

            x_t = (1 - t) n + t x_1,   n ~ N(k(t) delta, I).

        noise: k = 1. prior: on a variance-preserving schedule (`preserving`), where x_t is the state times
        r = sqrt(t^2 + (1 - t)^2) and mu = (1 - sqrt(A)) delta, k = (r - t) / (1 - t) = (1 - t) / (r + t);
        on a rectified flow 1, for there the two are one.
        """
        delta = spread(torch.tensor(self.delta), x)
        if self.scheme == "noise" or not preserving:
            return delta
        t = torch.as_tensor(time_like(t, x))
        return delta * ((1 - t) / (torch.sqrt(t**2 + (1 - t) ** 2) + t)).to(delta)


def trained_drift(recipe: Mapping[str, Any]) -> TrainedDrift | None:
    """The drift that a model's recipe carries; None where it was trained without, or with one of 0.

    Raises ValueError where the recipe says something else under `drift`.
    """
    told = recipe.get("drift")
    if told is None:
        return None
    if not isinstance(told, Mapping) or not set(told) <= {"delta", "scheme"}:
        raise ValueError(f"drift: expected delta and scheme, got {told!r}.")
    found = TrainedDrift(**told)
    return found or None


def spread(delta: Delta, x: Tensor) -> Tensor:
    """`delta` in a shape that broadcasts against x [B, C, ...]: a scalar, [C, 1, ...] or as it is.

    Raises ValueError where it fits neither the channels nor the places.
    """
    value = torch.as_tensor(delta, dtype=x.dtype, device=x.device)
    if value.ndim == 1 and x.ndim > 1:
        value = value.reshape(-1, *([1] * (x.ndim - 2)))
    if value.ndim > 0:
        try:
            fits = np.broadcast_shapes(value.shape, x.shape[1:]) == x.shape[1:]
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"delta: expected a number, [{x.shape[1]}] or {tuple(x.shape[1:])}, got {tuple(value.shape)}."
            )
    return value


def drift_dc_sigma(delta: Delta, x: Tensor) -> float:
    """How many standard deviations of the noise the start is moved by: |delta| over an item of x [B, C, ...].

    For one number this is delta sqrt(d): what a scalar does is move the mean grey value, and 0.1 is
    6.4 standard deviations of the mean of 64 x 64 pixels (math.md section 4).
    """
    return float(spread(delta, x).expand(x.shape[1:]).double().norm())


def noised(x_data: Tensor, noise: Tensor, alpha_bar: float, drift: Drift) -> Tensor:
    """A draw of q(x | x_data) [B, C, ...]; `noise` is N(0, I): what the network shall predict."""
    state = sqrt(alpha_bar) * x_data + sqrt(1 - alpha_bar) * noise
    return _moved(state, drift.mean(alpha_bar))


def first_state(noise: Tensor, alpha_bar: float, drift: Drift) -> Tensor:
    """The state that sampling starts from at the last alpha_bar, from noise ~ N(0, I)."""
    if drift.scheme == "init_only":
        return _moved(noise, drift.delta)
    return _moved(noise, drift.mean(alpha_bar)) if drift.moves_the_start() else noise


def ddim_step(x: Tensor, noise: Tensor, now: float, following: float, fresh: Tensor) -> Tensor:
    """sqrt(A_b) x_hat + sqrt(1 - A_b) noise (Song et al. 2021, eta = 0); `fresh` is not used."""
    estimate = (x - sqrt(1 - now) * noise) / sqrt(now)
    return sqrt(following) * estimate + sqrt(1 - following) * noise


def ddpm_step(x: Tensor, noise: Tensor, now: float, following: float, fresh: Tensor) -> Tensor:
    """gamma x + eta x_hat + sqrt(beta~) fresh, the posterior of Ho et al. 2020, equations 6 and 7."""
    ratio = now / following
    estimate = (x - sqrt(1 - now) * noise) / sqrt(now)
    gamma = sqrt(ratio) * (1 - following) / (1 - now)
    eta = sqrt(following) * (1 - ratio) / (1 - now)
    variance = (1 - ratio) * (1 - following) / (1 - now)
    return gamma * x + eta * estimate + sqrt(variance) * fresh


def drifted(step: Step, drift: Drift, *, steps: int) -> Step:
    """The same sampler's step under a drift; `steps` is how many there are in all.

    `noise` and `prior`: step(x - mu_a) + mu_b. `init_only`: the step itself. `literal`: delta / steps
    is added to what it returns (delta itself where `raw`). The network always sees x.
    """

    def step_drifted(x: Tensor, noise: Tensor, now: float, following: float, fresh: Tensor) -> Tensor:
        if drift.scheme == "init_only":
            return step(x, noise, now, following, fresh)
        if drift.scheme == "literal":
            added = drift.delta if drift.raw else drift.delta / steps
            return _moved(step(x, noise, now, following, fresh), added)
        plain = step(_moved(x, -drift.mean(now)), noise, now, following, fresh)
        return _moved(plain, drift.mean(following))

    return step_drifted


def start_of_flow(noise: Tensor, drift: Drift) -> Tensor:
    """x at t = 0 of a rectified flow: n ~ N(delta, I), or N(0, I) for `literal`."""
    return _moved(noise, drift.delta) if drift.moves_the_start() else noise


def drifted_velocity(
    velocity: Velocity, drift: Drift, *, is_trained_with_drift: bool, steps: int = 1
) -> Velocity:
    """The velocity to integrate from `start_of_flow`.

    A network trained with the drift (`noise`, `prior`) is used as it is. One that was not gets the
    exact wrapper v_delta(x, t) = v(x - (1 - t) delta, t) - delta, under which the law of what comes
    out is unchanged. `init_only` uses the network as it is on purpose. `literal` adds delta (times
    `steps` where raw), so that every step of width h is moved by h delta.
    """
    if drift.scheme == "init_only" or (is_trained_with_drift and drift.scheme != "literal"):
        return velocity

    def moved(x: Tensor, t: Tensor) -> Tensor:
        if drift.scheme == "literal":
            return _moved(velocity(x, t), drift.delta * (steps if drift.raw else 1))
        away = _moved(x, -drift.delta * (1 - float(t)))
        return _moved(velocity(away, t), -drift.delta)

    return moved


def _moved(x: Tensor, by: Delta) -> Tensor:
    """x + by; x itself where `by` is the number 0, so that no drift is bit for bit no drift."""
    if isinstance(by, float | int) and by == 0:
        return x
    return x + spread(by, x)
