"""Laws of data whose velocity, score and posterior are known in closed form (math.md section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """sum_k weights[k] N(means[k], stds[k]^2 I) in d dimensions, with start law N(drift, I)."""

    weights: Tensor  # [K]
    means: Tensor  # [K, d]
    stds: Tensor  # [K]
    drift: float = 0.0

    def _parts(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Responsibilities [B, K], offsets x - t m_k - (1-t) drift [B, K, d], variances S_k [K]."""
        variance = (1 - t) ** 2 + t**2 * self.stds**2
        offset = x[:, None] - t * self.means - (1 - t) * self.drift
        log_joint = (
            self.weights.log()
            - 0.5 * (offset**2).sum(-1) / variance
            - 0.5 * x.shape[1] * (2 * torch.pi * variance).log()
        )
        return log_joint, offset, variance

    def log_density(self, x: Tensor, t: Tensor) -> Tensor:
        return self._parts(x, t)[0].logsumexp(-1)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        log_joint, offset, variance = self._parts(x, t)
        r = log_joint.softmax(-1)[..., None]
        gain = ((t * self.stds**2 - (1 - t)) / variance)[:, None]
        return (r * (self.means - self.drift + gain * offset)).sum(1)

    def posterior_mean(self, x: Tensor, t: Tensor) -> Tensor:
        log_joint, offset, variance = self._parts(x, t)
        r = log_joint.softmax(-1)[..., None]
        return (r * (self.means + (t * self.stds**2 / variance)[:, None] * offset)).sum(1)

    def score(self, x: Tensor, t: Tensor) -> Tensor:
        log_joint, offset, variance = self._parts(x, t)
        r = log_joint.softmax(-1)[..., None]
        return -(r * offset / variance[:, None]).sum(1)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` draws [count, d], with as many from each component as its weight says."""
        edges = (self.weights.cumsum(0) * count).round().long()
        k = torch.searchsorted(edges, torch.arange(count), right=True)
        z = torch.randn((count, self.means.shape[1]), dtype=self.means.dtype, generator=generator)
        return self.means[k] + self.stds[k, None] * z


def gaussian(mean: float, std: float, dimensions: int = 1) -> Mixture:
    """N(mean, std^2 I) as a mixture of one."""
    one = torch.ones(1, dtype=torch.float64)
    return Mixture(one, torch.full((1, dimensions), mean, dtype=torch.float64), std * one)


def printed_mixture(drift: float = 0.0) -> Mixture:
    """The two-dimensional mixture of math.md's test vector."""
    as_tensor = lambda values: torch.tensor(values, dtype=torch.float64)  # noqa: E731
    return Mixture(
        as_tensor([0.3, 0.5, 0.2]),
        as_tensor([[-2.0, 0.0], [1.5, 1.0], [0.0, -2.0]]),
        as_tensor([0.4, 0.6, 0.25]),
        drift,
    )


def random_mixture(dimensions: int, seed: int = 0) -> Mixture:
    """Five well separated components: means N(0, 1.5^2), stds between 0.3 and 0.7."""
    generator = torch.Generator().manual_seed(seed)
    means = 1.5 * torch.randn((5, dimensions), dtype=torch.float64, generator=generator)
    stds = 0.3 + 0.4 * torch.rand(5, dtype=torch.float64, generator=generator)
    return Mixture(torch.full((5,), 0.2, dtype=torch.float64), means, stds)


def sliced_w2(a: Tensor, b: Tensor, projections: int = 128) -> float:
    """Sliced Wasserstein-2 distance of two equally large clouds [N, d]: mean over directions."""
    generator = torch.Generator().manual_seed(99)
    directions = torch.randn((a.shape[1], projections), dtype=a.dtype, generator=generator)
    directions = directions / directions.norm(dim=0)
    gaps = (a @ directions).sort(dim=0).values - (b @ directions).sort(dim=0).values
    return float((gaps**2).mean().sqrt())
