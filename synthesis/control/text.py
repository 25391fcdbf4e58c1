"""What a network with text encoders is told: painted planes, a level, and prompts as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor


class TextCondition(NamedTuple):
    """planes [B, PLANES, H, W] and attributes [B, ATTRIBUTES] of synthesis/control/painting.py;
    level [B], the severity on the scale of SEVERITIES, NaN where it is not stated;
    tokens [B, L, D], the encoded prompt, token_mask [B, L], 1 where a token says something,
    pooled [B, P], the prompt as a whole; picture [B, C, h, w], the mask in colours as a ControlNet
    wants it. What a family has no use for is [B, 0]."""

    planes: Tensor
    attributes: Tensor
    level: Tensor
    tokens: Tensor
    token_mask: Tensor
    pooled: Tensor
    picture: Tensor

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> TextCondition:
        """The same on another device; levels and masks keep their float type."""
        return TextCondition(
            self.planes.to(device, dtype),
            self.attributes.to(device, dtype),
            self.level.to(device),
            self.tokens.to(device, dtype),
            self.token_mask.to(device),
            self.pooled.to(device, dtype),
            self.picture.to(device, dtype),
        )

    def select(self, index: slice | Tensor) -> TextCondition:
        """Some items of the batch."""
        return TextCondition(*(part[index] for part in self))


class Prompts(NamedTuple):
    """Encoded prompts: tokens [B, L, D], token_mask [B, L], pooled [B, P]."""

    tokens: Tensor
    token_mask: Tensor
    pooled: Tensor


def padded_tokenizer(text: str, *, length: int, pad: str) -> str:
    """The JSON of a tokenizer that cuts and pads every prompt to `length` tokens with the token `pad`.

    Raises ValueError for JSON that the library `tokenizers` does not read, or where it has no such token.
    """
    tokenizer = _parsed("tokenizer", text)
    number = tokenizer.token_to_id(pad)
    if number is None:
        raise ValueError(f"pad: the tokenizer has no token {pad!r}.")
    tokenizer.enable_truncation(max_length=length)
    tokenizer.enable_padding(length=length, pad_id=number, pad_token=pad)
    return tokenizer.to_str()


def read_tokenizer(name: str, text: str) -> Tokenizer:
    """A tokenizer that cuts and pads to one length, from its JSON; ValueError where it does not."""
    tokenizer = _parsed(name, text)
    cut, pad = tokenizer.truncation, tokenizer.padding
    if not cut or not pad or not pad.get("length") or pad["length"] != cut.get("max_length"):
        raise ValueError(f"{name}: expected a tokenizer that cuts and pads every prompt to one length.")
    return tokenizer


def token_numbers(tokenizer: Tokenizer, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Prompts as token numbers [B, L] and their mask [B, L], both int64."""
    found = tokenizer.encode_batch(list(prompts))
    return torch.tensor([one.ids for one in found]), torch.tensor([one.attention_mask for one in found])


def _parsed(name: str, text: str) -> Tokenizer:
    try:
        return Tokenizer.from_str(text)
    except Exception as problem:  # the library raises nothing narrower
        raise ValueError(f"{name}: this is not the JSON of a tokenizer: {problem}") from problem
