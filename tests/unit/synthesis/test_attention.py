"""Cross-attention maps of real layers against softmax(Q K^T / sqrt(d)) by hand and published code."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from synthesis.attention import attention_distance, cross_attentions, watched
from tests.unit.synthesis.tiny_backbones import tiny_network

WORDS, WIDTH = 7, 16


@pytest.fixture(scope="module")
def trunk():
    """Stable Diffusion's U-Net at tiny size, in double precision; a copy."""
    return copy.deepcopy(tiny_network("stable_diffusion").get_submodule("unet")).double()


def draws(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def called(trunk, x, words):
    return trunk(x, torch.tensor(500.0), encoder_hidden_states=words, return_dict=False)[0]


def test_the_maps_are_those_of_the_layers_weights(trunk):
    calls = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda layer, args, kwargs: calls.append((layer, args[0])), with_kwargs=True
        )
        for layer in cross_attentions(trunk)
    ]
    x, words = draws(2, 4, 8, 8), draws(2, WORDS, WIDTH, seed=2)
    with watched(trunk) as maps:
        called(trunk, x, words)
    for hook in hooks:
        hook.remove()
    assert len(maps) == len(calls) == 4
    for (layer, pixels), found in zip(calls, maps, strict=True):
        query = (pixels @ layer.to_q.weight.T).unflatten(-1, (layer.heads, -1))  # [B, pixels, heads, d]
        key = (words @ layer.to_k.weight.T).unflatten(-1, (layer.heads, -1))
        scores = torch.einsum("bphd,bwhd->bhpw", query, key) / math.sqrt(query.shape[-1])
        torch.testing.assert_close(found, scores.softmax(-1))
        assert found.shape == (2, layer.heads, pixels.shape[1], WORDS)


def test_watching_changes_no_bit_and_ends_with_its_block(trunk):
    x, words = draws(1, 4, 8, 8), draws(1, WORDS, WIDTH)
    plain = called(trunk, x, words)
    with watched(trunk) as maps:
        assert torch.equal(called(trunk, x, words), plain)
    called(trunk, x, words)
    assert len(maps) == 4
    with pytest.raises(RuntimeError), watched(trunk):
        called(trunk, x[:, :3], words)
    assert not any(layer._forward_pre_hooks for layer in cross_attentions(trunk))


def test_the_distance_is_that_of_the_published_code(trunk):
    """Its processors hold the maps of one item, all heads, and add up |M - M_ref|^2 over the layers."""
    from diffusers.pipelines.deprecated.stable_diffusion_variants import (
        pipeline_stable_diffusion_pix2pix_zero as published,
    )

    x, moved = draws(1, 4, 8, 8), draws(1, 4, 8, 8, seed=3)
    words, others = draws(1, WORDS, WIDTH), draws(1, WORDS, WIDTH, seed=4)
    with watched(trunk) as reference:
        called(trunk, x, words)
    with watched(trunk) as maps:
        called(trunk, moved, others)
    theirs = published.prepare_unet(copy.deepcopy(trunk))
    step = torch.tensor(500.0)
    loss = published.Pix2PixZeroL2Loss()
    theirs(x, step, encoder_hidden_states=words, cross_attention_kwargs={"timestep": step})
    theirs(moved, step, encoder_hidden_states=others, cross_attention_kwargs={"timestep": step, "loss": loss})
    found = attention_distance(maps, reference)
    assert found.shape == (1,)
    torch.testing.assert_close(found.double()[0], loss.loss.double(), rtol=1e-5, atol=1e-7)


def test_its_gradient_is_that_of_finite_differences(trunk):
    x, words = draws(1, 4, 4, 4), draws(1, WORDS, WIDTH)
    with watched(trunk) as reference, torch.no_grad():
        called(trunk, draws(1, 4, 4, 4, seed=5), draws(1, WORDS, WIDTH, seed=6))

    def apart(state):
        """The same sum in double precision."""
        with watched(trunk) as maps:
            called(trunk, state, words)
        return sum((one - was).square().sum((2, 3)).mean(1) for one, was in zip(maps, reference, strict=True))

    leaf = x.clone().requires_grad_(True)
    value = apart(leaf)
    (found,) = torch.autograd.grad(value.sum(), leaf)
    towards = draws(1, 4, 4, 4, seed=7)
    step = 1e-4
    with torch.no_grad():
        slope = (apart(x + step * towards) - apart(x - step * towards)) / (2 * step)
        with watched(trunk) as maps:
            called(trunk, x, words)
    assert float(slope) == pytest.approx(float((found * towards).sum()), rel=1e-6)
    torch.testing.assert_close(
        attention_distance(maps, reference).double(), value.detach(), rtol=1e-5, atol=0
    )


def test_an_item_is_measured_by_itself(trunk):
    x, words = draws(3, 4, 8, 8), draws(3, WORDS, WIDTH)
    with watched(trunk) as maps, torch.no_grad():
        called(trunk, x, words)
    zeros = [torch.zeros_like(one) for one in maps]
    with watched(trunk) as alone, torch.no_grad():
        called(trunk, x[1:2], words[1:2])
    found = attention_distance(maps, zeros)
    torch.testing.assert_close(found[1:2], attention_distance(alone, [one[:1] for one in zeros]))
    with pytest.raises(ValueError, match="same layers"):
        attention_distance(maps, zeros[1:])


def test_families_that_mix_words_and_image_in_another_way_have_none():
    assert cross_attentions(tiny_network("sdxl").get_submodule("unet"))
    assert not cross_attentions(tiny_network("sd3").get_submodule("transformer"))
