"""Combining conditional and unconditional velocities."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from synthesis.stepping import AverageVelocity, Velocity


def guided(conditional: Velocity, unconditional: Velocity, weight: float) -> Velocity:
    """Classifier-free guidance (Ho & Salimans 2022): v = v_u + weight (v_c - v_u).

    Weight 1 is the conditional velocity itself, at the cost of one call. For two Gaussians of the
    same covariance the mean becomes m_u + weight (m_c - m_u) and the spread stays (math.md 6).
    Where both know their averages over a step, those are combined alike.
    """
    if weight == 1:
        return conditional
    if isinstance(conditional, AverageVelocity) and isinstance(unconditional, AverageVelocity):
        return _GuidedAverage(conditional, unconditional, weight)

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        v_u = unconditional(x, t)
        return v_u + weight * (conditional(x, t) - v_u)

    return velocity


@dataclass(frozen=True)
class _GuidedAverage:
    conditional: AverageVelocity
    unconditional: AverageVelocity
    weight: float

    def __call__(self, x: Tensor, t: Tensor, /) -> Tensor:
        v_u = self.unconditional(x, t)
        return v_u + self.weight * (self.conditional(x, t) - v_u)

    def average(self, x: Tensor, a: Tensor, b: Tensor, /) -> Tensor:
        u_u = self.unconditional.average(x, a, b)
        return u_u + self.weight * (self.conditional.average(x, a, b) - u_u)
