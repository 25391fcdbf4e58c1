"""From a method's reports, which are states, to progress for a screen, which is pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthesis.checkpoints import LoadedModel
from synthesis.phantoms.contrast import WINDOWS
from synthesis.request import OnStep, Step
from synthesis.stepping import OnSamplerStep, SamplerStep

PREVIEW_SIDE = 128
PREVIEWS = 5


def reporter(
    model: LoadedModel,
    modality: str,
    on_step: OnStep | None,
    *,
    image: int = 1,
    images: int = 1,
    before: int = 0,
    passes: int = 1,
    of: int = 1,
) -> OnSamplerStep | None:
    """A method's `on_step` that tells the caller's, with a picture of what is to come.

    It speaks of `image` of `images`, counted from 1. The method's reports are those of `passes` through its
    steps, `before` them and in all `of`. The first item of a batch stands for it. Of latents, which take a
    decoder to be seen, there are at most PREVIEWS pictures of a run, the last one among them.
    """
    if on_step is None:
        return None
    tell = on_step

    def report(progress: SamplerStep) -> None:
        picture = None
        left = progress.steps - progress.step
        if not model.network.in_latents or left % -(-progress.steps // PREVIEWS) == 0:
            picture = preview(units(model, progress.estimate[:1], modality)[0], model.recipe, modality)
        steps = progress.steps // passes
        tell(Step(image, images, before * steps + progress.step, of * steps, picture))

    return report


def reporters(
    model: LoadedModel, modality: str, on_step: OnStep | None, passes: Sequence[int]
) -> list[OnSamplerStep | None]:
    """Listeners for the runs of a method, by how often each goes through its steps: together one work."""
    return [
        reporter(model, modality, on_step, before=sum(passes[:run]), passes=own, of=sum(passes))
        for run, own in enumerate(passes)
    ]


def units(model: LoadedModel, x: Tensor, modality: str) -> npt.NDArray[np.float32]:
    """States [B, C, h, w] to HU or signal [B, rows, columns]."""
    with torch.no_grad():
        images = model.network.decode(x)
    return model.denormalise(images[:, 0].float().cpu().numpy(), modality)


def preview(
    image: npt.NDArray[np.float32], recipe: Mapping[str, Any], modality: str
) -> npt.NDArray[np.uint8]:
    """A small picture [rows, columns] for the screen: windowed, at most PREVIEW_SIDE on a side."""
    low, high = recipe["image"].get("windows", WINDOWS)[modality]
    step = max(1, -(-max(image.shape) // PREVIEW_SIDE))
    rows, columns = (length // step * step for length in image.shape)
    blocks = image[:rows, :columns].reshape(rows // step, step, columns // step, step).mean((1, 3))
    return np.clip((blocks - low) * (255.0 / (high - low)) + 0.5, 0, 255).astype(np.uint8)
