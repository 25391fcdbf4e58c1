"""The judges: three small networks, trained on real phantoms, that measure generated images.

- `Segmenter` names the structure at each pixel of an image;
- `SeverityReader` grades the texture of a liver and sees nothing outside it, nor its mean value;
- `FeatureNet` turns an image into the features that KID compares.

All know images on one scale, SCALE, and whoever asks them brings images to it (`on_scale`). They ship under
weights/judges, named with their digests in judges.json; one whose digest differs is refused.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch import Tensor, nn

from synthesis.checkpoints import file_sha256
from synthesis.errors import SynthesisError
from synthesis.imaging.intensity import Normalisation
from synthesis.phantoms.labels import LIVER
from synthesis.request import MODALITIES

CROP = 80  # side of the square around a liver, pixels
LABELS = 20
GAIN = 5.0  # brings a liver's residual, about 0.1 to 0.3 on the network's scale, near 1
JUDGES_FILE = "judges.json"
SCALE = {  # HU or signal -> what the judges see: that of the phantoms they were fitted to
    "CT": Normalisation(units=(-1000.0, -200.0, 300.0, 1300.0), scaled=(-4.5, -2.5, 2.5, 5.0)),
    "T1": Normalisation(units=(0.0, 900.0), scaled=(-2.0, 3.0)),
    "T2": Normalisation(units=(0.0, 810.0, 1530.0), scaled=(-2.0, 2.5, 4.5)),
}


def on_scale(
    images: npt.NDArray[np.float32], own: Mapping[str, Normalisation], modalities: Sequence[str]
) -> npt.NDArray[np.float32]:
    """Images [n, H, W] of a model's scale, each of its modality, on SCALE; on it already, as they are."""
    other = [i for i, modality in enumerate(modalities) if own[modality] != SCALE[modality]]
    if not other:
        return images
    found = np.array(images, np.float32)
    for i in other:
        found[i] = SCALE[modalities[i]].forward(own[modalities[i]].inverse(images[i]))
    return found


def conv_block(width_in: int, width_out: int, stride: int = 1) -> nn.Sequential:
    """Conv, GroupNorm, SiLU."""
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1), nn.GroupNorm(8, width_out), nn.SiLU()
    )


class Segmenter(nn.Module):
    """A patchified U-Net: image [B, 1, H, W] and modality [B, 3] to label logits [B, 20, H, W]."""

    widths = (32, 64, 96, 128)

    def __init__(self) -> None:
        super().__init__()
        w = self.widths
        self.enter = conv_block(4 + 3, w[0])
        self.down = nn.ModuleList(
            nn.Sequential(conv_block(a, b, 2), conv_block(b, b)) for a, b in itertools.pairwise(w)
        )
        self.up = nn.ModuleList(conv_block(a + b, b) for a, b in zip(w[:0:-1], w[-2::-1], strict=False))
        self.leave = nn.Conv2d(w[0], 4 * LABELS, 3, padding=1)

    def encode(self, image: Tensor, modality: Tensor) -> list[Tensor]:
        """Activations from H / 2 down to H / 16, finest first."""
        h = F.pixel_unshuffle(image, 2)
        planes = modality[:, :, None, None].expand(-1, -1, *h.shape[2:])
        h = self.enter(torch.cat([h, planes], 1).contiguous(memory_format=torch.channels_last))
        levels = [h]
        for block in self.down:
            levels.append(block(levels[-1]))
        return levels

    def forward(self, image: Tensor, modality: Tensor) -> Tensor:
        *skips, h = self.encode(image, modality)
        for block in self.up:
            h = block(torch.cat([F.interpolate(h, scale_factor=2.0), skips.pop()], 1))
        return F.pixel_shuffle(self.leave(h), 2)


class SeverityReader(nn.Module):
    """Texture grade of a liver: crop [B, 2, CROP, CROP] (`liver_crop`) and modality [B, 3] to [B, 4]."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_block(4 * (2 + 3), width),
            conv_block(width, width),
            conv_block(width, 2 * width, 2),
            conv_block(2 * width, 2 * width),
        )
        self.head = nn.Linear(4 * width, 4)

    def forward(self, crop: Tensor, modality: Tensor) -> Tensor:
        planes = modality[:, :, None, None] * crop[:, 1:]
        h = F.pixel_unshuffle(torch.cat([GAIN * crop[:, :1], crop[:, 1:], planes], 1), 2)
        h = self.body(h.contiguous(memory_format=torch.channels_last))
        mask = F.adaptive_avg_pool2d(crop[:, 1:], h.shape[2:])
        size = mask.sum((2, 3)).clamp(min=1e-3)
        mean = (h * mask).sum((2, 3)) / size
        spread = ((h - mean[:, :, None, None]) ** 2 * mask).sum((2, 3)) / size
        return self.head(torch.cat([mean, (spread + 1e-6).sqrt()], 1))


class FeatureNet(Segmenter):
    """A second segmenter, trained from another seed, for what its encoder sees: the features of KID.

    To name every structure the encoder must know edges, grey values, noise and anatomy; its
    activations at four scales, averaged over the image, describe it without saying where.
    """

    @property
    def width(self) -> int:
        """Length of a feature vector."""
        return 2 * sum(self.widths)

    def features(self, image: Tensor, modality: Tensor) -> Tensor:
        """Mean and standard deviation of every channel at every scale: [B, width]."""
        pooled = [torch.cat([h.mean((2, 3)), h.std((2, 3))], 1) for h in self.encode(image, modality)]
        return torch.cat(pooled, 1)


KINDS: dict[str, type[nn.Module]] = {
    "segmenter": Segmenter,
    "severity": SeverityReader,
    "features": FeatureNet,
}


@dataclass(frozen=True)
class Judges:
    """The three of them, ready, with what judges.json says about each."""

    segmenter: Segmenter
    severity: SeverityReader
    features: FeatureNet
    about: dict[str, Any]

    @torch.no_grad()
    def segment(self, images: Tensor, modality: Tensor) -> npt.NDArray[np.uint8]:
        """Label maps [B, H, W] of images [B, 1, H, W] on SCALE; modality: indices [B]."""
        logits = self.segmenter(images, F.one_hot(modality.long(), 3).float())
        return logits.argmax(1).numpy().astype(np.uint8)

    @torch.no_grad()
    def grade(self, images: Tensor, labels: npt.NDArray[np.uint8], modality: Tensor) -> npt.NDArray[np.int64]:
        """Texture grades 0..3 of the livers in images [B, 1, H, W] under their masks [B, H, W]."""
        return self.grade_shares(images, labels, modality).argmax(1)

    @torch.no_grad()
    def grade_shares(
        self, images: Tensor, labels: npt.NDArray[np.uint8], modality: Tensor
    ) -> npt.NDArray[np.float32]:
        """How the severity judge shares itself out over the grades 0..3, one row per image: [B, 4]."""
        crops = torch.stack([liver_crop(i[0], m) for i, m in zip(images, labels, strict=True)])
        return self.severity(crops, F.one_hot(modality.long(), 3).float()).softmax(1).numpy()

    @torch.no_grad()
    def describe(self, images: Tensor, modality: Tensor) -> npt.NDArray[np.float32]:
        """KID features [B, width] of images [B, 1, H, W] on SCALE; modality: indices [B]."""
        return self.features.features(images, F.one_hot(modality.long(), 3).float()).numpy()


class MaskJudge:
    """The segmenter as `synthesis.metrics.quality` wants a judge: it sees one image in HU or signal."""

    name = "segmenter trained on phantoms"

    def __init__(self, judges: Judges) -> None:
        self._judges = judges

    def segment(self, image: npt.NDArray[np.float32], modality: str) -> npt.NDArray[np.uint8]:
        """Label map [H, W] of an image [H, W]."""
        scaled = torch.from_numpy(SCALE[modality].forward(image))[None, None]
        return self._judges.segment(scaled, torch.tensor([MODALITIES.index(modality)]))[0]


def liver_crop(image: Tensor, labels: npt.NDArray[np.uint8]) -> Tensor:
    """What the severity judge sees: [2, CROP, CROP], the liver minus its own mean, and its mask.

    The mask is eroded by one pixel, so that edges, and with them the liver's neighbours, stay out.
    """
    mask = ndimage.binary_erosion(labels == LIVER, np.ones((3, 3)))
    out = torch.zeros(2, CROP, CROP)
    if not mask.any():
        return out
    rows, columns = np.nonzero(mask)
    centre = [(int(v.min()) + int(v.max()) + 1) // 2 for v in (rows, columns)]
    inside = torch.from_numpy(mask)
    residual = torch.where(inside, image - image[inside].mean(), torch.zeros(()))
    half = CROP // 2
    top, left = centre[0] - half, centre[1] - half
    r0, r1 = max(top, 0), min(top + CROP, labels.shape[0])
    c0, c1 = max(left, 0), min(left + CROP, labels.shape[1])
    out[0, r0 - top : r1 - top, c0 - left : c1 - left] = residual[r0:r1, c0:c1]
    out[1, r0 - top : r1 - top, c0 - left : c1 - left] = inside[r0:r1, c0:c1].float()
    return out


def save_judge(folder: Path, name: str, network: nn.Module, about: dict[str, Any]) -> None:
    """Write one judge (fp16) and enter it, with its digest and scores, in judges.json."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file({k: v.detach().half().contiguous() for k, v in network.state_dict().items()}, path)
    path.chmod(0o644)
    listing = folder / JUDGES_FILE
    entries = json.loads(listing.read_text(encoding="utf-8")) if listing.is_file() else {}
    entries[name] = {"file": path.name, "sha256": file_sha256(path)} | about
    listing.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load_judges(folder: Path) -> Judges:
    """The judges of a folder; SynthesisError if one is missing or is not the file that was listed."""
    listing = folder / JUDGES_FILE
    if not listing.is_file():
        raise SynthesisError(f"There are no judges at {folder}.")
    about = json.loads(listing.read_text(encoding="utf-8"))
    ready = {}
    for name, kind in KINDS.items():
        path = folder / about.get(name, {}).get("file", f"{name}.safetensors")
        if not path.is_file() or name not in about:
            raise SynthesisError(f"The judge {name} is missing from {folder}.")
        if file_sha256(path) != about[name]["sha256"]:
            raise SynthesisError(
                f"The judge {path.name} is not the file that was published: its SHA-256 differs."
            )
        network = kind()
        network.load_state_dict({k: v.float() for k, v in load_file(path).items()})
        ready[name] = network.eval().requires_grad_(False)
    return Judges(**ready, about=about)  # type: ignore[arg-type]
