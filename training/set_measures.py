"""One set of generated images against real ones: distances between sets, likeness in pairs, nearest cases.

What `training.measures` leaves out: MFID with its network, precision and coverage, the radiomics
distance, SSIM and PSNR against the phantom of the same mask, and how near training cases lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthesis.checkpoints import LoadedModel
from synthesis.metrics.feature_nets import judge_features
from synthesis.metrics.features import Features
from synthesis.metrics.judges import Judges
from synthesis.metrics.kid import kid
from synthesis.metrics.manifold import manifold
from synthesis.metrics.mfid import mfid
from synthesis.metrics.nearest import NearestIndex
from synthesis.metrics.psnr import psnr
from synthesis.metrics.radiomics import radiomics, radiomics_distance
from synthesis.metrics.ssim import ms_ssim, ssim
from synthesis.phantoms.contrast import WINDOWS
from synthesis.request import MODALITIES
from training.held_out import Case, Images

NEIGHBOURS = 5  # of precision, recall, density and coverage
MS_SSIM_WINDOW = 7  # fits five scales of 128 pixels
NEAREST = "nearest"


def compare(
    made: Images,
    real: Images,
    cases: Sequence[Case],
    model: LoadedModel,
    judges: Judges,
    *,
    nearest: Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Every figure of one set: `made` [n, H, W] and `real` [n, H, W] on the network's scale, one pair a case.

    `nearest` is the folder of the indices of training cases (weights/NAME/nearest); without one that
    figure is left out. `seed` draws the subsets of the extrapolation to infinitely many images.
    """
    figures: dict[str, Any] = {
        "n": len(cases),
        "seed": seed,
        **set_distances(made, cases, real, cases, model, judges, seed=seed),
        "likeness": likeness(made, real, cases, model),
    }
    if nearest is not None and nearest.is_dir():
        figures[NEAREST] = nearness(made, cases, model, judges, nearest)
    return figures


def set_distances(
    made: Images,
    made_cases: Sequence[Case],
    real: Images,
    real_cases: Sequence[Case],
    model: LoadedModel,
    judges: Judges,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """MFID, KID, precision and coverage, and per modality the radiomics distance, of two sets.

    The sets need not be pairs: real images of other phantoms in place of made ones give the floor, what
    the same figures are for images that are as good as real.
    """
    x, y = (_features(images, of, model, judges) for images, of in ((made, made_cases), (real, real_cases)))
    distance = mfid(x, y, seed=seed)
    return {
        "mfid": {**asdict(distance.fid), "dimensions": x.values.shape[1], **asdict(distance.source)},
        "kid": kid(x.values, y.values),
        "manifold": asdict(manifold(x.values, y.values, k=NEIGHBOURS)),
        "radiomics": _radiomics(made, made_cases, real, real_cases, model, seed=seed),
    }


def likeness(
    made: Images, real: Images, cases: Sequence[Case], model: LoadedModel
) -> dict[str, dict[str, Any]]:
    """Per modality the mean SSIM, MS-SSIM and PSNR (dB) of pairs, clipped to the modality's usual window.

    The phantom is one of the many images that fit its mask: noise, and what the mask leaves open, lower
    these figures without being errors.
    """
    found = {}
    for modality, members in by_modality(cases).items():
        low, high = WINDOWS[modality]
        pairs = [
            tuple(
                np.clip(model.denormalise(one[i], modality), low, high).astype(np.float64)
                for one in (made, real)
            )
            for i in members
        ]
        scale = float(high - low)
        found[modality] = {
            "ssim": _mean([ssim(a, b, data_range=scale) for a, b in pairs]),
            "ms_ssim": _mean([ms_ssim(a, b, data_range=scale, window=MS_SSIM_WINDOW) for a, b in pairs]),
            "psnr": _mean([psnr(a, b, data_range=scale) for a, b in pairs]),
            "window": [float(low), float(high)],
            "ms_ssim_window": MS_SSIM_WINDOW,
            "n": len(members),
        }
    return found


def nearness(
    images: Images, cases: Sequence[Case], model: LoadedModel, judges: Judges, folder: Path
) -> dict[str, dict[str, Any]]:
    """Per modality how far the nearest training case lies, and the share of training cases that lie farther.

    Shares are of training cases whose own nearest neighbour is farther away: 0.5 on average is as
    between strangers; `largest_share` belongs to the image that is nearest to a training case.
    """
    found = {}
    for modality, members in by_modality(cases).items():
        path = folder / f"{modality}.npz"
        if not path.is_file():
            continue
        index = NearestIndex.load(path)
        near = [
            one[0]
            for one in index.nearest(_features(images[members], [cases[i] for i in members], model, judges))
        ]
        shares = [one.closer_than for one in near]
        found[modality] = {
            "median_distance": float(np.median([one.distance for one in near])),
            "mean_share": _mean(shares),
            "largest_share": float(max(shares)),
            "training_cases": len(index.cases),
            "n": len(near),
        }
    return found


def by_modality(cases: Sequence[Case]) -> dict[str, npt.NDArray[np.int64]]:
    """Modality -> the places of its cases."""
    names = np.array([c.condition.modality for c in cases])
    return {m: np.flatnonzero(names == m) for m in MODALITIES if (names == m).any()}


def _radiomics(
    made: Images,
    made_cases: Sequence[Case],
    real: Images,
    real_cases: Sequence[Case],
    model: LoadedModel,
    *,
    seed: int,
) -> dict[str, dict[str, Any]]:
    found = {}
    others = by_modality(real_cases)
    for modality, members in by_modality(made_cases).items():
        low, high = WINDOWS[modality]
        x, y = (
            radiomics(list(model.denormalise(images[which], modality)), low=low, high=high)
            for images, which in ((made, members), (real, others[modality]))
        )
        distance = radiomics_distance(x, y, seed=seed)
        found[modality] = {**asdict(distance.fid), "log": distance.log, "features": distance.features}
    return found


def _features(images: Images, cases: Sequence[Case], model: LoadedModel, judges: Judges) -> Features:
    kinds = np.array([MODALITIES.index(c.condition.modality) for c in cases])
    return judge_features(judges, images, kinds, model.normalisation)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def flat(figures: Mapping[str, Any]) -> dict[str, float]:
    """The headline figures of `compare` under short names, for tables: "mfid", "ssim CT", "coverage" ..."""
    row = {
        "mfid": figures["mfid"]["value"],
        "mfid_infinity": figures["mfid"]["infinity"],
        "kid": figures["kid"],
        **{name: figures["manifold"][name] for name in ("precision", "recall", "density", "coverage")},
    }
    for modality, one in figures["radiomics"].items():
        row[f"radiomics {modality}"] = one["value"]
    for modality, one in figures.get("likeness", {}).items():
        row |= {f"{name} {modality}": one[name] for name in ("ssim", "ms_ssim", "psnr")}
    for modality, one in figures.get(NEAREST, {}).items():
        row[f"nearest {modality}"] = one["median_distance"]
    return row
