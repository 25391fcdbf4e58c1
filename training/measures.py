"""One set of generated images against the truth they were asked from: every figure of the evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from synthesis.checkpoints import LoadedModel
from synthesis.metrics.dice import dice_per_label
from synthesis.metrics.judges import Judges, on_scale
from synthesis.metrics.kid import Interval, case_interval, case_kernel
from synthesis.metrics.regions import lesion_contrasts, organ_errors
from synthesis.metrics.spectrum import band_ratio
from synthesis.phantoms import GRADES
from synthesis.phantoms import labels as names
from synthesis.request import MODALITIES
from training.held_out import Case, Images, Setting, cached_images, held_out

ORGANS = tuple(v for v in range(2, 20) if v not in (names.LESION, names.SKIN))
STRUCTURES = tuple(range(2, 20))
NOISE_REGIONS = (names.FAT, names.MUSCLE, names.LIVER, names.SPLEEN)
LARGE_LIVER = 150  # pixels of eroded liver below which a texture grade is not asked for
BATCH = 64


@dataclass(frozen=True)
class Truth:
    """The held-out phantoms with what the judges say of the real images."""

    cases: Sequence[Case]
    images: Images  # [n, H, W] on the network's scale
    features: npt.NDArray[np.float32]
    dice: dict[int, float]
    severity_accuracy: float
    k_ref: Interval

    def summary(self) -> dict[str, Any]:
        """The real images' own figures."""
        return {
            "dice": {names.label_name(k): v for k, v in self.dice.items()},
            "dice_mean": _mean(self.dice),
            "severity_accuracy": self.severity_accuracy,
            "k_ref": asdict(self.k_ref),
        }


def truth_of(cases: Sequence[Case], model: LoadedModel, judges: Judges) -> Truth:
    """Judge the real images; K_ref is the KID of the phantoms against themselves blurred by 1 pixel."""
    images = np.stack([model.normalise(c.image, c.condition.modality) for c in cases])
    blurred = np.stack(
        [model.normalise(ndimage.gaussian_filter(c.image, 1.0), c.condition.modality) for c in cases]
    )
    features = describe(images, cases, model, judges)
    return Truth(
        cases=cases,
        images=images,
        features=features,
        dice=dice_per_label(segment(images, cases, model, judges), [c.labels for c in cases], STRUCTURES),
        severity_accuracy=severity_accuracy(images, cases, model, judges),
        k_ref=case_interval(case_kernel(describe(blurred, cases, model, judges), features)),
    )


def measure(
    images: Images, truth: Truth, model: LoadedModel, judges: Judges, setting: Setting
) -> tuple[dict[str, Any], npt.NDArray[np.float32]]:
    """The figures of one setting's images [n, H, W] (network scale), and their KID features.

    With the liver alone given only what was given is compared pixel by pixel: the liver's mean,
    its overlap and its noise; the rest of the anatomy is the model's own.
    """
    cases = truth.cases
    whole = setting.masks == "whole"
    organs = ORGANS if whole else (names.LIVER,)
    structures = STRUCTURES if whole else (names.LIVER, names.LESION)
    dice = dice_per_label(segment(images, cases, model, judges), [c.labels for c in cases], structures)
    features = describe(images, cases, model, judges)
    figures: dict[str, Any] = {
        "dice": {names.label_name(k): v for k, v in dice.items()},
        "dice_share": _mean(dice) / _mean({k: truth.dice[k] for k in structures}),
        "severity_accuracy": severity_accuracy(images, cases, model, judges),
        "spectrum": {},
        "organ_errors": {},
        "lesion_contrast_ratio": {},
        "lesions": {},
        "noise_std": {},
        "liver_std": {},
        "kid": asdict(case_interval(case_kernel(features, truth.features))),
    }
    for modality in MODALITIES:
        members = [i for i, c in enumerate(cases) if c.condition.modality == modality]
        if not members:
            continue
        made = [model.denormalise(images[i], modality) for i in members]
        real = [cases[i].image for i in members]
        masks = [cases[i].labels for i in members]
        regions = NOISE_REGIONS if whole else (names.LIVER,)
        figures["spectrum"][modality] = [float(r) for r in band_ratio(made, real, masks, regions)]
        figures["organ_errors"][modality] = _organ_errors(made, real, masks, organs)
        figures["noise_std"][modality] = [_region_std(a, masks, names.MUSCLE) for a in (made, real)]
        figures["liver_std"][modality] = _liver_std(made, real, [cases[i] for i in members])
        figures["lesions"][modality] = lesions = lesion_figures(made, real, masks)
        if lesions["count"]:
            figures["lesion_contrast_ratio"][modality] = lesions["absolute_ratio"]
    errors = figures["organ_errors"]
    figures["organ_error_hu"] = errors.get("CT", {}).get("mean", float("nan"))
    figures["organ_case_error_hu"] = errors.get("CT", {}).get("per_case", float("nan"))
    mr = [errors[m]["mean_percent"] for m in ("T1", "T2") if m in errors]
    figures["organ_error_mr_percent"] = float(np.mean(mr)) if mr else float("nan")
    return figures, features


def kid_between(
    few: npt.NDArray[np.float32], many: npt.NDArray[np.float32], truth: Truth
) -> dict[str, float]:
    """KID of one set minus KID of another against the same truth, with its bootstrap interval."""
    h = case_kernel(few, truth.features) - case_kernel(many, truth.features)
    return asdict(case_interval(h))


def severity_at_fixed_mask(
    cases: Sequence[Case],
    model: LoadedModel,
    judges: Judges,
    setting: Setting,
    folder: Path,
    *,
    first: int = 0,
) -> dict[str, Any]:
    """Ask for all four texture grades on each mask, with the same noise, and let the judge read them.

    The judge's own accuracy is taken on the exact counterfactuals: the same phantoms, same anatomy
    and noise, with the texture of each grade.
    """
    shape = (cases[0].image.shape[0], cases[0].image.shape[1])
    confusion = {"real": np.zeros((4, 4), int), "made": np.zeros((4, 4), int)}
    for grade in range(4):
        asked = held_out("test", len(cases), shape, texture=grade, first=first)
        wide = [i for i, c in enumerate(asked) if _inner_liver(c.labels).sum() >= LARGE_LIVER]
        real = np.stack([model.normalise(c.image, c.condition.modality) for c in asked])
        made = cached_images(model, asked, setting, folder / f"texture-{grade}")
        for name, images in (("real", real), ("made", made)):
            read = grades(images, asked, model, judges)
            for i in wide:
                confusion[name][grade, read[i]] += 1
    accuracy = {name: float(np.trace(c) / c.sum()) for name, c in confusion.items()}
    return {
        "real": accuracy["real"],
        "made": accuracy["made"],
        "share": accuracy["made"] / accuracy["real"],
        "grades": list(GRADES),
        "confusion_real": confusion["real"].tolist(),
        "confusion_made": confusion["made"].tolist(),
    }


def segment(
    images: Images, cases: Sequence[Case], model: LoadedModel, judges: Judges
) -> list[npt.NDArray[np.uint8]]:
    """The segmenter's label maps of images [n, H, W] on the model's scale."""
    images, found = _seen(images, cases, model), []
    for part in _parts(len(images)):
        found += list(judges.segment(torch.from_numpy(images[part])[:, None], _modality(cases, part)))
    return found


def grades(
    images: Images, cases: Sequence[Case], model: LoadedModel, judges: Judges
) -> npt.NDArray[np.int64]:
    """The severity judge's texture grades [n] of images [n, H, W] on the model's scale."""
    images = _seen(images, cases, model)
    labels = np.stack([c.labels for c in cases])
    return np.concatenate(
        [
            judges.grade(torch.from_numpy(images[p])[:, None], labels[p], _modality(cases, p))
            for p in _parts(len(images))
        ]
    )


def severity_accuracy(images: Images, cases: Sequence[Case], model: LoadedModel, judges: Judges) -> float:
    """Share of livers large enough whose grade the judge reads as asked."""
    read = grades(images, cases, model, judges)
    right = [
        read[i] == GRADES.index(c.condition.severity)
        for i, c in enumerate(cases)
        if _inner_liver(c.labels).sum() >= LARGE_LIVER
    ]
    return float(np.mean(right))


def describe(
    images: Images, cases: Sequence[Case], model: LoadedModel, judges: Judges
) -> npt.NDArray[np.float32]:
    """KID features [n, d] of images [n, H, W] on the model's scale."""
    images = _seen(images, cases, model)
    return np.concatenate(
        [
            judges.describe(torch.from_numpy(images[p])[:, None], _modality(cases, p))
            for p in _parts(len(images))
        ]
    )


def _organ_errors(
    made: Sequence[Images], real: Sequence[Images], masks: Sequence[Any], organs: Sequence[int]
) -> dict[str, Any]:
    """How far organ means are off, per organ and on average over organs.

    signed: mean over cases of (made - true), the error of the organ's mean value; "mean" is the
    average of its size over organs. absolute: mean over cases of |made - true|, which also counts
    what the mask leaves to chance (a person's own values, where in a vertebra the slice lies);
    "per_case" is its average over organs, "mean_percent" the same in % of the organ's signal.
    """
    errors = organ_errors(made, real, masks, organs)
    found = {o: e for o, e in errors.items() if e}
    absolute = {o: float(np.mean(np.abs(e))) for o, e in found.items()}
    signal = {
        o: float(np.mean([r[m == o].mean() for r, m in zip(real, masks, strict=True) if (m == o).any()]))
        for o in found
    }
    return {
        "mean": float(np.mean([abs(np.mean(e)) for e in found.values()])),
        "per_case": float(np.mean(list(absolute.values()))),
        "mean_percent": float(np.mean([100 * absolute[o] / max(abs(signal[o]), 1.0) for o in found])),
        "absolute": {names.label_name(o): a for o, a in absolute.items()},
        "signed": {names.label_name(o): float(np.mean(e)) for o, e in found.items()},
    }


def lesion_figures(made: Iterable[Images], real: Iterable[Images], masks: Iterable[Any]) -> dict[str, Any]:
    """Lesions at least 4 pixels across: contrast made and true, ratio of the mean absolute values."""
    pairs = []
    for image, truth, mask in zip(made, real, masks, strict=True):
        kinds = {"lesion": names.LESION, "host": names.LIVER}
        pairs += [
            (a[2], b[2])
            for a, b in zip(
                lesion_contrasts(image, mask, **kinds), lesion_contrasts(truth, mask, **kinds), strict=True
            )
        ]
    if not pairs:
        return {"count": 0}
    a, b = np.abs(np.array(pairs)).T
    return {
        "count": len(pairs),
        "absolute_ratio": float(a.mean() / b.mean()),
        "within_25_percent": float(np.mean(np.abs(a / b - 1) <= 0.25)),
        "brighter_than_liver": [float(np.mean(np.array(pairs)[:, k] > 0)) for k in (0, 1)],
    }


def _region_std(images: Sequence[Images], masks: Sequence[Any], label: int) -> float:
    inner = [ndimage.binary_erosion(m == label, np.ones((3, 3))) for m in masks]
    return float(np.mean([i[e].std() for i, e in zip(images, inner, strict=True) if e.sum() >= 24]))


def _liver_std(
    made: Sequence[Images], real: Sequence[Images], cases: Sequence[Case]
) -> dict[str, list[float]]:
    """Severity -> [made, real] mean standard deviation inside the liver."""
    out = {}
    for grade in GRADES:
        members = [i for i, c in enumerate(cases) if c.condition.severity == grade]
        inner = {i: _inner_liver(cases[i].labels) for i in members}
        pairs = [(made[i][e].std(), real[i][e].std()) for i, e in inner.items() if e.sum() >= LARGE_LIVER]
        if pairs:
            out[grade] = [float(v) for v in np.mean(pairs, axis=0)]
    return out


def _inner_liver(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return ndimage.binary_erosion(labels == names.LIVER, np.ones((3, 3)))


def _seen(images: Images, cases: Sequence[Case], model: LoadedModel) -> Images:
    """The images on the scale that the judges know."""
    return on_scale(images, model.normalisation, [c.condition.modality for c in cases])


def _modality(cases: Sequence[Case], part: slice) -> torch.Tensor:
    return torch.tensor([MODALITIES.index(c.condition.modality) for c in cases[part]])


def _parts(count: int) -> list[slice]:
    return [slice(i, i + BATCH) for i in range(0, count, BATCH)]


def _mean(values: dict[int, float]) -> float:
    return float(np.nanmean(list(values.values())))
