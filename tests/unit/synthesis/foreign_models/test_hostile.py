"""Folders from elsewhere that mean harm: nothing outside is read, nothing in them runs, all of it is said."""

from __future__ import annotations

import json
import pickle
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from synthesis.errors import SynthesisError
from synthesis.foreign_models.about import about_of, find_about, read_about
from synthesis.foreign_models.files import component_weights, inside, open_weights, read_json
from synthesis.foreign_models.settings import clean_config
from tests.unit.synthesis.foreign_models.folders import ABOUT, about, brought_in, own_pipeline
from tests.unit.synthesis.test_plain_yaml import LAUGHS


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    own_pipeline("stable_diffusion").save_pretrained(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks the network in these tests has failed them."""

    def refused(*_: Any, **__: Any) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


NO_NETWORK = "No stable_diffusion network|describes no network"


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return (open, (str(self.place), "w"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"])
def test_a_pickle_is_named_and_never_opened(pipe: Path, name: str) -> None:
    (pipe / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (pipe / "unet" / name).write_bytes(pickle.dumps(Trap(pipe / "sprung")))
    with pytest.raises(SynthesisError, match=f"unet/{name} is not safetensors .* refused unopened"):
        brought_in(pipe)
    assert not (pipe / "sprung").exists()
    assert not (pipe.parent / "converted").exists()


def sharded(folder: Path, weight_map: Any) -> Path:
    """A component whose index says this, with one real shard."""
    place = folder / "unet"
    place.mkdir(parents=True)
    save_file({"a": torch.zeros(2)}, place / "diffusion_pytorch_model-00001-of-00002.safetensors")
    index = place / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    return folder


@pytest.mark.parametrize(
    ("weight_map", "words"),
    [
        ({"a": "../../secret.safetensors"}, "lies outside of the folder"),
        ({"a": "/etc/passwd"}, "lies outside of the folder"),
        ({"a": "sub/x.safetensors"}, "lies outside of the folder"),
        ({"a": 3}, "does not say which file"),
        ([], "does not say which file"),
        ({"a": "diffusion_pytorch_model-00002-of-00002.safetensors"}, "has no file"),
        ({"b": "diffusion_pytorch_model-00001-of-00002.safetensors"}, "promises 'b'"),
    ],
)
def test_an_index_that_leads_astray(tmp_path: Path, weight_map: Any, words: str) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "secret.safetensors")
    with pytest.raises(SynthesisError, match=words):
        component_weights(sharded(tmp_path / "model", weight_map), "unet")


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(SynthesisError, match="is a link that leads out of it"):
        read_json(tmp_path / "model", "config.json")
    with pytest.raises(SynthesisError, match="lies outside of it"):
        inside(tmp_path / "model", "../secret.json")
    (tmp_path / "model" / "own.json").write_text("{}")
    (tmp_path / "model" / "again.json").symlink_to("own.json")
    assert read_json(tmp_path / "model", "again.json") == {}


def test_the_links_of_a_hugging_face_cache_are_followed(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc" / "unet"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / "123").write_text('{"a": 1}')
    (snapshot / "config.json").symlink_to("../../../blobs/123")
    assert read_json(snapshot.parent, "unet/config.json") == {"a": 1}
    (tmp_path / "other").write_text("{}")
    (snapshot / "bad.json").symlink_to("../../../other")
    with pytest.raises(SynthesisError, match="leads out"):
        read_json(snapshot.parent, "unet/bad.json")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "asks? for auto_map, which would bring code"),
        ({"quantization_config": {"quant_method": "evil"}}, "asks? for quantization_config"),
        ({"block_out_channels": [10**9, 10**9]}, "which no network of its kind has"),
        ({"layers_per_block": 10**6}, "layers_per_block = 1000000"),
        ({"block_out_channels": [8] * 1000}, "which no network of its kind has"),
        ({"attention_head_dim": "x" * 10_000}, "which no network of its kind has"),
        ({"block_out_channels": [7, 11]}, NO_NETWORK),
        (
            {"down_block_types": ["os.system", "DownBlock2D"]},
            NO_NETWORK,
        ),
        ({"norm_num_groups": 0}, NO_NETWORK),
    ],
)
def test_settings_that_no_network_has(pipe: Path, values: dict[str, Any], words: str) -> None:
    change(pipe / "unet" / "config.json", **values)
    with pytest.raises(SynthesisError, match=words):
        brought_in(pipe)
    assert not (pipe.parent / "converted").exists()


def test_settings_that_the_class_does_not_take_are_left_out() -> None:
    from diffusers import AutoencoderKL
    from transformers import CLIPTextModel

    kept = clean_config(AutoencoderKL, {"latent_channels": 4, "_class_name": "Evil", "hooks": ["x"]}, "vae")
    assert kept == {"latent_channels": 4}
    asked = {"hidden_size": 8, "_attn_implementation": "hub/kernel", "attn_implementation": "hub/kernel"}
    assert clean_config(CLIPTextModel, asked, "text_encoder") == {"hidden_size": 8}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"_class_name": "EvilPipeline"}, "pipeline 'EvilPipeline', which is not run here"),
        ({"_class_name": ["a", "b"]}, "which is not run here"),
        ({"unet": ["evil_module", "UNet2DConditionModel"]}, "only UNet2DConditionModel is taken"),
        ({"unet": ["diffusers", "EvilModel"]}, "class 'EvilModel'; only UNet2DConditionModel"),
        ({"unet": "evil"}, "only UNet2DConditionModel"),
        ({"vae": [None, None]}, "holds no vae"),
    ],
)
def test_an_index_of_unknown_classes(pipe: Path, values: dict[str, Any], words: str) -> None:
    change(pipe / "model_index.json", **values)
    with pytest.raises(SynthesisError, match=words):
        brought_in(pipe)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "is not a table"),
        (b"{", "is not JSON"),
    ],
)
def test_json_that_is_none(pipe: Path, content: bytes, words: str) -> None:
    (pipe / "unet" / "config.json").write_bytes(content)
    with pytest.raises(SynthesisError, match=words):
        brought_in(pipe)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 99 * 2**20) + b"{" + b" " * 100,
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,99999999]}}'.ljust(60),
    ],
)
def test_weights_that_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(SynthesisError, match="is not a safetensors file, or it is damaged"):
        open_weights(path)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, dtype=torch.int8)}, tmp_path / "q.safetensors")
    with pytest.raises(SynthesisError, match="not quantised ones"):
        open_weights(tmp_path / "q.safetensors")


def test_a_header_that_begins_like_a_pickle_is_read(tmp_path: Path) -> None:
    for length in range(200):
        path = tmp_path / "a.safetensors"
        save_file({"a": torch.zeros(2)}, path, metadata={"x": "y" * length})
        if path.read_bytes()[:1] == b"\x80":
            break
    assert path.read_bytes()[:1] == b"\x80"
    assert list(open_weights(path).shapes) == ["a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "must be a list of settings"),
        ("name: [", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        (ABOUT + "wheels: 3", "settings that nobody knows: wheels"),
        (ABOUT.replace("title: Tiny foreign", ""), "Missing in the about-file: title"),
        (ABOUT.replace("rows: 32", "rows: 33"), "rows must be a multiple of 8"),
        (ABOUT.replace("rows: 32", "rows: true"), "rows must be a multiple of 8"),
        (ABOUT.replace("[8, 16]", "[16, 8]"), "spacing_mm must be two lengths"),
        (ABOUT.replace("[-1000, 1000]", "[1000, -1000]"), "two numbers that rise"),
        (ABOUT.replace("CT:", "PET:"), "the modality 'PET'; known are CT, T1, T2"),
        (ABOUT + "palette: [red]", "palette must list colours"),
        (ABOUT + "steps: many", "steps is not of the right kind"),
        ("x: " + "y" * 70_000, "longer than"),
        (LAUGHS, "Aliases .* are not taken"),
        (ABOUT + "guidance: .nan", "is not YAML"),
    ],
)
def test_an_about_file_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SynthesisError, match=words):
        read_about(text, tmp_path)


def test_an_about_file_of_a_page_names_nothing_outside(tmp_path: Path) -> None:
    values = dict(about(tmp_path).values)
    within = about_of(values, tmp_path / "inbox" / "a", within=tmp_path / "inbox")
    assert within.place("../b") == tmp_path / "inbox" / "b"
    for name in ("../../secret", "/etc", "~"):
        with pytest.raises(SynthesisError, match="outside of the folder for incoming models"):
            within.place(name)


def test_an_about_file_is_found_but_not_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "semblance.yaml").symlink_to("secret")
    assert find_about(tmp_path) is None
    (tmp_path / "semblance.yaml").unlink()
    (tmp_path / "semblance.yaml").write_text(ABOUT)
    assert find_about(tmp_path) == tmp_path / "semblance.yaml" == find_about(tmp_path / "model.safetensors")
