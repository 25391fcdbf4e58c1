"""Tokenizers that a model file carries: offline, cut and padded to one length."""

import json

import pytest
import torch

from synthesis.control.text import TextCondition, padded_tokenizer, read_tokenizer, token_numbers
from tests.unit.synthesis.tiny_text import EMPTY, LENGTH, clip_tokenizer, packed_json, prompts, t5_tokenizer

LONG = "Axial CT of the abdomen, " + "mild " * 40


@pytest.mark.parametrize("make", [clip_tokenizer, lambda: clip_tokenizer(EMPTY), t5_tokenizer])
def test_numbers_and_masks_are_those_of_transformers(make):
    theirs = make()
    ours = read_tokenizer("tokenizer", packed_json(theirs))
    asked = [*list(prompts())[:7], "", LONG]
    numbers, mask = token_numbers(ours, asked)
    found = theirs(asked, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
    assert torch.equal(numbers, found.input_ids)
    assert torch.equal(mask, found.attention_mask)
    assert numbers.shape == (len(asked), LENGTH)


def test_what_is_no_tokenizer_or_has_no_length_is_refused():
    text = clip_tokenizer().backend_tokenizer.to_str()
    with pytest.raises(ValueError, match="no token"):
        padded_tokenizer(text, length=LENGTH, pad="<nothing>")
    with pytest.raises(ValueError, match="one length"):
        read_tokenizer("tokenizer", json.dumps(json.loads(text) | {"padding": None}))
    with pytest.raises(ValueError, match="tokenizer_2: this is not"):
        read_tokenizer("tokenizer_2", '{"version": "1.0"}')


def test_a_condition_moves_and_is_taken_apart_whole():
    told = TextCondition(*(torch.ones(3, k) for k in range(7)))._replace(level=torch.tensor([0.1, 1.7, 3.0]))
    half = told.to("cpu", torch.bfloat16)
    assert half.tokens.dtype == half.planes.dtype == torch.bfloat16
    assert torch.equal(half.level, told.level)  # a level keeps its digits
    assert [len(part) for part in told.select(slice(1, 3))] == [2] * 7
    assert told.select(torch.tensor([2])).level.tolist() == [3.0]
