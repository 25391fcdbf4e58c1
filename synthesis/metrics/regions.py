"""Mean values of organs and contrasts of lesions, against the truth under the same mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Image = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]

MIN_PIXELS = 24


def organ_means(image: Image, labels: Labels, organs: Sequence[int]) -> dict[int, float]:
    """Mean of the image in each organ, eroded by one pixel where enough is left; absent ones are left out."""
    means = {}
    for organ in organs:
        region = labels == organ
        inner = ndimage.binary_erosion(region, np.ones((3, 3)))
        if inner.sum() >= MIN_PIXELS:
            means[organ] = float(image[inner].mean())
    return means


def organ_errors(
    images: Sequence[Image], truths: Sequence[Image], labels: Sequence[Labels], organs: Sequence[int]
) -> dict[int, list[float]]:
    """For each organ, image mean minus true mean, one entry per case that has the organ."""
    errors: dict[int, list[float]] = {organ: [] for organ in organs}
    for image, truth, mask in zip(images, truths, labels, strict=True):
        made, true = organ_means(image, mask, organs), organ_means(truth, mask, organs)
        for organ, value in made.items():
            errors[organ].append(value - true[organ])
    return errors


def lesion_contrasts(
    image: Image, labels: Labels, *, lesion: int, host: int, across: float = 4.0
) -> list[tuple[slice, slice, float]]:
    """Contrast of each lesion at least `across` pixels wide to the host tissue around it.

    Width is the diameter of the circle of equal area. Contrast is the mean inside the lesion
    (eroded by one pixel where something is left) minus the mean of host pixels 2 to 5 pixels away.
    Returns (row slice, column slice, contrast) per lesion; lesions without host nearby are left out.
    """
    components, _ = ndimage.label(labels == lesion)
    found = []
    for number, where in enumerate(ndimage.find_objects(components), start=1):
        region = components == number
        if 2 * np.sqrt(region.sum() / np.pi) < across:
            continue
        inner = ndimage.binary_erosion(region)
        distance = ndimage.distance_transform_edt(~region)
        around = (labels == host) & (distance >= 2) & (distance <= 5)
        if around.sum() < 8:
            continue
        core = inner if inner.sum() >= 4 else region
        found.append((*where, float(image[core].mean() - image[around].mean())))
    return found
