"""Held-out phantoms and what a model makes of their masks: the raw material of every measure."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from synthesis.catalog import SAMPLERS
from synthesis.checkpoints import LoadedModel, shifted_grid
from synthesis.networks import first_state
from synthesis.phantoms import GRADES, abdomen, phantom_seed
from synthesis.request import Condition
from synthesis.samplers.rft import Options as RftOptions
from synthesis.samplers.shortcut import Options as ShortcutOptions
from synthesis.stepping import SpanVelocity
from training.data import ENCLOSED_AIR, mark_enclosed_air, only_liver
from training.prepare import modality_of

CHUNK = 32  # images per cached file and per batch
NOISE_SEED = 40_000_000  # image i of a set starts from the noise of seed NOISE_SEED + i

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """A phantom as a question: its image in HU or signal is the truth, its mask and attributes are asked."""

    image: Images  # [H, W]
    stored: npt.NDArray[np.uint8]  # labels with the ENCLOSED_AIR bit
    condition: Condition
    lesions: int
    spacing_mm: float

    @property
    def labels(self) -> npt.NDArray[np.uint8]:
        """The whole mask, [H, W]."""
        return self.stored & np.uint8(~np.uint8(ENCLOSED_AIR))


def held_out(
    split: str, count: int, shape: tuple[int, int], *, texture: int | None = None, first: int = 0
) -> list[Case]:
    """`count` phantoms of a split from number `first` on; `texture` replaces every severity grade by one.

    With `texture` the anatomy, the mask and the noise stay: an exact counterfactual.
    """
    cases = []
    for index in range(first, first + count):
        seed, modality = phantom_seed(split, index), modality_of(index)
        phantom = abdomen(seed, shape=shape, modality=modality)
        if texture is not None:
            attributes = replace(phantom.attributes, severity_texture=texture)
            phantom = abdomen(seed, shape=shape, modality=modality, attributes=attributes)
        a = phantom.attributes
        condition = Condition(
            modality=modality,
            severity=GRADES[a.severity_texture],
            steatosis=a.steatosis,
            age=a.age,
            sex=a.sex,
        )
        stored = mark_enclosed_air(phantom.labels)
        cases.append(Case(phantom.image, stored, condition, a.lesions, float(phantom.spacing_mm[-1])))
    return cases


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How images are to be made."""

    sampler: str  # a name in SAMPLERS
    calls: int
    masks: str = "whole"  # or "liver": the liver and its lesions alone, the rest of the body unknown
    kappa: float | None = None  # rft only; None: the model's calibrated value
    shift: float | None = None  # of the time grid; None: the model's own
    temperature: float | None = None  # shortcut only; None: the model's calibrated value

    @property
    def name(self) -> str:
        """Unambiguous, fit for a file name."""
        extra = "" if self.kappa is None else f"-k{self.kappa:g}"
        extra += "" if self.shift is None else f"-s{self.shift:g}"
        extra += "" if self.temperature is None else f"-t{self.temperature:g}"
        return f"{self.sampler}-{self.calls}-{self.masks}{extra}"


@torch.inference_mode()
def make(model: LoadedModel, cases: Sequence[Case], setting: Setting, numbers: Sequence[int]) -> Images:
    """Images [n, H, W] on the network's scale of cases of one modality; `numbers` name their noise streams.

    bfloat16 autocast inside the network, float32 state outside.
    """
    masks = np.stack([only_liver(c.stored) if setting.masks == "liver" else c.labels for c in cases])
    condition = model.network.condition(masks, [c.condition for c in cases])
    streams = [torch.Generator().manual_seed(NOISE_SEED + int(number)) for number in numbers]
    rows, columns = masks.shape[1:]
    shape = model.network.state_shape(rows, columns)
    x_0 = first_state(model.network, torch.stack([torch.randn(shape, generator=g) for g in streams]))

    def call(x: torch.Tensor, t: torch.Tensor, *span: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return model.network(x, t, *condition, *span)

    velocity = SpanVelocity(call) if "shortcut" in model.recipe else call
    modality = cases[0].condition.modality
    times = grid(model, setting, modality)
    if setting.sampler == "rft":
        kappa = model.kappa(setting.calls, modality) if setting.kappa is None else setting.kappa
        made = SAMPLERS["rft"].load()(
            velocity, x_0, times, options=RftOptions(kappa=kappa), generator=streams
        )
    elif setting.sampler == "shortcut":
        scale = setting.temperature or model.temperature(setting.calls, modality)
        made = SAMPLERS["shortcut"].load()(velocity, x_0, times, options=ShortcutOptions(temperature=scale))
    else:
        made = SAMPLERS[setting.sampler].load()(velocity, x_0, times)
    return model.network.decode(made)[:, 0].numpy()


def grid(model: LoadedModel, setting: Setting, modality: str) -> list[float]:
    """The time grid of a setting: the model's own for that modality unless a shift is set."""
    if setting.shift is None:
        return model.times(setting.calls, modality, setting.sampler)
    return shifted_grid(setting.calls, setting.shift, model.network.start)


def content_key(model: LoadedModel) -> str:
    """A digest of weights and calibration alone, so that a card that changes costs no new images."""
    digest = hashlib.sha256(repr(sorted(model.recipe.get("calibration", {}).items())).encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.half().numpy().tobytes())
    return digest.hexdigest()[:16]


def cached_images(model: LoadedModel, cases: Sequence[Case], setting: Setting, folder: Path) -> Images:
    """`make` over all cases, in chunks of one modality, each kept in `folder`: a killed run goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    out = np.zeros((len(cases), *cases[0].image.shape), np.float32)
    for number, members in enumerate(chunks(cases)):
        path = folder / f"{setting.name}-{number:03d}.npy"
        if not path.is_file():
            began = time.monotonic()
            images = make(model, [cases[i] for i in members], setting, list(members))
            part = path.with_suffix(".part.npy")
            np.save(part, images)
            part.replace(path)
            print(f"  {setting.name} {number} {time.monotonic() - began:.1f} s", flush=True)
        out[members] = np.load(path)
    return out


def chunks(cases: Sequence[Case]) -> list[npt.NDArray[np.int64]]:
    """Indices in groups of at most CHUNK cases of one modality."""
    groups = []
    for modality in dict.fromkeys(c.condition.modality for c in cases):
        members = np.array([i for i, c in enumerate(cases) if c.condition.modality == modality])
        groups += np.array_split(members, -(-len(members) // CHUNK))
    return groups
