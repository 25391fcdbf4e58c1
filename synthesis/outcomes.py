"""The severity reader as an outcome that `guided` can follow and that the numbers of an edit quote."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from synthesis.imaging.intensity import Normalisation
from synthesis.metrics.judges import SCALE, SeverityReader, liver_crop
from synthesis.request import MODALITIES, SEVERITIES


class SeverityOutcome:
    """How far livers are from the grades `levels` [B], 0 to 3, in the eyes of a severity reader.

    labels: masks [B, H, W] of the images to come; decode: states to images on the network's scale, which
    `normalisation` says. Between two grades both are wanted in proportion.
    """

    def __init__(
        self,
        reader: SeverityReader,
        labels: npt.NDArray[np.uint8],
        modality: str,
        levels: Sequence[float],
        decode: Callable[[Tensor], Tensor],
        normalisation: Normalisation,
    ) -> None:
        self._reader = reader
        self._labels = labels
        self._modality = F.one_hot(torch.tensor([MODALITIES.index(modality)]), len(MODALITIES)).float()
        self._decode: Callable[[Tensor], Tensor] = lambda x: rescaled(
            decode(x), normalisation, SCALE[modality]
        )
        grades = torch.arange(len(SEVERITIES)).float()
        self._wanted = (1 - (torch.tensor(levels).float()[:, None] - grades).abs()).clamp(min=0)  # [B, 4]

    def loss(self, x: Tensor, index: int) -> Tensor:
        """Cross-entropy of the grades read in the state [1, C, h, w] and those wanted of item `index`."""
        logits = self._logits(self._decode(x), index)
        return -(self._wanted[index] * F.log_softmax(logits, 0)).sum()

    @torch.no_grad()
    def probability(self, x: Tensor) -> Tensor:
        """What the reader gives the nearest wanted grade of each item, [B]."""
        images = self._decode(x)
        nearest = self._wanted.argmax(1)
        found = [self._logits(images[i : i + 1], i).softmax(0)[nearest[i]] for i in range(len(x))]
        return torch.stack(found).to(x.device)

    def _logits(self, image: Tensor, index: int) -> Tensor:
        crop = liver_crop(image[0, 0].cpu().float(), self._labels[index])[None]
        logits: Tensor = self._reader(crop, self._modality)[0]
        return logits


@torch.no_grad()
def severity_read(
    reader: SeverityReader, image: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], modality: str
) -> dict[str, float]:
    """What a reader gives each grade of an image [H, W] in HU or signal; empty without a liver."""
    crop = liver_crop(torch.from_numpy(SCALE[modality].forward(image)), labels)
    if not bool(crop[1].any()):
        return {}
    one_hot = F.one_hot(torch.tensor([MODALITIES.index(modality)]), len(MODALITIES)).float()
    shares = reader(crop[None], one_hot)[0].softmax(0)
    return {grade: round(float(share), 4) for grade, share in zip(SEVERITIES, shares, strict=True)}


def rescaled(images: Tensor, own: Normalisation, other: Normalisation) -> Tensor:
    """Images on the scale `own` as they are on the scale `other`; gradients go through."""
    if own == other:
        return images
    return _piecewise(_piecewise(images, own.scaled, own.units), other.units, other.scaled)


def _piecewise(x: Tensor, knots: Sequence[float], values: Sequence[float]) -> Tensor:
    """`Normalisation`'s map: beyond the outermost knots the last slopes go on."""
    at, of = (x.new_tensor(one) for one in (knots, values))
    stretch = torch.bucketize(x.detach(), at[1:-1])
    slopes = of.diff() / at.diff()
    return of[stretch] + slopes[stretch] * (x - at[stretch])
