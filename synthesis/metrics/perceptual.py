"""LPIPS, for those who install it: it needs torchvision and weights that Semblance does not ship."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthesis.errors import SynthesisError


@cache
def installed(net: str = "alex") -> Lpips | None:
    """The measure where its package and weights are there, else None; looked for once."""
    try:
        return Lpips(net)
    except SynthesisError:
        return None


Image = npt.NDArray[np.floating]

NETS = ("alex", "vgg", "squeeze")


class Lpips:
    """Learned perceptual distance (Zhang et al. 2018) by the package `lpips`; `about` names net and version.

    Trained on photographs: it says how alike two images look, not whether their anatomy agrees.
    Raises SynthesisError where the package or its weights are not there.
    """

    def __init__(self, net: str = "alex") -> None:
        if net not in NETS:
            raise ValueError(f"net: expected one of {', '.join(NETS)}, got {net}.")
        try:
            self._measure: Any = import_module("lpips").LPIPS(net=net, verbose=False).eval()
            self.about = f"lpips {version('lpips')}, {net}"
        except (ImportError, PackageNotFoundError):
            raise SynthesisError(
                "LPIPS is not installed here. To use it, install the packages lpips and torchvision as well."
            ) from None
        except OSError as error:
            raise SynthesisError(f"The weights of LPIPS could not be read or downloaded: {error}.") from error

    @torch.no_grad()
    def __call__(self, image: Image, truth: Image, *, low: float, high: float) -> float:
        """Distance of two slices [H, W], with the window low..high shown to the network as -1..1."""
        if image.shape != truth.shape or image.ndim != 2:
            raise ValueError(f"expected two slices of one shape, got {image.shape} and {truth.shape}.")
        if not low < high:
            raise ValueError(f"expected a window low < high, got {low} and {high}.")
        return float(self._measure(*(self._shown(one, low, high) for one in (image, truth))))

    def _shown(self, image: Image, low: float, high: float) -> Tensor:
        grey = np.clip((np.asarray(image, np.float32) - low) / (high - low), 0, 1)
        return torch.from_numpy(2 * grey - 1).expand(1, 3, *image.shape)
