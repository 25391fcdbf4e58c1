"""From a case's slice and mask, or a phantom, to the label map that a model sees; nothing is hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a request cannot be run as asked; `nearest` are form values that would do."""

    field: str
    message: str
    nearest: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request ready to be kept: the label map on the model's grid and how it came about."""

    labels: npt.NDArray[np.uint8]
    grid: dict[str, Any]
    parameters: dict[str, Any]
    notes: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)


def prepare(
    *,
    model: Any,
    parameters: Mapping[str, Any],
    case: Any = None,
    mask: Any = None,
    slice_index: int | None = None,
    count: int = 1,
) -> Prepared:
    """Read, map, fit and check; problems are listed, not raised, so that a form can show them all."""
    raise NotImplementedError
