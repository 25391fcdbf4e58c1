"""Combining conditional and unconditional velocities."""

from __future__ import annotations

from torch import Tensor

from synthesis.stepping import Velocity


def guided(conditional: Velocity, unconditional: Velocity, weight: float) -> Velocity:
    """Classifier-free guidance (Ho & Salimans 2022): v = v_u + weight (v_c - v_u).

    Weight 1 is the conditional velocity itself, at the cost of one call. For two Gaussians of the
    same covariance the mean becomes m_u + weight (m_c - m_u) and the spread stays (math.md 6).
    """
    if weight == 1:
        return conditional

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        v_u = unconditional(x, t)
        return v_u + weight * (conditional(x, t) - v_u)

    return velocity
