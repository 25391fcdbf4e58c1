"""MFID: FID between medical features, never without the name and digest of the network that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthesis.metrics.features import Features, FeatureSource, same_source
from synthesis.metrics.fid import FidEstimate, fid_estimate

PLANES = {"XY": 0, "YZ": 2, "ZX": 1}  # the axis of a volume [D, H, W] that each plane is stacked along


@dataclass(frozen=True)
class Mfid:
    """An FID with everything that its value depends on (math.md 8). Compare within one source only."""

    fid: FidEstimate
    source: FeatureSource

    def __str__(self) -> str:
        return f"MFID {self.fid}; features: {self.source}"


@dataclass(frozen=True)
class MfidOfVolumes:
    """The mean of the FIDs over slices in three planes ("2.5D"), and each of them; their n counts slices."""

    value: float
    planes: Mapping[str, FidEstimate]
    source: FeatureSource

    def __str__(self) -> str:
        each = "; ".join(f"{name} {fid}" for name, fid in self.planes.items())
        return f"2.5D MFID {self.value:.4g} ({each}); features: {self.source}"


def mfid(made: Features, real: Features, *, seed: int = 0) -> Mfid:
    """FID of generated against real images on the features of one named network.

    Raises ValueError where the two sets come from different networks or preparations.
    """
    source = same_source(made, real)
    return Mfid(fid_estimate(made.values, real.values, seed=seed), source)


def mfid_of_volumes(
    made: Mapping[str, Features], real: Mapping[str, Features], *, seed: int = 0
) -> MfidOfVolumes:
    """2.5D MFID from the features of `plane_slices` in each of the three planes (math.md 8).

    Raises ValueError where a plane is missing or the sources differ.
    """
    if set(made) != set(PLANES) or set(real) != set(PLANES):
        raise ValueError(f"expected the planes {', '.join(PLANES)}, got {set(made)} and {set(real)}.")
    source = same_source(*made.values(), *real.values())
    planes = {name: fid_estimate(made[name].values, real[name].values, seed=seed) for name in PLANES}
    return MfidOfVolumes(float(np.mean([one.value for one in planes.values()])), planes, source)


def plane_slices(volumes: npt.NDArray[np.floating], plane: str) -> npt.NDArray[np.floating]:
    """Every slice of volumes [n, D, H, W] in one of PLANES: [n * slices, rows, columns]."""
    if plane not in PLANES or volumes.ndim != 4:
        raise ValueError(f"expected volumes [n, D, H, W] and one of {', '.join(PLANES)}, got {plane}.")
    turned = np.moveaxis(volumes, 1 + PLANES[plane], 1)
    return turned.reshape(-1, *turned.shape[2:])
