"""Every figure of one set of drawn pictures against real ones of patients that nothing was learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from synthesis.drift_choice import pixel_distance
from synthesis.metrics.feature_nets import judge_features
from synthesis.metrics.features import Features, FeatureSource
from synthesis.metrics.fid import fid
from synthesis.metrics.judges import Judges
from synthesis.metrics.kid import polynomial_kernel
from synthesis.metrics.nearest import NearestIndex
from synthesis.metrics.radiomics import radiomics, radiomics_distance
from synthesis.request import MODALITIES
from training.evidence.drift_sets import CARDIAC, CHEST, Pictures, Split

DRAWS = 1000
JUDGED_SIDE = 128  # pixels that the judge was trained at
JUDGED_SCALE = 2.5  # of its scale to one of ours
TOLD = {CARDIAC: "T2", CHEST: "CT"}  # what the judge is told a picture is: blood is bright; X-rays
DARKEST = 0.1  # share of a picture's pixels that is called its background

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """Real pictures with what all comparisons with them need."""

    split: Split
    features: Features
    grain: Array  # radiomics features [n, d]
    index: NearestIndex | None = None  # of the pictures trained on, which knows these as held out


def described(judges: Judges, pictures: Pictures, target: str) -> Features:
    """The shipped judge's features of pictures [n, H, W], brought to its size and scale."""
    large = F.interpolate(
        torch.from_numpy(pictures)[:, None], (JUDGED_SIDE, JUDGED_SIDE), mode="bilinear", align_corners=False
    )
    told = np.full(len(pictures), MODALITIES.index(TOLD[target]))
    scaled: Pictures = (JUDGED_SCALE * large[:, 0]).numpy()
    found = judge_features(judges, scaled, told)
    return Features(found.values, source_of(judges, target))


def source_of(judges: Judges, target: str) -> FeatureSource:
    """The judge's name and digest, and how our pictures come to it."""
    return FeatureSource(
        net="Semblance FeatureNet, trained on phantoms",
        weights_sha256=str(judges.about["features"]["sha256"]),
        preprocessing=f"{JUDGED_SIDE} pixels, bilinear; times {JUDGED_SCALE:g}; told {TOLD[target]}",
    )


def grain_of(pictures: Pictures) -> Array:
    """Radiomics features of pictures, black to white."""
    return radiomics(list(pictures), low=-1.0, high=1.0)


def reference(judges: Judges, held: Split, trained: Split | None, target: str) -> Reference:
    """The held-out pictures, and, with `trained`, how near they lie to those."""
    features = described(judges, held.pictures, target)
    index = None
    if trained is not None:
        names = [f"{name} {i}" for i, name in enumerate(trained.patients)]
        index = NearestIndex.of(described(judges, trained.pictures, target), names).with_held_out(features)
    return Reference(held, features, grain_of(held.pictures), index)


def figures(judges: Judges, made: Pictures, real: Reference, target: str) -> dict[str, object]:
    """The figures of one set, and the features that its KID rests on under "features"."""
    features = described(judges, made, target)
    distance = radiomics_distance(grain_of(made), real.grain)
    found: dict[str, object] = {
        "n": len(made),
        "kid": kid_interval(features.values, real),
        "fid": fid(features.values, real.features.values),
        "ln_radiomics": distance.log,
        "l1": pixel_distance(torch.from_numpy(made), torch.from_numpy(real.split.pictures)),
        **brightness(made, real.split.pictures),
    }
    if real.index is not None:
        near = [one[0] for one in real.index.nearest(features)]
        strangers = [one.closer_than_held_out for one in near]
        found["nearer_than_held_out"] = float(np.mean([0.0 if s is None else s for s in strangers]))
        found["copies"] = float(np.mean([one.closer_than > 0.99 for one in near]))
    return found | {"features": features.values}


def brightness(made: Pictures, real: Pictures) -> dict[str, float]:
    """The defect that drift is about, on the scale -1..1.

    brightness_error: mean of all pixels, made less real. brightness_spread: standard deviation of the
    pictures' means over that of the real. background_error: mean of each picture's darkest tenth, made less
    real; above 0 where black has become grey.
    """
    means = [one.mean((1, 2)) for one in (made, real)]
    dark = [np.sort(one.reshape(len(one), -1), 1) for one in (made, real)]
    tenth = [one[:, : max(1, int(DARKEST * one.shape[1]))].mean() for one in dark]
    return {
        "brightness_error": float(means[0].mean() - means[1].mean()),
        "brightness_spread": float(means[0].std() / means[1].std()),
        "background_error": float(tenth[0] - tenth[1]),
    }


@dataclass(frozen=True)
class Kernels:
    """The kernels of one set x against real pictures y."""

    within: Array  # [n, n]
    across: Array  # [n, m]
    real: Array  # [m, m]

    @classmethod
    def of(cls, x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> Kernels:
        return cls(polynomial_kernel(x, x), polynomial_kernel(x, y), polynomial_kernel(y, y))

    def kid(self, u: Array, v: Array) -> float:
        """KID where picture i of x was drawn u_i times and j of y v_j times; none is paired with itself."""
        across = float(u @ self.across @ v / (u.sum() * v.sum()))
        return _within(self.within, u) + _within(self.real, v) - 2 * across


def _within(kernel: Array, w: Array) -> float:
    return float((w @ kernel @ w - (w**2) @ np.diag(kernel)) / (w.sum() ** 2 - (w**2).sum()))


def kid_interval(made: npt.NDArray[np.floating], real: Reference, *, seed: int = 0) -> dict[str, float]:
    """KID with a bootstrap interval over drawn pictures and over the patients of the real ones."""
    kernels = Kernels.of(made, real.features.values)
    ones = np.ones(len(made)), np.ones(len(real.split))
    rng = np.random.default_rng(seed)
    who = _whose(real.split.patients)
    samples = [kernels.kid(_redrawn(rng, np.arange(len(made))), _redrawn(rng, who)) for _ in range(DRAWS)]
    return _interval(kernels.kid(*ones), samples)


def kid_gap(
    one: npt.NDArray[np.floating],
    other: npt.NDArray[np.floating],
    real: Reference,
    *,
    paired: bool = True,
    seed: int = 0,
) -> dict[str, float]:
    """KID of `one` less KID of `other` against the same pictures, with its bootstrap interval.

    paired: the sets began from the same noise, picture by picture, and are drawn again together.
    """
    kernels = [Kernels.of(x, real.features.values) for x in (one, other)]
    rng = np.random.default_rng(seed)
    who = _whose(real.split.patients)
    samples = []
    for _ in range(DRAWS):
        v = _redrawn(rng, who)
        u = _redrawn(rng, np.arange(len(one)))
        w = u if paired and len(other) == len(one) else _redrawn(rng, np.arange(len(other)))
        samples.append(kernels[0].kid(u, v) - kernels[1].kid(w, v))
    full = [k.kid(np.ones(len(k.within)), np.ones(len(k.real))) for k in kernels]
    return _interval(full[0] - full[1], samples)


def floor(judges: Judges, others: Split, real: Reference, target: str) -> dict[str, object]:
    """The same figures for real pictures of other patients: how far patients differ among themselves."""
    found = figures(judges, others.pictures, real, target)
    kernels = Kernels.of(np.asarray(found["features"]), real.features.values)
    rng = np.random.default_rng(0)
    mine, theirs = _whose(others.patients), _whose(real.split.patients)
    samples = [kernels.kid(_redrawn(rng, mine), _redrawn(rng, theirs)) for _ in range(DRAWS)]
    value = kernels.kid(np.ones(len(others)), np.ones(len(real.split)))
    del found["nearer_than_held_out"], found["copies"]
    return found | {"kid": _interval(value, samples)}


def _whose(patients: Sequence[str]) -> npt.NDArray[np.intp]:
    return np.unique(np.asarray(patients), return_inverse=True)[1]


def _redrawn(rng: np.random.Generator, who: npt.NDArray[np.integer]) -> Array:
    """How often each picture is drawn where their owners are drawn again; never fewer than two."""
    count = int(who.max()) + 1
    while True:
        drawn = np.bincount(rng.integers(0, count, count), minlength=count)[who].astype(np.float64)
        if np.count_nonzero(drawn) > 1:
            return drawn


def _interval(value: float, samples: Sequence[float]) -> dict[str, float]:
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high)}
