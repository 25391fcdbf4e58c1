"""The training case that a generated image is most like, and whether that is closer than it should be."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from synthesis.errors import SynthesisError
from synthesis.metrics.features import Features, FeatureSource

Array = npt.NDArray[np.floating]

COMPONENTS = 32
FORMAT = 1


@dataclass(frozen=True)
class Neighbour:
    """A training case, its distance, and how unusual it is for a case to be as near.

    `closer_than` is the share of training cases whose own nearest neighbour lies farther away than
    this: near 0.5 is as between two patients, near 1 is suspiciously alike, 1 with a distance of
    about 0 is a copy. `closer_than_held_out` is the same share of cases that no network was trained
    on; None where the index knows none.
    """

    case: str
    distance: float
    closer_than: float
    closer_than_held_out: float | None = None


@dataclass(frozen=True)
class NearestIndex:
    """Training cases as points: `cases`, and `points` [n, c], standardised features turned to c components.

    Distances are Euclidean in units in which the training cases have variance 1 along each
    component kept. `spacings` [n], rising, are the cases' distances to their own nearest; `held_out`
    [m], rising, those of cases that were never trained on to their nearest training case.
    """

    cases: Sequence[str]
    points: Array
    spacings: Array
    mean: Array  # [d]
    turn: Array  # [d, c]
    source: FeatureSource
    held_out: Array = field(default_factory=lambda: np.zeros(0, np.float32))

    @classmethod
    def of(cls, features: Features, cases: Sequence[str], *, components: int = COMPONENTS) -> NearestIndex:
        """An index over features [n, d] of named cases.

        Features are standardised and the leading principal components whitened, so that no feature
        counts for more because of its unit and no direction because many features say the same.
        """
        values = np.asarray(features.values, np.float64)
        if len(values) != len(cases) or len(values) < 3:
            raise ValueError(
                f"expected at least three named cases, got {len(values)} and {len(cases)} names."
            )
        mean, std = values.mean(0), values.std(0)
        scale = np.where(std > 1e-12 * np.abs(mean).max(initial=1.0), 1 / np.maximum(std, 1e-300), 0.0)
        _, spread, axes = np.linalg.svd((values - mean) * scale, full_matrices=False)
        spread = spread / np.sqrt(len(values))
        kept = min(components, int((spread > 1e-6 * spread[0]).sum()))
        turn = scale[:, None] * axes[:kept].T / spread[:kept]
        points = ((values - mean) @ turn).astype(np.float32)
        spacings = np.sort(cKDTree(points).query(points, k=2)[0][:, 1])
        return cls(
            list(cases),
            points,
            spacings.astype(np.float32),
            mean.astype(np.float32),
            turn.astype(np.float32),
            features.source,
        )

    def nearest(self, features: Features, *, count: int = 1) -> list[list[Neighbour]]:
        """The `count` nearest training cases of each image; ValueError for features of another source."""
        if features.source != self.source:
            raise ValueError(f"This index holds features of {self.source}, not of {features.source}.")
        count = min(count, len(self.cases))
        there = (np.asarray(features.values, np.float32) - self.mean) @ self.turn
        distances, which = cKDTree(self.points).query(there, k=list(range(1, count + 1)))
        share = _farther(self.spacings, distances)
        strangers = _farther(self.held_out, distances) if len(self.held_out) else np.full(share.shape, np.nan)
        return [
            [
                Neighbour(self.cases[i], float(d), float(s), None if np.isnan(h) else float(h))
                for i, d, s, h in zip(*row)
            ]
            for row in zip(which, distances, share, strangers)
        ]

    def with_held_out(self, features: Features) -> NearestIndex:
        """The index that also knows how near cases lie that no network was trained on."""
        distances = [row[0].distance for row in self.nearest(features)]
        return replace(self, held_out=np.sort(np.array(distances, np.float32)))

    def threshold(self, share: float) -> float | None:
        """The distance below which a case is nearer than that share of held-out cases; None without those."""
        return float(np.quantile(self.held_out, 1 - share)) if len(self.held_out) else None

    def save(self, path: Path) -> None:
        """Write the index as one .npz of plain arrays (points in half precision)."""
        about = json.dumps({"format": FORMAT, "source": asdict(self.source)})
        np.savez_compressed(
            path,
            about=np.array(about),
            cases=np.array(self.cases),
            points=self.points.astype(np.float16),
            spacings=self.spacings,
            mean=self.mean,
            turn=self.turn,
            held_out=self.held_out,
        )

    @classmethod
    def load(cls, path: Path) -> NearestIndex:
        """Read an index; SynthesisError where the file is missing or is not one."""
        try:
            with np.load(path, allow_pickle=False) as held:
                about = json.loads(str(held["about"]))
                if about["format"] != FORMAT:
                    raise SynthesisError(f"{path.name} was written by another version of Semblance.")
                return cls(
                    [str(case) for case in held["cases"]],
                    held["points"].astype(np.float32),
                    held["spacings"],
                    held["mean"],
                    held["turn"],
                    FeatureSource(**about["source"]),
                    held["held_out"] if "held_out" in held else np.zeros(0, np.float32),
                )
        except FileNotFoundError:
            raise SynthesisError(f"There is no index of training cases at {path}.") from None
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
            raise SynthesisError(f"{path.name} is not an index of training cases.") from None


def _farther(sorted_distances: Array, distances: Array) -> npt.NDArray[np.float64]:
    """For each distance the share of `sorted_distances` that are larger or equal."""
    return 1 - np.searchsorted(sorted_distances, distances, side="left") / len(sorted_distances)
