"""The contract that every network on the shelf `backbones` keeps, whatever it was trained to predict.

A network is called as velocity = network(x_t, t, *condition), in the convention of synthesis/paths.py.
Its states may be images or latents, and sampling may begin later than at t = 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from synthesis.control.painting import paint, unconditional
from synthesis.control.patient_prompts import PatientPrompts
from synthesis.drift import TrainedDrift
from synthesis.paths import time_like
from synthesis.request import Condition
from synthesis.variance_preserving import scale


class ConditionBatch(Protocol):
    """The tensors of a condition, first axis the batch, in the order in which a network takes them."""

    def __iter__(self) -> Iterator[Tensor]: ...

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """The same on another device, or in another float type."""
        ...

    def select(self, index: slice | Tensor) -> Self:
        """Some items of the batch."""
        ...


class Network(nn.Module, ABC):
    """A velocity with its condition, its states and the way between states and images.

    What a subclass leaves as it is here describes a rectified flow on the image itself, which is told
    of painted planes and attributes.
    """

    name: ClassVar[str]  # in BACKBONES of synthesis/catalog.py, and in a recipe's "backbone"
    in_latents: ClassVar[bool] = False  # whether a state takes a decoder to be seen
    options: Any  # the frozen dataclass that stands beside the network
    drift: TrainedDrift | None = None  # that it was trained with; see `__call__`

    def __call__(self, x_t: Tensor, t: Tensor, *condition: Tensor, **more: Any) -> Tensor:
        """`forward`; under a drift that the network was trained with, the ordinary flow that is left of it:

            v(x, t) = forward(x + (1 - t) k(t) delta, t) + k(t) delta          (k: `TrainedDrift.noise_mean`)

        Its states begin from N(0, I) and end in the same images, so that samplers, inversion and estimates
        need to know nothing of the drift: what the network itself sees began from N(delta, I). Raises
        ValueError where delta fits neither a number nor the channels.
        """
        if self.drift is None:
            answer: Tensor = super().__call__(x_t, t, *condition, **more)
            return answer
        mean = self.drift.noise_mean(x_t, t, preserving=self.preserves_variance)
        drifted: Tensor = super().__call__(x_t + (1 - time_like(t, x_t)) * mean, t, *condition, **more)
        return drifted + mean

    def use_drift(self, drift: TrainedDrift | None) -> None:
        """Be run, from now on, as a network that was trained with that drift, or with none."""
        self.drift = drift or None

    @property
    def preserves_variance(self) -> bool:
        """Whether it was trained on a variance-preserving schedule rather than as a rectified flow."""
        return False

    @abstractmethod
    def forward(self, x_t: Tensor, t: Tensor, *condition: Tensor, source: Tensor | None = None) -> Tensor:
        """The velocity [B, C, h, w] float32 at x_t [B, C, h, w] and t [B] or one number for all.

        Where `spans`, one more tensor like t, the length of a step, asks for the average over it. Where
        `takes_image`, `source` is what `shown` makes of the image to be changed; None shows none.
        """

    @property
    def start(self) -> float:
        """The time where sampling begins: later than 0 where the network never saw pure noise."""
        return 0.0

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """In what its weights are."""
        return next(self.parameters()).dtype

    @property
    def spans(self) -> bool:
        """Whether the network also knows its average velocity over a step (math.md section 7)."""
        return False

    @property
    def takes_image(self) -> bool:
        """Whether it was made to change images: it is shown one, and draws what that becomes."""
        return False

    def shown(self, x_1: Tensor) -> Tensor:
        """The `source` that stands for the image of states x_1 [B, C, h, w] at t = 1; zeros show none."""
        return x_1

    @property
    def tokenizers(self) -> dict[str, str]:
        """The tokenizers that its prompts go through, as the JSON of the library `tokenizers`, by name."""
        return {}

    def condition(self, labels: npt.NDArray[np.integer], conditions: Sequence[Condition]) -> ConditionBatch:
        """What the network is told of labels [B, H, W] and one condition per image."""
        return paint(labels, conditions)

    def unconditional(self, condition: Any) -> ConditionBatch:
        """The same with what guidance strengthens not stated."""
        return unconditional(condition)

    def recipe(self) -> dict[str, Any]:
        """The "backbone" of a recipe: the name and the options, as plain JSON."""
        return {"name": self.name, **asdict(self.options)}

    def shift(self, rows: int, columns: int) -> float:
        """The shift of the time grid for images of that size, where none was calibrated (math.md 0)."""
        return 1.0

    def state_shape(self, rows: int, columns: int) -> tuple[int, int, int]:
        """(C, h, w) of one state for images of that size."""
        return (1, rows, columns)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the states that images [B, 1, H, W] stand for: [B, C, h, w] each."""
        return images, torch.zeros_like(images)

    def decode(self, x_1: Tensor) -> Tensor:
        """The images [B, 1, H, W] float32 that states at t = 1 stand for."""
        return x_1

    def use_prompts(self, prompts: PatientPrompts | None) -> None:
        """Be told of patients in these words; ValueError for a network that reads none."""
        if prompts is not None:
            raise ValueError("prompts: this network reads no words.")

    def use_tokenizers(self, texts: Mapping[str, str]) -> None:
        """Take the tokenizers by which prompts are read; ValueError for a network that reads none."""
        if texts:
            raise ValueError(f"tokenizers: expected none, got {', '.join(texts)}.")


def first_state(network: Network, noise: Tensor) -> Tensor:
    """The state at `network.start` that standard normal noise of its shape begins from."""
    return noise * scale(network.start)
