"""What a network with text encoders is told: how a condition is put into words, and those into tokens."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from synthesis.components import ENCODERS, LatentOptions, execution_device
from synthesis.control.painting import LABEL_COUNT, ConditionTensors, paint, unconditional
from synthesis.control.patient_prompts import PatientPrompts
from synthesis.control.prompts import UNSTATED, prompt_of
from synthesis.control.text import Prompts, TextCondition, read_tokenizer, token_numbers
from synthesis.errors import SynthesisError
from synthesis.networks import Network
from synthesis.phantoms.labels import LABEL_SET
from synthesis.request import Condition

KEPT_PROMPTS = 64


class PromptedNetwork(Network):
    """Prompts are encoded once: the last KEPT_PROMPTS are kept, unless a text encoder is being changed."""

    options: LatentOptions
    prompts: PatientPrompts | None = None  # that it was trained with, in place of `prompt_of`
    _texts: dict[str, str]  # tokenizer -> its JSON
    _encoded: dict[str, Prompts]

    @abstractmethod
    def encode_prompts(self, prompts: Sequence[str]) -> Prompts:
        """Prompts as the family's pipeline in diffusers encodes them."""

    def condition(self, labels: npt.NDArray[np.integer], conditions: Sequence[Condition]) -> TextCondition:
        return self.told(paint(labels, conditions), self.levels(conditions), self.words(conditions))

    def words(
        self,
        conditions: Sequence[Condition],
        rng: np.random.Generator | None = None,
        prompts: PatientPrompts | None = None,
    ) -> list[str]:
        """One prompt per condition, as `prompts` (its own, unless others are given) words it or `prompt_of`.

        Where there are several wordings, the canonical one, or one that `rng` draws. Raises SynthesisError
        for a diagnosis that this model was not trained on.
        """
        used = prompts or self.prompts
        if used is None:
            return [prompt_of(c) for c in conditions]
        try:
            return [used.prompt(c) if rng is None else used.drawn(c, rng) for c in conditions]
        except ValueError as problem:
            raise SynthesisError(f"This model cannot be told that: {problem}") from problem

    def levels(self, conditions: Sequence[Condition]) -> Tensor:
        """The severity of each condition [B]; NaN where it is not stated, or `prompts` are all that is."""
        told = self.prompts is None
        return torch.tensor(
            [c.level if told and c.severity is not None else float("nan") for c in conditions]
        )

    def use_prompts(self, prompts: PatientPrompts | None) -> None:
        """Be told of patients in these words alone, from now on; None: of severities too, by `prompt_of`."""
        self.prompts = prompts

    def told(self, painted: ConditionTensors, level: Tensor, prompts: Sequence[str]) -> TextCondition:
        """A condition from painted planes, severity levels [B] (NaN: not stated) and prompts."""
        read = self.read(prompts)
        planes = painted.planes
        picture = (
            self.picture(planes) if self.options.control == "picture" else planes.new_zeros(len(planes), 0)
        )
        return TextCondition(*painted, level.float(), *read, picture)

    def unconditional(self, condition: TextCondition) -> TextCondition:
        """The same mask, with the prompt, the level and what is painted of them not stated."""
        painted = unconditional(ConditionTensors(condition.planes, condition.attributes))
        empty = self.read([UNSTATED] * len(condition.level))
        return TextCondition(
            *painted, torch.full_like(condition.level, float("nan")), *empty, condition.picture
        )

    def read(self, prompts: Sequence[str]) -> Prompts:
        """Encoded prompts, from memory where they are; each is encoded alone: none moves another by a bit."""
        fresh: dict[str, Prompts] = {}
        with torch.inference_mode(False), torch.no_grad():  # what is kept may be trained with
            for one in dict.fromkeys(prompts):
                if one not in self._encoded:
                    fresh[one] = self.encode_prompts([one])
        known = self._encoded | fresh
        if not self._text_adapted():
            self._encoded = dict(list(known.items())[-KEPT_PROMPTS:])
        return Prompts(*(torch.cat(parts) for parts in zip(*(known[one] for one in prompts), strict=True)))

    def picture(self, planes: Tensor) -> Tensor:
        """The mask in the palette's colours [B, 3, H, W], 0..1."""
        colours = self.options.palette or tuple(label.color for label in LABEL_SET)
        table = torch.tensor([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours[:LABEL_COUNT]])
        return torch.einsum("blhw,lc->bchw", planes[:, :LABEL_COUNT], table.to(planes) / 255)

    @property
    def tokenizers(self) -> dict[str, str]:
        return dict(self._texts)

    def use_tokenizers(self, texts: Mapping[str, str]) -> None:
        """Take the tokenizers (see `padded_tokenizer`), one for each text encoder.

        Raises ValueError where one is missing, or cuts prompts to no fixed length.
        """
        wanted = [ENCODERS[name] for name in self.options.components if name in ENCODERS]
        if sorted(texts) != sorted(wanted):
            raise ValueError(f"tokenizers: expected {', '.join(wanted)}, got {', '.join(texts) or 'none'}.")
        for name, text in texts.items():
            read_tokenizer(name, text)
        self._texts, self._encoded = dict(texts), {}

    def token_numbers(self, encoder: str, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token numbers and mask [B, L] of prompts for a text encoder, on its device."""
        name = ENCODERS[encoder]
        if name not in self._texts:
            raise SynthesisError(f"The model carries no {name}, so that its prompts cannot be read.")
        device = execution_device(self.get_submodule(encoder))
        numbers, mask = token_numbers(read_tokenizer(name, self._texts[name]), prompts)
        return numbers.to(device), mask.to(device)

    @property
    def learns_words(self) -> bool:
        """Whether anything of its text encoders is being trained."""
        return any(weight.requires_grad for part in self._encoders() for weight in part.parameters())

    def _encoders(self) -> list[nn.Module]:
        return [self.get_submodule(name) for name in self.options.components if name in ENCODERS]

    def _text_adapted(self) -> bool:
        layers = (layer for part in self._encoders() for layer in part.modules())
        return self.learns_words or any(isinstance(layer, BaseTunerLayer) for layer in layers)
