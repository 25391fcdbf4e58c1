"""Networks trained on a variance-preserving schedule (DDPM: Stable Diffusion 1.x, SDXL, PixArt) as flows.

    y = sqrt(alpha_bar) x_1 + sqrt(1 - alpha_bar) n,   x_t = (1 - t) n + t x_1 = y sqrt(t^2 + (1 - t)^2),
    alpha_bar = t^2 / (t^2 + (1 - t)^2)                                             (math.md section 0)

Such a schedule ends before pure noise: Stable Diffusion's last step is t = 0.0640, not 0, so a flow
on it starts there, from x = y sqrt(t^2 + (1 - t)^2) with y ~ N(0, I), as the network was used before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthesis.paths import Time, time_like
from synthesis.stepping import Velocity

PREDICTIONS = ("epsilon", "v_prediction", "sample")
SPACINGS = ("uniform", "trailing", "leading")

Predict = Callable[[Tensor, Tensor], Tensor]


def alpha_bar(t: float) -> float:
    """The VP schedule's alpha_bar at time t: t^2 / (t^2 + (1 - t)^2)."""
    return t**2 / (t**2 + (1 - t) ** 2)


def scale(t: float) -> float:
    """What a flow's state x_t is divided by to give the VP state y: sqrt(t^2 + (1 - t)^2)."""
    return sqrt(t**2 + (1 - t) ** 2)


def scale_like(t: Tensor, x: Tensor) -> Tensor:
    """`scale` of times [B] in a shape that broadcasts against x [B, ...]."""
    spread = t.reshape(-1, *([1] * (x.ndim - 1)))
    return torch.sqrt(spread**2 + (1 - spread) ** 2)


def velocity_from_prediction(x: Tensor, output: Tensor, t: Time, prediction: str) -> Tensor:
    """The velocity v = x1_hat - n_hat that a network's output at the state x_t stands for.

    prediction: "epsilon", the noise; "v_prediction", sqrt(A) n - sqrt(1 - A) x_1 with A = alpha_bar
    (Salimans and Ho 2022); "sample", the data. Each determines x1_hat and n_hat through
    x = t x1_hat + (1 - t) n_hat. `t` is one time, or one per item [B]. Raises ValueError for any
    other name, for noise at t = 0 and for data at t = 1, where the output says nothing of the velocity.
    """
    earliest, latest = (float(t.min()), float(t.max())) if isinstance(t, Tensor) else (t, t)
    r = scale_like(t, x) if isinstance(t, Tensor) else scale(t)
    t = time_like(t, x)
    if prediction == "epsilon" and earliest > 0:
        return (x - output) / t
    if prediction == "sample" and latest < 1:
        return (output - x) / (1 - t)
    if prediction == "v_prediction":
        x_1 = t / r * (x / r) - (1 - t) / r * output
        noise = t / r * output + (1 - t) / r * (x / r)
        return x_1 - noise
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction: expected one of {', '.join(PREDICTIONS)}, got {prediction}.")
    raise ValueError(f"prediction: {prediction} at t = {earliest} does not determine the velocity.")


@dataclass(frozen=True)
class NoiseSchedule:
    """The alpha_bar of every training step [T], falling, as times of a flow."""

    alpha_bars: npt.NDArray[np.floating]

    def __post_init__(self) -> None:
        a = self.alpha_bars
        if a.ndim != 1 or len(a) < 2 or not (np.all(np.diff(a) < 0) and a[0] < 1 and a[-1] > 0):
            raise ValueError("alpha_bars: expected at least two values in (0, 1), each below the last.")

    @classmethod
    def of(
        cls,
        *,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        kind: str = "scaled_linear",
        steps: int = 1000,
    ) -> NoiseSchedule:
        """A schedule by its betas; the defaults are Stable Diffusion's. kind: "linear" or "scaled_linear"."""
        if kind == "linear":
            betas = np.linspace(beta_start, beta_end, steps)
        elif kind == "scaled_linear":
            betas = np.linspace(sqrt(beta_start), sqrt(beta_end), steps) ** 2
        else:
            raise ValueError(f'kind: expected "linear" or "scaled_linear", got {kind}.')
        return cls(np.cumprod(1 - betas))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> NoiseSchedule:
        """The schedule of a diffusers scheduler's config; ValueError for one it does not describe."""
        if config.get("rescale_betas_zero_snr"):
            raise ValueError(
                "A schedule rescaled to zero terminal SNR is not supported; fine-tune to v instead."
            )
        if config.get("trained_betas") is not None:
            return cls(np.cumprod(1 - np.asarray(config["trained_betas"], np.float64)))
        return cls.of(
            beta_start=float(config["beta_start"]),
            beta_end=float(config["beta_end"]),
            kind=str(config["beta_schedule"]),
            steps=int(config.get("num_train_timesteps", 1000)),
        )

    @property
    def times(self) -> npt.NDArray[np.floating]:
        """The flow time of every training step [T], falling: sqrt(A) / (sqrt(A) + sqrt(1 - A))."""
        signal, noise = np.sqrt(self.alpha_bars), np.sqrt(1 - self.alpha_bars)
        return np.asarray(signal / (signal + noise))

    @property
    def start(self) -> float:
        """The time of the noisiest training step, where sampling begins; 0.0640 for Stable Diffusion."""
        return float(self.times[-1])

    def index(self, t: float) -> float:
        """The training step at time t, interpolated between steps; the nearest end outside of them."""
        times = self.times
        return float(np.interp(t, times[::-1], np.arange(len(times))[::-1]))

    def steps_at(self, t: Tensor) -> Tensor:
        """`index` of each of times [B], float32, on their device."""
        found = np.interp(t.double().cpu().numpy(), self.times[::-1], np.arange(len(self.times))[::-1])
        return torch.from_numpy(found).to(t.device, torch.float32)

    def grid(self, steps: int, spacing: str = "uniform") -> list[float]:
        """`steps` + 1 times from `start` (or, leading, a little later) to 1.

        spacing: "uniform" in t; "trailing" or "leading" are training steps spaced as diffusers
        spaces them (Lin et al. 2024, table 2; leading with an offset of 1, as Stable Diffusion has).
        """
        count = len(self.alpha_bars)
        if not 1 <= steps <= count:
            raise ValueError(f"steps: expected 1 to {count}, got {steps}.")
        if spacing == "uniform":
            return [*np.linspace(self.start, 1.0, steps + 1)[:-1].tolist(), 1.0]
        if spacing == "trailing":
            chosen = np.round(np.arange(count, 0, -count / steps)).astype(int)[:steps] - 1
        elif spacing == "leading":
            chosen = np.arange(steps)[::-1] * (count // steps) + min(1, count // steps - 1)
        else:
            raise ValueError(f"spacing: expected one of {', '.join(SPACINGS)}, got {spacing}.")
        return [*self.times[chosen].tolist(), 1.0]

    def first_state(self, noise: Tensor, t: float | None = None) -> Tensor:
        """The state at time t (by default `start`) that the VP state `noise` ~ N(0, I) is."""
        return noise * scale(self.start if t is None else t)

    def velocity(self, predict: Predict, prediction: str = "epsilon") -> Velocity:
        """A velocity v(x, t) from a network predict(y, training step) of the VP state y.

        The step is passed as a scalar tensor, fractional where t lies between training steps.
        """

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            now = float(t)
            step = torch.tensor(self.index(now), dtype=torch.float32, device=x.device)
            return velocity_from_prediction(x, predict(x / scale(now), step), now, prediction)

        return velocity
