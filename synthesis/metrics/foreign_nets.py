"""Networks of features in files of the user's: RadImageNet's for slices, Med3D's for volumes.

The files are downloaded by the user under their licences: RadImageNet's ResNet-50 (Mei et al. 2022) and
Med3D's ResNet-10 or -50 (Chen et al. 2019), in the layout in which their authors publish them. Files are
read as tensors alone, never as pickled code. Apart from feature_nets, for MONAI takes seconds to import,
which no worker that only needs the judge shall wait for.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.nets import resnet10, resnet50
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from synthesis.checkpoints import file_sha256
from synthesis.errors import SynthesisError
from synthesis.metrics.feature_nets import FeatureNet
from synthesis.metrics.features import FeatureSource

RADIMAGENET_SIDE = 224
BGR_MEAN = (0.406, 0.456, 0.485)  # which MONAI and NVIDIA subtract for RadImageNet
# Children of torchvision's ResNet-50 in RadImageNet's nn.Sequential.
RADIMAGENET_CHILDREN = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}


def load_radimagenet(path: Path) -> FeatureNet:
    """RadImageNet's ResNet-50 from the user's file; SynthesisError where it is not that network."""
    tensors = _tensors(path)
    renamed = {}
    for key, value in tensors.items():
        child, _, rest = key.removeprefix("backbone.").partition(".")
        renamed[f"{RADIMAGENET_CHILDREN.get(child, child)}.{rest}"] = value
    network = resnet50(
        spatial_dims=2, n_input_channels=3, feed_forward=False, shortcut_type="B", bias_downsample=False
    )
    _fill(network, renamed, path, "RadImageNet ResNet-50")
    source = FeatureSource(
        "RadImageNet ResNet-50",
        file_sha256(path),
        f"0..1 by the window, bilinear to {RADIMAGENET_SIDE} pixels, BGR mean subtracted, spatial mean",
    )
    return FeatureNet(network, source, _prepare_radimagenet)


def load_med3d(path: Path) -> FeatureNet:
    """Med3D's ResNet-10 or ResNet-50 from the user's file; SynthesisError where it is neither."""
    tensors = {key.removeprefix("module."): value for key, value in _tensors(path).items()}
    depth = 50 if "layer1.0.conv3.weight" in tensors else 10
    network = (resnet50 if depth == 50 else resnet10)(
        spatial_dims=3, n_input_channels=1, feed_forward=False, shortcut_type="B", bias_downsample=False
    )
    kept = {key: value for key, value in tensors.items() if not key.startswith("conv_seg.")}
    _fill(network, kept, path, f"Med3D ResNet-{depth}")
    source = FeatureSource(
        f"Med3D ResNet-{depth}",
        file_sha256(path),
        "each volume to mean 0 and standard deviation 1, spatial mean",
    )
    return FeatureNet(network, source, _prepare_med3d)


def _prepare_radimagenet(images: Tensor) -> Tensor:
    resized = F.interpolate(
        images[:, None], (RADIMAGENET_SIDE, RADIMAGENET_SIDE), mode="bilinear", align_corners=False
    )
    return resized.expand(-1, 3, -1, -1) - torch.tensor(BGR_MEAN)[:, None, None]


def _prepare_med3d(volumes: Tensor) -> Tensor:
    flat = volumes.flatten(1)
    mean, std = flat.mean(1), flat.std(1).clamp(min=1e-6)
    return ((volumes - mean[:, None, None, None]) / std[:, None, None, None])[:, None]


def _tensors(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a safetensors file or of a PyTorch file that holds nothing but tensors."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise SynthesisError(f"There is no weights file at {path}.") from None
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError):
        raise SynthesisError(
            f"{path.name} is not a file of tensors; it was not opened further. Save its state_dict instead."
        ) from None
    found = found.get("state_dict", found) if isinstance(found, Mapping) else found
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise SynthesisError(f"{path.name} holds no state_dict of tensors.")
    return found


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path, name: str) -> None:
    try:
        missing, unexpected = network.load_state_dict(tensors, strict=False)
    except RuntimeError:
        raise SynthesisError(f"{path.name} is not {name}: its tensors have other shapes.") from None
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    unexpected = [key for key in unexpected if not key.startswith("fc.")]
    if missing or unexpected:
        key = (missing or unexpected)[0]
        raise SynthesisError(f"{path.name} is not {name}: {key} {'is missing' if missing else 'is unknown'}.")
    network.eval().requires_grad_(False)
