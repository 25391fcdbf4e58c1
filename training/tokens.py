"""New words in training: an embedding that grows by rows, which alone train, and prompts that feel them.

Prompts are otherwise encoded once, without a gradient. Where a row trains, they go through the frozen text
encoder at every step (`spoken`). When the run ends the rows become part of the embedding and the word part
of the tokenizer: what is exported is an ordinary Stable Diffusion that knows one word more.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer
from torch import Tensor, nn

from synthesis.components import ENCODERS
from synthesis.control.patient_prompts import PatientPrompts
from synthesis.control.text import TextCondition, read_tokenizer
from synthesis.latents import LatentNetwork
from training.flow_path import plain

if TYPE_CHECKING:
    from training.data import Batch

ENCODER = "text_encoder"
LEARNED_FILE = "learned_embeds.safetensors"  # as diffusers' load_textual_inversion reads it


class GrownEmbedding(nn.Module):
    """An embedding of V known tokens, which stays as it is, and of new ones from V on, which trains."""

    def __init__(self, known: nn.Embedding, rows: Tensor) -> None:
        super().__init__()
        self.known = known
        self.rows = nn.Parameter(rows.detach().float().clone())  # [new tokens, D]

    def forward(self, numbers: Tensor) -> Tensor:
        """Token numbers [B, L] as vectors [B, L, D] in the type of the known ones."""
        count = self.known.num_embeddings
        found: Tensor = self.known(numbers.clamp(max=count - 1))
        grown = F.embedding((numbers - count).clamp(min=0), self.rows).to(found.dtype)
        return torch.where((numbers >= count)[..., None], grown, found)

    def whole(self) -> nn.Embedding:
        """All of them as one embedding."""
        weight = torch.cat([self.known.weight.detach(), self.rows.detach().to(self.known.weight)])
        return nn.Embedding.from_pretrained(weight, freeze=True)


def with_new_token(network: LatentNetwork, prompts: PatientPrompts) -> None:
    """Teach the network's tokenizer the word `prompts.token`, whose embedding begins as `token_from`'s.

    Raises ValueError where the word is known already, or the one that it begins with is not one token.
    """
    name, encoder = ENCODERS[ENCODER], network.get_submodule(ENCODER)
    known: nn.Embedding = _embedding(encoder)
    text = network.tokenizers[name]
    start = _number_of(read_tokenizer(name, text), prompts.token_from)
    grown, number = _with_word(text, prompts.token)
    if number != known.num_embeddings:
        raise ValueError(
            f"token: the tokenizer would give {prompts.token} the number {number}, but the text encoder "
            f"knows {known.num_embeddings} tokens."
        )
    rows = known.weight[start][None]
    encoder.set_input_embeddings(GrownEmbedding(known, rows))  # type: ignore[operator]
    network.use_tokenizers({**network.tokenizers, name: grown})


def settle_tokens(network: LatentNetwork) -> dict[str, Tensor]:
    """Make the rows that were learned part of the text encoder; returns word -> vector [D]."""
    encoder: Any = network.get_submodule(ENCODER)
    grown = _embedding(encoder)
    if not isinstance(grown, GrownEmbedding):
        return {}
    prompts = network.prompts
    learned = {prompts.token: grown.rows.detach()[0].clone()} if prompts else {}
    whole = grown.whole()
    encoder.set_input_embeddings(whole)
    encoder.config.vocab_size = whole.num_embeddings
    components = dict(network.options.components)
    components[ENCODER] = {**components[ENCODER], "vocab_size": whole.num_embeddings}
    network.options = replace(network.options, components=components)
    network.use_tokenizers(network.tokenizers)  # forget what was encoded before
    return learned


def write_learned(folder: Path, learned: dict[str, Tensor]) -> None:
    """Write learned words for diffusers' `load_textual_inversion`; nothing where there are none."""
    if learned:
        save_file(
            {word: vector.cpu().contiguous() for word, vector in learned.items()}, folder / LEARNED_FILE
        )
        (folder / LEARNED_FILE).chmod(0o644)


def new_tokens(network: nn.Module) -> list[nn.Parameter]:
    """The rows of a network's embeddings that are new."""
    return [part.rows for part in network.modules() if isinstance(part, GrownEmbedding)]


def spoken(network: nn.Module, batch: Batch) -> Batch:
    """The batch with its words encoded so that a gradient reaches new tokens; as it is where none train."""
    inner: Any = plain(network)
    if not getattr(inner, "learns_words", False):
        return batch
    if len(batch.words) != len(batch.images):
        raise ValueError(f"words: expected one prompt per image, got {len(batch.words)}.")
    read = inner.encode_prompts(batch.words)
    condition: TextCondition = batch.condition
    told = condition._replace(tokens=read.tokens, token_mask=read.token_mask, pooled=read.pooled)
    return batch._replace(condition=told)


def _embedding(encoder: Any) -> Any:
    return encoder.get_input_embeddings()


def _number_of(tokenizer: Tokenizer, word: str) -> int:
    numbers = tokenizer.encode(word, add_special_tokens=False)
    said = [n for n, seen in zip(numbers.ids, numbers.attention_mask, strict=True) if seen]
    unknown = tokenizer.token_to_id("<unk>")
    if len(said) != 1 or said[0] == unknown:
        raise ValueError(f"token_from: expected a word that is one token of the text encoder, got {word!r}.")
    return int(said[0])


def _with_word(text: str, word: str) -> tuple[str, int]:
    """The tokenizer's JSON with one word more, and the word's number."""
    tokenizer = Tokenizer.from_str(text)
    if tokenizer.token_to_id(word) is not None:
        raise ValueError(
            f"token: the tokenizer knows {word} already; choose a word of your own, such as <word>."
        )
    tokenizer.add_tokens([AddedToken(word, normalized=False)])
    return tokenizer.to_str(), int(tokenizer.token_to_id(word) or 0)
