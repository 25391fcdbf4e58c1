"""MFID: FID between medical features, never without the name and digest of the network that made them."""

from __future__ import annotations

from dataclasses import dataclass

from synthesis.metrics.features import Features, FeatureSource, same_source
from synthesis.metrics.fid import FidEstimate, fid_estimate


@dataclass(frozen=True)
class Mfid:
    """An FID with everything that its value depends on (math.md 8). Compare within one source only."""

    fid: FidEstimate
    source: FeatureSource

    def __str__(self) -> str:
        return f"MFID {self.fid}; features: {self.source}"


def mfid(made: Features, real: Features, *, seed: int = 0) -> Mfid:
    """FID of generated against real images on the features of one named network.

    Raises ValueError where the two sets come from different networks or preparations.
    """
    source = same_source(made, real)
    return Mfid(fid_estimate(made.values, real.values, seed=seed), source)
