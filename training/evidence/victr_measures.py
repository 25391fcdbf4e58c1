"""What the runs of the evidence on ViCTr make of held-out phantoms, and every figure about it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import ndimage, stats

from synthesis.checkpoints import LoadedModel
from synthesis.metrics.judges import Judges, liver_crop, on_scale
from synthesis.metrics.kid import case_interval, case_kernel
from synthesis.phantoms import GRADES
from synthesis.phantoms.labels import LIVER
from synthesis.request import MODALITIES
from training.calibrate import generate, match_noise
from training.held_out import Case, Images, Setting, held_out
from training.measures import LARGE_LIVER, Truth, grades, measure, truth_of
from training.prepare import modality_of
from training.set_measures import set_distances

LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)  # of severity that a mask is asked at


@dataclass(frozen=True)
class Sizes:
    """How many phantoms each measure takes.

    cases: of every row; ladder: of the table of samplers; validation: per calibration; masks: of the
    severity sweep; ct: of what stage 2 forgets.
    """

    cases: int = 192
    ladder: int = 96
    validation: int = 48
    masks: int = 32
    ct: int = 96


def phantoms(
    split: str, count: int, shape: tuple[int, int], modalities: Sequence[str], skip: int = 0
) -> list[Case]:
    """`count` phantoms of a split in these modalities, after the first `skip` of them."""
    found: list[Case] = []
    index = seen = 0
    while len(found) < count:
        if modality_of(index) in modalities:
            if seen >= skip:
                found += held_out(split, 1, shape, first=index)
            seen += 1
        index += 1
    return found


def calibrated(
    model: LoadedModel, judges: Judges, cases: Sequence[Case], calls: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Modality -> number of calls -> kappa above 0, chosen on validation phantoms on an even grid.

    `match_noise` takes the trial with the least of its misses, the worst of noise, severity and lesions: for
    a network that misses severity most, that says little of its noise.
    """
    table: dict[str, dict[str, float]] = {}
    for modality in dict.fromkeys(c.condition.modality for c in cases):
        some = [c for c in cases if c.condition.modality == modality]
        table[modality] = {
            str(n): float(match_noise(model, judges, some, n, 1.0)["kappa"]) for n in calls if n > 1
        }
    return table


def row(
    model: LoadedModel, setting: Setting, truth: Truth, judges: Judges
) -> tuple[dict[str, Any], npt.NDArray[np.float32]]:
    """The figures of one setting over all cases of `truth`, and the features they rest on [n, d]."""
    began = time.monotonic()
    images = generate(model, truth.cases, setting)
    seconds = (time.monotonic() - began) / len(images)
    figures, features = measure(images, truth, model, judges, setting)
    sets = set_distances(images, truth.cases, truth.images, truth.cases, model, judges)
    spectra = figures["spectrum"]
    return {
        "sampler": setting.sampler,
        "calls": setting.calls,
        "n": len(images),
        "kid": figures["kid"],
        "mfid": sets["mfid"]["value"],
        "mfid_infinity": sets["mfid"]["infinity"],
        "radiomics": {name: one["value"] for name, one in sets["radiomics"].items()},
        **{name: sets["manifold"][name] for name in ("precision", "recall", "coverage")},
        "dice_share": figures["dice_share"],
        "organ_error_percent": figures["organ_error_mr_percent"],
        "spectrum": spectra,
        "severity_accuracy": figures["severity_accuracy"],
        "severity_error": severity_error(images, truth.cases, model, judges),
        "seconds_per_image": seconds,
    }, features


def quick_row(model: LoadedModel, setting: Setting, truth: Truth, judges: Judges) -> dict[str, Any]:
    """The figures of the table of samplers alone."""
    began = time.monotonic()
    images = generate(model, truth.cases, setting)
    seconds = (time.monotonic() - began) / len(images)
    figures, _ = measure(images, truth, model, judges, setting)
    names = ("kid", "dice_share", "spectrum", "severity_accuracy")
    return {name: figures[name] for name in names} | {"n": len(images), "seconds_per_image": seconds}


def real_row(truth: Truth, others: Sequence[Case], model: LoadedModel, judges: Judges) -> dict[str, Any]:
    """The same distances for real phantoms that are not those of `truth`: what a perfect model would get."""
    other = truth_of(others, model, judges)
    sets = set_distances(other.images, others, truth.images, truth.cases, model, judges)
    return {
        "n": len(others),
        "kid": asdict(case_interval(case_kernel(other.features, truth.features))),
        "mfid": sets["mfid"]["value"],
        "mfid_infinity": sets["mfid"]["infinity"],
        "radiomics": {name: one["value"] for name, one in sets["radiomics"].items()},
        **{name: sets["manifold"][name] for name in ("precision", "recall", "coverage")},
        "dice_share": 1.0,
        "severity_accuracy": truth.severity_accuracy,
        "severity_error": severity_error(truth.images, truth.cases, model, judges),
        "k_ref": truth.k_ref.value,
        "source": {
            name: sets["mfid"][name] for name in ("net", "weights_sha256", "preprocessing", "dimensions")
        },
    }


def severity_error(images: Images, cases: Sequence[Case], model: LoadedModel, judges: Judges) -> float:
    """Mean |grade read - grade asked|, over livers large enough to be graded."""
    read = grades(images, cases, model, judges)
    asked = np.array([GRADES.index(c.condition.severity) for c in cases])
    wide = [i for i, c in enumerate(cases) if _is_wide(c)]
    return float(np.abs(read - asked)[wide].mean())


def severity_sweep(
    model: LoadedModel, setting: Setting, cases: Sequence[Case], judges: Judges
) -> dict[str, Any]:
    """Each mask asked at all LEVELS with one noise: Spearman's rho between asked and read.

    Read is the judge's expected grade. `rho` is over all images, `rho_per_mask` the mean over masks,
    `rising` the share of masks whose read severity never falls by more than a tenth of a grade from
    one level to the next; `read` the mean at each level.
    """
    read = np.stack(
        [
            expected_grades(generate(model, [_asked(c, level) for c in cases], setting), cases, model, judges)
            for level in LEVELS
        ],
        axis=1,
    )
    return sweep_figures(read) | {"n": len(cases), "sampler": setting.sampler, "calls": setting.calls}


def sweep_figures(read: npt.NDArray[np.floating], levels: Sequence[float] = LEVELS) -> dict[str, Any]:
    """The figures of read severities [masks, levels]."""
    asked = np.broadcast_to(np.array(levels), read.shape)
    each = [stats.spearmanr(levels, one).statistic for one in read if np.ptp(one) > 0]
    return {
        "rho": float(stats.spearmanr(asked.ravel(), read.ravel()).statistic),
        "rho_per_mask": float(np.mean(each)) if each else 0.0,
        "rising": float((np.diff(read, axis=1) > -0.1).all(1).mean()),
        "read": [float(v) for v in read.mean(0)],
    }


def real_sweep(count: int, shape: tuple[int, int], model: LoadedModel, judges: Judges) -> dict[str, Any]:
    """The judge's own: the phantoms of `wide_cases` with each grade's texture, same anatomy and noise."""
    read = []
    for grade in range(len(GRADES)):
        cases = [held_out("test", 1, shape, texture=grade, first=i)[0] for i in wide_indices(count, shape)]
        images = np.stack([model.normalise(c.image, c.condition.modality) for c in cases])
        read.append(expected_grades(images, cases, model, judges))
    return sweep_figures(np.stack(read, axis=1), range(len(GRADES))) | {"n": count}


def wide_cases(count: int, shape: tuple[int, int]) -> list[Case]:
    """The first test phantoms in MR whose liver is large enough to be graded."""
    return [held_out("test", 1, shape, first=index)[0] for index in wide_indices(count, shape)]


def wide_indices(count: int, shape: tuple[int, int]) -> list[int]:
    """Their numbers in the test split."""
    found: list[int] = []
    index = 0
    while len(found) < count:
        if modality_of(index) != "CT" and _is_wide(held_out("test", 1, shape, first=index)[0]):
            found.append(index)
        index += 1
    return found


@torch.no_grad()
def expected_grades(
    images: Images, cases: Sequence[Case], model: LoadedModel, judges: Judges
) -> npt.NDArray[np.float64]:
    """The severity judge's expected grade, 0..3, of each image [n] on the model's scale."""
    kinds = [c.condition.modality for c in cases]
    seen = on_scale(images, model.normalisation, kinds)
    crops = torch.stack([liver_crop(torch.from_numpy(i), c.labels) for i, c in zip(seen, cases, strict=True)])
    modality = torch.tensor([MODALITIES.index(kind) for kind in kinds])
    shares = judges.severity(crops, F.one_hot(modality, len(MODALITIES)).float()).softmax(1)
    return np.asarray((shares * torch.arange(len(GRADES))).sum(1).double().numpy())


def kid_gap(one: Path, other: Path, truth: Truth) -> dict[str, float]:
    """KID of one set less KID of another against the same truth, by their stored features, with interval."""
    h = case_kernel(np.load(one), truth.features) - case_kernel(np.load(other), truth.features)
    return asdict(case_interval(h))


def _asked(case: Case, level: float) -> Case:
    return replace(case, condition=replace(case.condition, severity_level=level))


def _is_wide(case: Case) -> bool:
    inner = ndimage.binary_erosion(case.labels == LIVER, np.ones((3, 3)))
    return bool(inner.sum() >= LARGE_LIVER)
