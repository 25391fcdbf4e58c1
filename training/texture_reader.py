"""A second reader of severity, on texture statistics, so that no edit is judged by what it followed.

Quadratic discriminant analysis (Hastie, Tibshirani & Friedman, The Elements of Statistical Learning,
section 4.3) on five statistics of a liver: the logarithm of its variance in four octaves of scale, and
its skewness. Fitted to phantoms of the training split in a few seconds; it shares neither weights nor
training with the networks, and every grade is drawn at one mask, so that only texture tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from synthesis.phantoms import GRADES, abdomen, phantom_seed
from synthesis.phantoms.labels import LIVER

Image = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
Matrix = npt.NDArray[np.float64]

SCALES = (0.0, 0.7, 1.4, 2.8)  # standard deviations in pixels between which an octave lies
FIT, CHECK = 48, 24  # phantoms to fit and to check with
FIRST = 15_000  # number of the first training phantom that is used
MIN_PIXELS = 150


@dataclass(frozen=True)
class TextureReader:
    """One Gaussian per grade: means [4, d], inverse covariances [4, d, d], log determinants [4].

    accuracy: on phantoms that were not fitted.
    """

    means: Matrix
    inverses: Matrix
    determinants: Matrix
    accuracy: float

    def grade(
        self, images: Sequence[Image] | Image, labels: Sequence[Labels] | Labels
    ) -> npt.NDArray[np.int64]:
        """Severity grades 0..3 of images [n, H, W] in HU or signal under their masks."""
        x = np.array([features(i, m) for i, m in zip(images, labels, strict=True)])
        away = x[:, None] - self.means[None]
        distance = np.einsum("ngd,gde,nge->ng", away, self.inverses, away)
        return np.argmin(distance + self.determinants, axis=1)


def features(image: Image, labels: Labels) -> list[float]:
    """Log variance of the liver in octaves of scale, and its skewness, within the mask less a pixel."""
    mask = ndimage.binary_erosion(labels == LIVER, np.ones((3, 3)))
    inside = np.where(mask, image - (image[mask].mean() if mask.any() else 0.0), 0.0)
    blurred = [_within(inside, mask, scale) for scale in SCALES]
    bands = [a - b for a, b in zip(blurred, [*blurred[1:], np.zeros_like(inside)], strict=True)]
    values = [float(np.log(band[mask].var() + 1e-3)) if mask.any() else 0.0 for band in bands]
    core = blurred[1][mask] if mask.any() else np.zeros(1)
    return [*values, float((core**3).mean() / max(core.std(), 1e-6) ** 3)]


def _within(image: Matrix, mask: npt.NDArray[np.bool_], scale: float) -> Matrix:
    """Gaussian blur of what lies in the mask, by normalised convolution."""
    if scale == 0:
        return image
    weight = ndimage.gaussian_filter(mask.astype(np.float64), scale)
    return ndimage.gaussian_filter(image, scale) / np.maximum(weight, 1e-3) * mask


def kept_texture_reader(modality: str, shape: tuple[int, int], folder: Path) -> TextureReader:
    """`fit_texture_reader`, kept in `folder` from one run to the next."""
    path = folder / f"texture-reader-{modality}-{shape[0]}x{shape[1]}-{FIT}-{CHECK}.npz"
    names = ("means", "inverses", "determinants", "accuracy")
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        reader = fit_texture_reader(modality, shape)
        np.savez(path, **{name: getattr(reader, name) for name in names}, allow_pickle=False)
    with np.load(path) as kept:
        means, inverses, determinants = (kept[name] for name in names[:3])
        return TextureReader(means, inverses, determinants, float(kept["accuracy"]))


def fit_texture_reader(modality: str, shape: tuple[int, int]) -> TextureReader:
    """The reader of one modality; deterministic."""
    x, y = _examples(modality, shape, FIRST, FIT)
    grades = range(len(GRADES))
    covariances = [np.cov(x[y == g].T) + 1e-6 * np.eye(x.shape[1]) for g in grades]
    reader = TextureReader(
        means=np.array([x[y == g].mean(0) for g in grades]),
        inverses=np.array([np.linalg.inv(c) for c in covariances]),
        determinants=np.array([np.linalg.slogdet(c)[1] for c in covariances]),
        accuracy=float("nan"),
    )
    x, y = _examples(modality, shape, FIRST + 10 * FIT, CHECK)
    away = x[:, None] - reader.means[None]
    distance = np.einsum("ngd,gde,nge->ng", away, reader.inverses, away) + reader.determinants
    return replace(reader, accuracy=float(np.mean(distance.argmin(1) == y)))


def _examples(
    modality: str, shape: tuple[int, int], first: int, count: int
) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """Features [4 count, d] and grades of training phantoms, each at all four grades."""
    rows: list[list[float]] = []
    grades: list[int] = []
    index = first
    while len(rows) < len(GRADES) * count:
        seed = phantom_seed("training", index)
        index += 1
        own = abdomen(seed, shape=shape, modality=modality)
        if ndimage.binary_erosion(own.labels == LIVER, np.ones((3, 3))).sum() < MIN_PIXELS:
            continue
        for grade in range(len(GRADES)):
            attributes = replace(own.attributes, severity_texture=grade)
            one = abdomen(seed, shape=shape, modality=modality, attributes=attributes)
            rows.append(features(one.image, one.labels))
            grades.append(grade)
    return np.array(rows), np.array(grades)
