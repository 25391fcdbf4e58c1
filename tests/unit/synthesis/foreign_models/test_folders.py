"""Folders of diffusers: what is made of them answers, to the bit, as the pipeline's own components do."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from safetensors.torch import load_file, save_file

from synthesis.checkpoints import load_model
from synthesis.components import widened
from synthesis.control.painting import PLANES
from synthesis.edit_request import takes_image
from synthesis.errors import SynthesisError
from synthesis.foreign_models.convert import convert
from synthesis.foreign_models.sources import is_foreign
from synthesis.latents import LatentNetwork
from synthesis.packing import read_packed
from tests.unit.synthesis.foreign_models.folders import FAMILIES, about, brought_in, own_pipeline, same
from tests.unit.synthesis.tiny_backbones import network_of, stir


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_becomes_a_model_that_answers_the_same(family: str, tmp_path: Path) -> None:
    pipe = own_pipeline(family)
    pipe.save_pretrained(tmp_path / "pipe")
    assert is_foreign(tmp_path / "pipe")
    heard: list[tuple[int, int, str]] = []
    made = convert(
        tmp_path / "pipe", tmp_path / "out", about(tmp_path), on_part=lambda *said: heard.append(said)
    )
    model = load_model(made.folder)
    assert same(model.network, network_of(family, pipe))
    assert (made.digest, made.family) == (model.weights_sha256, family)
    assert [said[0] for said in heard] == list(range(1, heard[0][1] + 1))
    recipe = model.recipe
    assert not recipe["mask_trained"]
    for name, size in recipe["components"].items():
        parameters = {id(p): p for p in getattr(pipe, name).parameters()}.values()
        assert size["parameters"] >= sum(p.numel() for p in parameters)
        assert size["bytes"] == 4 * size["parameters"]
    assert "not trained to obey masks" in (made.folder / "card.md").read_text()
    assert recipe["field"]["fov_mm"] == [256.0, 512.0]
    assert recipe["image"]["normalisation"]["CT"] == {"units": [-1000.0, 1000.0], "scaled": [-1.0, 1.0]}


def test_each_component_keeps_its_type(tmp_path: Path) -> None:
    pipe = own_pipeline("sd3")
    pipe.transformer.to(torch.bfloat16)
    pipe.text_encoder_3.to(torch.float16)
    pipe.save_pretrained(tmp_path / "pipe")
    made, _ = brought_in(tmp_path / "pipe")
    tensors = read_packed(made.folder / "model.safetensors").tensors
    assert tensors["transformer.proj_out.weight"].dtype == torch.bfloat16
    assert tensors["text_encoder_3.shared.weight"].dtype == torch.float16
    assert tensors["vae.decoder.conv_in.weight"].dtype == torch.float32


def test_shards_and_variants_are_read(tmp_path: Path) -> None:
    pipe = own_pipeline("flux")
    pipe.save_pretrained(tmp_path / "pipe", max_shard_size="100KB", variant="fp16")
    assert len(list((tmp_path / "pipe" / "transformer").glob("*-of-*.safetensors"))) > 1
    assert not (tmp_path / "pipe" / "vae" / "diffusion_pytorch_model.safetensors").exists()
    _, network = brought_in(tmp_path / "pipe")
    assert same(network, network_of("flux", pipe))
    with pytest.raises(SynthesisError, match="variant 'bf16'"):
        convert(tmp_path / "pipe", tmp_path / "other", about(tmp_path, "variant: bf16"))


def test_without_t5_sd3_is_brought_in_and_other_families_are_not(tmp_path: Path) -> None:
    pipe = own_pipeline("sd3", text_encoder_3=None, tokenizer_3=None)
    pipe.save_pretrained(tmp_path / "pipe")
    _, network = brought_in(tmp_path / "pipe")
    assert "text_encoder_3" not in network.options.components
    assert same(network, network_of("sd3", pipe))
    pipe = own_pipeline("pixart", text_encoder=None, tokenizer=None)
    pipe.save_pretrained(tmp_path / "other")
    with pytest.raises(SynthesisError, match="holds no text_encoder"):
        brought_in(tmp_path / "other")


@pytest.mark.parametrize("family", ["stable_diffusion", "sdxl", "sd3"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_controlnet_comes_along(family: str, inside: bool, tmp_path: Path) -> None:
    pipe = own_pipeline(family)
    pipe.save_pretrained(tmp_path / "pipe")
    controlled = network_of(family, pipe).with_control()
    stir(controlled.get_submodule("controlnet"))
    place = (tmp_path / "pipe" if inside else tmp_path) / "controlnet"
    controlled.get_submodule("controlnet").save_pretrained(place)
    _, network = brought_in(tmp_path / "pipe", "" if inside else "controlnet: controlnet\nmask_trained: true")
    assert network.options.control == "planes"
    assert network.options.components["controlnet"].get("conditioning_channels", PLANES) in (PLANES, 3)
    assert same(network, controlled.eval())
    assert not same(network, network_of(family, pipe))


def test_a_controlnet_for_pictures_sees_the_mask_in_colours(tmp_path: Path) -> None:
    pipe = own_pipeline("stable_diffusion")
    pipe.save_pretrained(tmp_path / "pipe")
    control = type(network_of("stable_diffusion", pipe).with_control().get_submodule("controlnet")).from_unet(
        pipe.unet, conditioning_embedding_out_channels=(16, 32)
    )
    stir(control)
    control.save_pretrained(tmp_path / "pipe" / "controlnet")
    made, network = brought_in(tmp_path / "pipe")
    assert network.options.control == "picture"
    assert any("nobody said that it was trained" in note for note in made.notes)
    whole: Any = SimpleNamespace(components={**pipe.components, "controlnet": control})
    assert same(network, network_of("stable_diffusion", whole, control="picture"))


OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def rewrite(path: Path, change: Any) -> None:
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def test_files_of_older_software_are_understood(tmp_path: Path) -> None:
    pipe = own_pipeline("stable_diffusion")
    pipe.save_pretrained(tmp_path / "pipe")

    def old_attention(tensors: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for name, tensor in tensors.items():
            for new, old in OLD.items():
                if "mid_block.attentions" in name:
                    name = name.replace(f".{new}.", f".{old}.")
            found[name] = tensor
        return found

    def wrapped(tensors: dict[str, Any]) -> dict[str, Any]:
        plain = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
        return {"text_model." + name: tensor for name, tensor in plain.items()} | {
            "text_model.embeddings.position_ids": torch.arange(24)[None].float()
        }

    rewrite(tmp_path / "pipe" / "vae" / "diffusion_pytorch_model.safetensors", old_attention)
    rewrite(tmp_path / "pipe" / "text_encoder" / "model.safetensors", wrapped)
    _, network = brought_in(tmp_path / "pipe")
    assert same(network, network_of("stable_diffusion", pipe))


def test_the_scheduler_says_how_the_network_was_trained(tmp_path: Path) -> None:
    pipe = own_pipeline("stable_diffusion")
    pipe.scheduler.register_to_config(prediction_type="v_prediction", beta_end=0.02)
    pipe.save_pretrained(tmp_path / "pipe")
    _, network = brought_in(tmp_path / "pipe")
    assert network.options.prediction == "v_prediction"
    assert network.options.schedule["beta_end"] == 0.02
    pipe = own_pipeline("flux")
    pipe.scheduler.register_to_config(use_dynamic_shifting=False, shift=1.5)
    pipe.save_pretrained(tmp_path / "flux")
    made = convert(tmp_path / "flux", tmp_path / "flux-out", about(tmp_path))
    assert load_model(made.folder).network.shift(1024, 1024) == 1.5


@pytest.mark.parametrize(
    ("component", "change", "words"),
    [
        ("unet", lambda t: t.pop("conv_in.bias"), "unet does not fit its settings. Missing: conv_in.bias"),
        (
            "vae",
            lambda t: t.update(wheel=torch.zeros(1)),
            "vae does not fit its settings. Not asked for: wheel",
        ),
        ("unet", lambda t: t.update({"conv_in.bias": torch.zeros(3)}), "conv_in.bias is 3 in the file and 8"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_nothing_is_left(
    component: str, change: Any, words: str, tmp_path: Path
) -> None:
    own_pipeline("stable_diffusion").save_pretrained(tmp_path / "pipe")

    def changed(tensors: dict[str, Any]) -> dict[str, Any]:
        change(tensors)
        return tensors

    rewrite(tmp_path / "pipe" / component / "diffusion_pytorch_model.safetensors", changed)
    with pytest.raises(SynthesisError, match=words):
        brought_in(tmp_path / "pipe")
    assert not (tmp_path / "converted").exists()


def test_what_a_model_without_schedule_needs_is_the_family_s_own(tmp_path: Path) -> None:
    pipe = own_pipeline("pixart")
    pipe.save_pretrained(tmp_path / "pipe")
    index = tmp_path / "pipe" / "scheduler" / "scheduler_config.json"
    index.write_text(json.dumps({"_class_name": "Whatever"}))
    _, network = brought_in(tmp_path / "pipe")
    assert network.options.schedule["beta_end"] == 0.02
    assert same(network, network_of("pixart", pipe))


def test_eight_bits_are_taken_and_stay_eight_bits(tmp_path: Path) -> None:
    own_pipeline("flux").save_pretrained(tmp_path / "pipe")
    file = tmp_path / "pipe" / "text_encoder_2" / "model.safetensors"
    rewrite(file, lambda tensors: {n: t.to(torch.float8_e4m3fn) for n, t in tensors.items()})
    made, network = brought_in(tmp_path / "pipe")
    kept = read_packed(made.folder / "model.safetensors").tensors["text_encoder_2.shared.weight"]
    assert kept.dtype == torch.float8_e4m3fn
    assert torch.equal(network.get_parameter("text_encoder_2.shared.weight"), kept.float())


def test_in_float16_t5_keeps_wide_what_would_overflow(tmp_path: Path) -> None:
    own_pipeline("pixart").save_pretrained(tmp_path / "pipe")
    made, _ = brought_in(tmp_path / "pipe")
    network = load_model(made.folder, dtype=torch.float16).network
    assert isinstance(network, LatentNetwork)
    wide = {name for name, weight in network.named_parameters() if weight.dtype != torch.float16}
    assert wide == {f"text_encoder.encoder.block.{n}.layer.1.DenseReluDense.wo.weight" for n in range(2)}
    assert torch.isfinite(network.read(["Axial CT of the abdomen."]).tokens).all()
    assert all(buffer.dtype == torch.float16 for buffer in network.buffers() if buffer.is_floating_point())


def instructed() -> Any:
    """A tiny pipeline of InstructPix2Pix, as timbrooks/instruct-pix2pix is laid out."""
    pipe = own_pipeline("stable_diffusion")
    widened = network_of("stable_diffusion", pipe).with_image()
    stir(widened.unet.conv_in)
    names = ("vae", "text_encoder", "tokenizer", "scheduler", "safety_checker", "feature_extractor")
    parts = {name: pipe.components[name] for name in names}
    return StableDiffusionInstructPix2PixPipeline(**parts, unet=widened.unet, requires_safety_checker=False)


def test_a_network_that_is_shown_an_image_is_taken_to_change_images(tmp_path: Path) -> None:
    pipe = instructed()
    pipe.save_pretrained(tmp_path / "pipe")
    made, network = brought_in(tmp_path / "pipe")
    recipe = load_model(made.folder).recipe
    assert takes_image(recipe)
    assert recipe["backbone"]["components"]["unet"]["in_channels"] == 8
    assert recipe["edit"] == {"guidance": 7.5, "image_guidance": 1.5}
    assert same(network, network_of("stable_diffusion", pipe, takes_image=True))
    assert "It changes images" in (made.folder / "card.md").read_text()
    again, _ = brought_in(tmp_path / "pipe", "guidance: 4")
    assert load_model(again.folder).recipe["edit"]["guidance"] == 4.0


def test_more_channels_for_anything_else_are_refused(tmp_path: Path) -> None:
    """Nine, as of pictures to be filled in."""
    pipe = own_pipeline("stable_diffusion")
    pipe.unet = widened(pipe.unet, 9)
    pipe.save_pretrained(tmp_path / "pipe")
    with pytest.raises(SynthesisError, match="takes 9 channels"):
        brought_in(tmp_path / "pipe")
