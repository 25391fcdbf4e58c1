"""Features of images together with what made them: a distance between features means nothing without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class FeatureSource:
    """Which network saw the images, by name and digest of its weights, and how they were prepared."""

    net: str
    weights_sha256: str
    preprocessing: str

    def __post_init__(self) -> None:
        if not (self.net and self.preprocessing) or len(self.weights_sha256) != 64:
            raise ValueError("A feature source needs a name, a SHA-256 of 64 digits and a preprocessing.")

    def __str__(self) -> str:
        return f"{self.net} (sha256 {self.weights_sha256[:12]}), {self.preprocessing}"


@dataclass(frozen=True)
class Features:
    """Feature vectors `values` [n, d] and their source."""

    values: npt.NDArray[np.floating]
    source: FeatureSource

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not np.isfinite(self.values).all():
            raise ValueError(f"values: expected finite features [n, d], got the shape {self.values.shape}.")


def same_source(*sets: Features) -> FeatureSource:
    """The source that all sets share; ValueError where they were made in different ways."""
    sources = {one.source for one in sets}
    if len(sources) != 1:
        listed = "; ".join(sorted(str(source) for source in sources))
        raise ValueError(f"Features of different sources cannot be compared: {listed}.")
    return sources.pop()
