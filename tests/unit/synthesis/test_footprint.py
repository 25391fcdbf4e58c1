"""The memory estimate against what is alive: whole, by stages and by layers, at tiny and at full size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel

from synthesis.footprint import PLANS, SEQUENTIAL, SLACK, STAGED, WHOLE, footprint, in_gigabytes
from synthesis.generate import generate
from synthesis.latents import LatentNetwork
from synthesis.packing import component_sizes
from synthesis.phantoms import abdomen
from synthesis.request import Condition, SamplerOptions, SynthesisRequest
from tests.live_bytes import LiveBytes, fused_attention
from tests.unit.synthesis.tiny_backbones import FAMILIES, SIDE, network_of, tiny_latent_model, tiny_pipeline
from tests.unit.synthesis.tiny_text import LENGTH


def recipe_of(network: LatentNetwork) -> dict[str, Any]:
    sizes = component_sizes(network.state_dict(), network.options.components)
    return tiny_latent_model("", network).recipe | {"components": sizes, "prompt_tokens": LENGTH}


def wish() -> SynthesisRequest:
    return SynthesisRequest(
        labels=abdomen(0, shape=(SIDE, SIDE)).labels,
        spacing_mm=(8.0, 8.0),
        condition=Condition(modality="CT", severity="mild"),
        sampler=SamplerOptions(name="euler", steps=2, guidance=2.0),
        seed=0,
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("controlled", [False, True])
def test_no_drawing_takes_more_than_was_said(family: str, controlled: bool) -> None:
    network = network_of(family, tiny_pipeline(family))
    if controlled:
        network = network.with_control().eval().requires_grad_(False)
    recipe = recipe_of(network)
    found = footprint(recipe)
    assert found is not None
    weights = 4 * sum(part.parameters for part in found.parts.values())
    said = (found.need(WHOLE, 4) - weights) / SLACK
    model = tiny_latent_model(family, network)
    with LiveBytes([*network.parameters(), *network.buffers()]) as live:
        generate(model, wish())
    print(f"{family} controlled={controlled}: said {said:.0f}, alive {live.peak}, {said / live.peak:.2f}")
    assert live.peak <= said <= 2 * live.peak


def test_the_plans_take_less_and_less() -> None:
    for family in FAMILIES:
        found = footprint(recipe_of(network_of(family, tiny_pipeline(family))))
        assert found is not None
        needs = [found.need(plan, 2) for plan in PLANS]
        assert needs[0] > needs[1] > needs[2]
        assert found.need(WHOLE, 4) == pytest.approx(2 * needs[0], abs=2)
    assert found.stages() == [("text_encoder",), ("text_encoder_2",), ("transformer",), ("vae",)]


def test_the_best_plan_that_fits_is_taken() -> None:
    found = footprint(recipe_of(network_of("flux", tiny_pipeline("flux"))))
    assert found is not None
    room = {plan: found.need(plan, 2) / 0.9 for plan in PLANS}
    assert found.plan("cuda:0", int(room[WHOLE] + 1)) == (WHOLE, 2)
    assert found.plan("cuda:0", int(room[WHOLE] - 1)) == (STAGED, 2)
    assert found.plan("cuda:1", int(room[STAGED] - 1)) == (SEQUENTIAL, 2)
    assert found.plan("cuda", int(room[SEQUENTIAL] - 1)) is None
    assert found.plan("cpu", int(2 * room[WHOLE] + 1)) == (WHOLE, 4)
    assert found.plan("cpu", int(2 * room[WHOLE] - 1)) == (WHOLE, 2)
    assert found.plan("cpu", int(room[WHOLE] - 1)) is None
    assert found.least("cuda:0") == found.need(SEQUENTIAL, 2)


@pytest.mark.parametrize("missing", ["components", "backbone", "image"])
def test_of_a_model_that_does_not_tell_nothing_is_said(missing: str) -> None:
    recipe = recipe_of(network_of("pixart", tiny_pipeline("pixart")))
    assert footprint({key: value for key, value in recipe.items() if key != missing}) is None
    assert footprint(recipe | {missing: {"vae": {"parameters": "many"}}}) is None


def alive(network: Any, *args: Any, **kwargs: Any) -> int:
    with torch.no_grad(), LiveBytes([*network.parameters(), *network.buffers()]) as live:
        network(*args, **kwargs)
    return live.peak // 4


@pytest.mark.parametrize("side", [32, 64, 128])
def test_the_forms_hold_at_full_size(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stable Diffusion's U-Net and autoencoder as published, on the meta device: numbers alive at once."""
    monkeypatch.setattr(F, "scaled_dot_product_attention", fused_attention)
    widths = (128, 256, 512, 512)
    unet_config = {"cross_attention_dim": 768, "block_out_channels": (320, 640, 1280, 1280)}
    vae_config = {
        "block_out_channels": widths,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
    }
    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**unet_config), AutoencoderKL(**vae_config)
        latent, words = torch.empty(1, 4, side, side), torch.empty(1, 77, 768)
        drawing = alive(unet, latent, torch.empty(1), words)
        decoding = alive(vae.decoder, latent)
    one = {"parameters": 1}
    found = footprint(
        {
            "image": {"rows": 8 * side, "columns": 8 * side},
            "components": {"unet": one, "vae": one},
            "backbone": {"components": {"unet": unet_config, "vae": vae_config}},
        }
    )
    assert found is not None
    assert drawing <= found.parts["unet"].activations <= 1.1 * drawing
    assert decoding <= 1.01 * found.parts["vae"].activations <= 1.1 * decoding


class Fused(torch.autograd.Function):
    """What fused attention keeps for the way back: its three inputs and its result. For the meta device."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        made = fused_attention(query, key, value)
        ctx.save_for_backward(query, key, value, made)
        return made

    @staticmethod
    def backward(ctx: Any, _gradient: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
        query, key, value, _made = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def pulled(network: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> int:
    """Numbers alive at once while a gradient goes back from what comes out to `x`."""
    network.requires_grad_(False)
    with LiveBytes([*network.parameters(), *network.buffers()]) as live:
        x.requires_grad_(True)
        made = network(x, *args, **kwargs)
        made = made[0] if isinstance(made, tuple) else getattr(made, "sample", made)
        torch.autograd.grad(made, x, torch.empty_like(made))
    return live.peak // 4


UNETS = {
    "sd": {"cross_attention_dim": 768, "block_out_channels": (320, 640, 1280, 1280)},
    "sdxl": {
        "cross_attention_dim": 2048,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
    },
}


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("name", UNETS)
def test_the_way_back_through_a_unet_takes_what_was_said(
    name: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U-Net and decoder of the published sizes on the meta device, a gradient followed back to the latent."""
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v, *_, **__: Fused.apply(q, k, v))
    config = UNETS[name]
    vae_config = {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
    }
    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**config), AutoencoderKL(**vae_config)
        words = torch.empty(1, 77, config["cross_attention_dim"])
        back = pulled(unet, torch.empty(1, 4, side, side), torch.empty(1), words)
        decoded = pulled(vae.decoder, torch.empty(1, 4, side, side))
    one = {"parameters": 1}
    found = footprint(
        {
            "image": {"rows": 8 * side, "columns": 8 * side},
            "components": {"unet": one, "vae": one},
            "backbone": {"components": {"unet": config, "vae": vae_config}},
        }
    )
    assert found is not None
    said = found.parts["unet"].pulled, found.parts["vae"].pulled
    print(f"{name} {side}: said {said}, alive {back}, {decoded}")
    assert 0.95 * back <= said[0] <= 1.1 * back
    assert 0.99 * decoded <= said[1] <= 1.05 * decoded
    whole = found.need_pulled(2, probes=4)
    assert whole >= 2 * 4 * (0.95 * back + 0.99 * decoded)


@pytest.mark.parametrize(("kind", "side"), [("sd3", 64), ("flux", 32)])
def test_the_way_back_through_a_transformer_takes_no_more_than_was_said(
    kind: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda query, key, value, *_, **__: Fused.apply(query, key, value)
    )
    tokens = (side // 2) ** 2
    with torch.device("meta"):
        if kind == "sd3":
            network: Any = SD3Transformer2DModel(sample_size=side)
            config = network.config
            words = torch.empty(1, 77 + 256, config.joint_attention_dim)
            told = {"pooled_projections": torch.empty(1, config.pooled_projection_dim)}
            x = torch.empty(1, config.in_channels, side, side)
        else:
            network = FluxTransformer2DModel(num_layers=3, num_single_layers=6)
            config = network.config
            words = torch.empty(1, 512, config.joint_attention_dim)
            told = {
                "pooled_projections": torch.empty(1, config.pooled_projection_dim),
                "img_ids": torch.empty(tokens, 3),
                "txt_ids": torch.empty(512, 3),
            }
            x = torch.empty(1, tokens, config.in_channels)
        back = pulled(network, x, encoder_hidden_states=words, timestep=torch.empty(1), **told)
    found = footprint(
        {
            "image": {"rows": 8 * side, "columns": 8 * side},
            "prompt_tokens": words.shape[1],
            "components": {
                "transformer": {"parameters": 1},
                "vae": {"parameters": 1},
                "text_encoder_2": {"parameters": 1},
            },
            "backbone": {
                "name": kind,
                "components": {
                    "transformer": dict(config),
                    "vae": {"block_out_channels": [128, 256, 512, 512]},
                    "text_encoder_2": {"d_model": 4096, "num_heads": 64},
                },
            },
        }
    )
    assert found is not None
    said = found.parts["transformer"].pulled
    print(f"{kind} {side}: said {said}, alive {back}")
    assert back <= said <= 1.35 * back


def test_bytes_as_people_say_them() -> None:
    assert [in_gigabytes(n) for n in (7.43e9, 2e9, 380e6, 10)] == ["7.4 GB", "2.0 GB", "380 MB", "1 MB"]
