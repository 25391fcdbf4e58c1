"""Real text encoders of tiny size, and tokenizers made on the spot: nothing is downloaded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tokenizers import Tokenizer, normalizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from synthesis.control.prompts import prompt_of
from synthesis.control.text import padded_tokenizer
from synthesis.request import MODALITIES, SEVERITIES, SEXES, STEATOSIS_GRADES, Condition

LENGTH = 24  # tokens of every prompt
START, END, PAD, EMPTY, UNKNOWN = "<|startoftext|>", "<|endoftext|>", "<pad>", "!", "<unk>"


def prompts() -> Iterator[str]:
    """Every prompt that a condition can become, ages aside."""
    for modality, severity, sex, steatosis in itertools.product(
        MODALITIES, SEVERITIES, (None, *SEXES), STEATOSIS_GRADES
    ):
        yield prompt_of(
            Condition(modality=modality, severity=severity, sex=sex, steatosis=steatosis, age=60.0)
        )


def _word_tokenizer(special: list[str]) -> Tokenizer:
    """One number per word of any prompt, digits apart; the special tokens come first."""
    words: dict[str, None] = {}
    splitter = Whitespace()
    for prompt in prompts():
        words |= dict.fromkeys(word for word, _ in splitter.pre_tokenize_str(prompt.lower()))
    names = [*special, *words, *map(str, range(100))]
    made = Tokenizer(WordLevel({word: n for n, word in enumerate(dict.fromkeys(names))}, UNKNOWN))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = Whitespace()
    made.add_special_tokens(special)
    return made


def clip_tokenizer(pad: str = END) -> PreTrainedTokenizerFast:
    """Start, words, end; padded with the end or, as SDXL's second, with "!"."""
    made = _word_tokenizer([PAD, EMPTY, UNKNOWN, START, END])
    made.post_processor = TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(START, made.token_to_id(START)), (END, made.token_to_id(END))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=START,
        eos_token=END,
        pad_token=pad,
        unk_token=UNKNOWN,
        model_max_length=LENGTH,
    )


def t5_tokenizer() -> PreTrainedTokenizerFast:
    """Words and an end, padded with <pad>, which is number 0."""
    made = _word_tokenizer([PAD, "</s>", UNKNOWN])
    made.post_processor = TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", made.token_to_id("</s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="</s>", pad_token=PAD, unk_token=UNKNOWN, model_max_length=LENGTH
    )


def packed_json(tokenizer: PreTrainedTokenizerFast) -> str:
    """The tokenizer as a model file carries it."""
    return padded_tokenizer(tokenizer.backend_tokenizer.to_str(), length=LENGTH, pad=tokenizer.pad_token)


def _clip_config(tokenizer: PreTrainedTokenizerFast, width: int, projection: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        projection_dim=projection,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def clip(tokenizer: PreTrainedTokenizerFast, width: int) -> CLIPTextModel:
    """CLIP's text encoder, pooled output of the same width."""
    return CLIPTextModel(_clip_config(tokenizer, width, width)).eval()


def projected_clip(
    tokenizer: PreTrainedTokenizerFast, width: int, projection: int
) -> CLIPTextModelWithProjection:
    """CLIP's text encoder with a projected pooled output."""
    return CLIPTextModelWithProjection(_clip_config(tokenizer, width, projection)).eval()


def t5(tokenizer: PreTrainedTokenizerFast, width: int) -> T5EncoderModel:
    """T5's encoder."""
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=8,
        d_ff=2 * width,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return T5EncoderModel(config).eval()
