"""Single files in the published layouts answer, to the bit, as the pipelines they were written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from synthesis.components import config_of
from synthesis.errors import SynthesisError
from synthesis.foreign_models import sources
from synthesis.foreign_models.convert import convert
from synthesis.foreign_models.sources import is_foreign
from tests.unit.synthesis.foreign_models.folders import FAMILIES, about, brought_in, own_pipeline, same
from tests.unit.synthesis.foreign_models.original import original
from tests.unit.synthesis.tiny_backbones import network_of, stir


def written(folder: Path, tensors: dict[str, Any]) -> Path:
    path = folder / "model-from-elsewhere.safetensors"
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path)
    return path


def parts(folder: Path, pipe: Any, *left: str) -> None:
    """A folder of diffusers whose weights are gone, but for those of the components that are left."""
    pipe.save_pretrained(folder / "parts")
    for path in (folder / "parts").rglob("*.safetensors"):
        if path.parent.name not in left:
            path.unlink()


LEFT = {
    "stable_diffusion": (),
    "sdxl": (),
    "sd3": (),
    "flux": ("vae", "text_encoder", "text_encoder_2"),
    "pixart": ("vae", "text_encoder"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_becomes_a_model_that_answers_the_same(family: str, tmp_path: Path) -> None:
    pipe = own_pipeline(family)
    parts(tmp_path, pipe, *LEFT[family])
    path = written(tmp_path, original(family, pipe))
    assert is_foreign(path)
    made, network = brought_in(path, "parts: parts")
    assert made.family == family
    reference = network_of(family, pipe)
    if family == "sd3":  # the file has no projection for its first CLIP: the identity
        with torch.no_grad():
            weight = reference.get_submodule("text_encoder").get_parameter("text_projection.weight")
            given = original(family, pipe)["text_encoders.clip_l.transformer.text_projection.weight"]
            assert torch.equal(weight, given)
    assert same(network, reference)


def test_a_file_of_eight_channels_is_taken_to_change_images(tmp_path: Path) -> None:
    """As instruct-pix2pix-00-22000.safetensors: the layout of 1.x, but for its first convolution."""
    pipe = own_pipeline("stable_diffusion")
    seeing = network_of("stable_diffusion", pipe).with_image()
    stir(seeing.unet.conv_in)
    parts(tmp_path, pipe)
    (tmp_path / "parts" / "unet" / "config.json").unlink()
    published = {"unet": config_of(pipe.unet)}
    pipe.unet = seeing.unet
    path = written(tmp_path, original("stable_diffusion", pipe))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "published_config", lambda edition, name: published[name])
        _, network = brought_in(path, "parts: parts")
    assert network.takes_image
    assert same(network, seeing)


def test_sd3_s_first_clip_is_given_the_identity_where_it_has_no_projection(tmp_path: Path) -> None:
    pipe = own_pipeline("sd3")
    config = pipe.text_encoder.config
    projection = torch.nn.Linear(config.hidden_size, config.hidden_size, bias=False)
    torch.nn.init.eye_(projection.weight)
    pipe.text_encoder.text_projection = projection
    config.projection_dim = config.hidden_size
    tensors = original("sd3", pipe)
    del tensors["text_encoders.clip_l.transformer.text_projection.weight"]
    pipe.transformer = None
    from synthesis.foreign_models.layouts import part_of, rearranged

    found = rearranged("sd3", "text_encoder", part_of("sd3", "text_encoder", tensors), config.to_dict())
    assert torch.equal(found["text_projection.weight"], torch.eye(config.hidden_size))


def test_the_denoiser_alone_in_its_file_takes_the_rest_from_its_parts(tmp_path: Path) -> None:
    pipe = own_pipeline("stable_diffusion")
    parts(tmp_path, pipe, "text_encoder")
    prefix = "model.diffusion_model."
    tensors = original("stable_diffusion", pipe)
    alone = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    path = written(tmp_path, alone)
    with pytest.raises(SynthesisError, match="vae holds no weights as safetensors"):
        convert(path, tmp_path / "none", about(tmp_path, "parts: parts"))
    (tmp_path / "parts" / "vae").rename(tmp_path / "autoencoder")
    with pytest.raises(SynthesisError, match=r"holds no vae\. Name what is missing under “parts”"):
        convert(path, tmp_path / "none", about(tmp_path, "parts: parts"))
    save_file(
        {name: t.contiguous().clone() for name, t in pipe.vae.state_dict().items()},
        tmp_path / "autoencoder" / "diffusion_pytorch_model.safetensors",
    )
    _, network = brought_in(path, "parts: {folder: parts, vae: autoencoder}")
    assert same(network, network_of("stable_diffusion", pipe))


def test_a_layout_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"layers.0.weight": torch.zeros(2, 2)})
    with pytest.raises(SynthesisError, match="in no layout that is known here"):
        brought_in(path)
    with pytest.raises(SynthesisError, match="no family of networks 'dit'"):
        convert(path, tmp_path / "out", about(tmp_path, "family: dit"))


def test_a_file_that_only_looks_right_is_refused(tmp_path: Path) -> None:
    pipe = own_pipeline("flux")
    parts(tmp_path, pipe, *LEFT["flux"])
    tensors = original("flux", pipe)
    del tensors["txt_in.weight"]
    with pytest.raises(SynthesisError, match="transformer in this file is not laid out as that of flux"):
        brought_in(written(tmp_path, tensors), "parts: parts")
    assert not (tmp_path / "converted").exists()
