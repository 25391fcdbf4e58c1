"""Labels and condition painted into the tensors a network is conditioned on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthesis.request import MODALITIES, SEVEREST, SEVERITIES, SEXES, STEATOSIS_GRADES, Condition

LABEL_COUNT = 20  # values 0..19, see synthesis/phantoms/labels.py
LIVER = 6  # the label inside which severity and steatosis are painted
LESION = 17  # the label of lesions in the liver
AGEING = ((4, 5), (3,))  # bone and ribs, muscle: the labels inside which age is painted, a plane each

SEVERITY_PLANES = slice(LABEL_COUNT, LABEL_COUNT + len(SEVERITIES))
STEATOSIS_PLANES = slice(SEVERITY_PLANES.stop, SEVERITY_PLANES.stop + len(STEATOSIS_GRADES))
AGE_PLANES = slice(STEATOSIS_PLANES.stop, STEATOSIS_PLANES.stop + len(AGEING))
PLANES = AGE_PLANES.stop

AGE_CENTRE, AGE_SCALE = 60.0, 20.0  # years; ages enter as (age - centre) / scale
SEX_ENTRIES = slice(len(MODALITIES), len(MODALITIES) + len(SEXES))
AGE_KNOWN = SEX_ENTRIES.stop
AGE_VALUE = AGE_KNOWN + 1
ATTRIBUTES = AGE_VALUE + 1


class _WithPlanes(Protocol):
    @property
    def planes(self) -> Tensor: ...

    def _replace(self, *, planes: Tensor) -> Self: ...


Told = TypeVar("Told", bound=_WithPlanes)


class ConditionTensors(NamedTuple):
    """planes [B, PLANES, H, W] (one-hot labels, severity and steatosis one-hot inside the
    liver (a severity between two grades: in shares of both), scaled age inside bone and inside muscle);
    attributes [B, ATTRIBUTES] (one-hot modality, one-hot sex, age known, age scaled).
    All zeros in a one-hot group mean "not stated"."""

    planes: Tensor
    attributes: Tensor

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> ConditionTensors:
        """The same tensors on another device, or in another float type."""
        return ConditionTensors(self.planes.to(device, dtype), self.attributes.to(device, dtype))

    def select(self, index: slice | Tensor) -> ConditionTensors:
        """Some items of the batch."""
        return ConditionTensors(self.planes[index], self.attributes[index])


def paint_arrays(
    labels: Tensor, severity: Tensor, steatosis: Tensor, modality: Tensor, sex: Tensor, age: Tensor
) -> ConditionTensors:
    """Paint a batch given as numbers; -1 means "not stated", and so does a NaN age.

    labels: [B, H, W] in 0..19; severity: [B] from 0 to 3, indices into SEVERITIES and what lies between;
    steatosis, modality, sex: [B] indices into STEATOSIS_GRADES, MODALITIES and SEXES; age: [B] in years.
    """
    if labels.ndim != 3:
        raise ValueError(f"labels must be [B, H, W], got {tuple(labels.shape)}")
    labels = labels.long()
    if labels.numel() and (int(labels.min()) < 0 or int(labels.max()) >= LABEL_COUNT):
        raise ValueError(
            f"labels must lie in 0..{LABEL_COUNT - 1}, got {int(labels.min())}..{int(labels.max())}"
        )
    batch, rows, columns = labels.shape
    planes = torch.zeros(batch, PLANES, rows, columns, device=labels.device)
    planes.scatter_(1, labels[:, None], 1.0)
    liver = planes[:, LIVER : LIVER + 1]
    planes[:, SEVERITY_PLANES] = _shares(severity, len(SEVERITIES))[:, :, None, None] * liver
    planes[:, STEATOSIS_PLANES] = _one_hot(steatosis, len(STEATOSIS_GRADES))[:, :, None, None] * liver
    known = torch.isfinite(age)
    scaled = torch.where(known, (age - AGE_CENTRE) / AGE_SCALE, torch.zeros_like(age)).float()
    for plane, inside in zip(range(AGE_PLANES.start, AGE_PLANES.stop), AGEING, strict=True):
        planes[:, plane] = scaled[:, None, None] * planes[:, list(inside)].sum(1)
    attributes = torch.cat(
        [
            _one_hot(modality, len(MODALITIES)),
            _one_hot(sex, len(SEXES)),
            known.float()[:, None],
            scaled[:, None],
        ],
        dim=1,
    )
    return ConditionTensors(planes, attributes)


def paint(labels: npt.NDArray[np.integer] | Tensor, conditions: Sequence[Condition]) -> ConditionTensors:
    """Paint `labels` [B, H, W] with one condition per image; raises ValueError for unknown words."""
    label_tensor = labels if isinstance(labels, Tensor) else torch.from_numpy(np.ascontiguousarray(labels))
    if label_tensor.ndim != 3 or label_tensor.shape[0] != len(conditions):
        raise ValueError(f"labels must be [{len(conditions)}, H, W], got {tuple(label_tensor.shape)}")
    return paint_arrays(
        label_tensor,
        _levels(conditions),
        _indices("steatosis", STEATOSIS_GRADES, [c.steatosis for c in conditions]),
        _indices("modality", MODALITIES, [c.modality for c in conditions]),
        _indices("sex", SEXES, [c.sex for c in conditions]),
        torch.tensor([float("nan") if c.age is None else float(c.age) for c in conditions]),
    )


def unconditional(tensors: ConditionTensors) -> ConditionTensors:
    """The same labels and modality with severity, steatosis, sex and age not stated, for guidance."""
    planes = tensors.planes.clone()
    planes[:, SEVERITY_PLANES] = 0
    planes[:, STEATOSIS_PLANES] = 0
    planes[:, AGE_PLANES] = 0
    attributes = tensors.attributes.clone()
    attributes[:, SEX_ENTRIES.start :] = 0
    return ConditionTensors(planes, attributes)


def without_lesions(tensors: Told) -> Told:
    """The same condition with every lesion become liver, painted with its liver's grades.

    The counterfactual mask of the region-contrastive loss (math.md section 5). Whatever else a network is
    told stays; ValueError where it is told the mask as a picture too, which this does not paint anew.
    """
    if getattr(tensors, "picture", tensors.planes[:, :0]).numel():
        raise ValueError("picture: expected a mask that is told as planes alone, got a picture of it too.")
    planes = tensors.planes.clone()
    lesion = planes[:, LESION : LESION + 1]
    for where in (SEVERITY_PLANES, STEATOSIS_PLANES):
        planes[:, where] += planes[:, where].amax((2, 3), keepdim=True) * lesion
    planes[:, LIVER : LIVER + 1] += lesion
    planes[:, LESION] = 0
    return tensors._replace(planes=planes)


def _one_hot(index: Tensor, count: int) -> Tensor:
    """[B] indices to [B, count] floats; -1 gives a row of zeros."""
    return (index.long()[:, None] == torch.arange(count, device=index.device)[None, :]).float()


def _shares(level: Tensor, count: int) -> Tensor:
    """[B] places on the scale 0 .. count - 1 to [B, count] shares of the two neighbouring grades.

    share_k = max(0, 1 - |level - k|): at whole numbers exactly the one-hot; -1 gives a row of zeros.
    """
    grades = torch.arange(count, device=level.device)
    shares = (1 - (level.float()[:, None] - grades[None, :]).abs()).clamp(min=0)
    return shares * (level >= 0)[:, None]


def _levels(conditions: Sequence[Condition]) -> Tensor:
    """Each condition's severity on the scale 0 .. 3 [B]; raises ValueError for what lies outside of it."""
    words = _indices("severity", SEVERITIES, [c.severity for c in conditions]).float()
    for place, condition in enumerate(conditions):
        level = condition.severity_level
        if level is not None:
            if not 0 <= level <= SEVEREST:
                raise ValueError(f"severity_level must lie in 0..{SEVEREST}, got {level!r}")
            words[place] = level
    return words


def _indices(name: str, choices: Sequence[object], values: Sequence[object]) -> Tensor:
    """Positions of the values in the choices; None is -1."""
    found = []
    for value in values:
        if value is not None and value not in choices:
            raise ValueError(f"{name} must be one of {list(choices)}, got {value!r}")
        found.append(-1 if value is None else choices.index(value))
    return torch.tensor(found)
