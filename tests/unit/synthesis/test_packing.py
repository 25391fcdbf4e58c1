"""One model, one file: whole or not at all, tensors in their own types, shared tables once."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import psutil
import pytest
import torch
from safetensors import safe_open
from torch import nn

from synthesis import packing
from synthesis.errors import SynthesisError
from synthesis.packing import component_sizes, empty_weights, file_sha256, fill, read_packed, write_packed


class Reader(nn.Module):
    """Two components, one of them with a table that stands in two places, as in T5."""

    def __init__(self) -> None:
        super().__init__()
        self.text_encoder = nn.ModuleDict({"shared": nn.Embedding(5, 4), "encoder": nn.Embedding(5, 4)})
        self.text_encoder["encoder"].weight = self.text_encoder["shared"].weight
        self.vae = nn.Linear(4, 3)
        self.register_buffer("counted", torch.arange(3), persistent=False)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    network = Reader()
    network.vae.to(torch.bfloat16)
    digest = write_packed(tmp_path, network.state_dict(), {"name": "r"}, {"tokenizer": "{}"})
    assert digest == file_sha256(tmp_path / "model.safetensors")
    assert (tmp_path / "model.sha256").read_text().split()[0] == digest
    packed = read_packed(tmp_path / "model.safetensors")
    assert (packed.recipe, packed.tokenizers) == ({"name": "r"}, {"tokenizer": "{}"})
    assert sorted(packed.tensors) == ["text_encoder.shared.weight", "vae.bias", "vae.weight"]
    assert packed.tensors["vae.weight"].dtype == torch.bfloat16
    with empty_weights():
        again = Reader()
    fill(again, packed.tensors)
    assert not any(tensor.is_meta for tensor in (*again.parameters(), *again.buffers()))
    assert again.text_encoder["shared"].weight is again.text_encoder["encoder"].weight
    assert again.vae.weight.dtype == torch.bfloat16
    for name, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    fill(again, packed.tensors, dtype=torch.float32)
    assert again.vae.weight.dtype == torch.float32


def test_sizes_count_a_shared_table_once() -> None:
    found = component_sizes(Reader().state_dict(), ["text_encoder", "vae", "absent"])
    assert found == {
        "text_encoder": {"parameters": 20, "bytes": 80, "largest": 20},
        "vae": {"parameters": 15, "bytes": 60, "largest": 12},
    }
    with torch.device("meta"):
        assert component_sizes(nn.ModuleDict({"vae": nn.Linear(4, 3)}).state_dict(), ["vae"]) == {
            "vae": {"parameters": 15, "bytes": 60, "largest": 12}
        }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("vae.bias"), "missing: vae.bias"),
        (lambda t: t.update({"vae.wheel": torch.zeros(1)}), "unknown: vae.wheel"),
        (lambda t: t.update({"vae.bias": torch.zeros(4)}), "of another shape: vae.bias"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change, words: str) -> None:
    network = Reader()
    before = network.vae.bias.clone()
    tensors = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    change(tensors)
    with pytest.raises(ValueError, match=words):
        fill(network, tensors)
    assert torch.equal(network.vae.bias, before)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_packed(tmp_path, {"a": torch.ones(3)}, {"name": "old"})

    def full(*_: object, **__: object) -> None:
        (tmp_path / "model.safetensors.part").write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(packing, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        write_packed(tmp_path, {"a": torch.zeros(3)}, {"name": "new"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "model.sha256"]
    assert file_sha256(tmp_path / "model.safetensors") == first


def test_views_of_one_storage_are_different_tensors(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    write_packed(tmp_path, {"a": whole[:3], "b": whole[3:], "c": whole.view(2, 3).T}, {})
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.get_tensor("b").tolist() == [3, 4, 5]
        assert file.get_tensor("c").tolist() == [[0, 3], [1, 4], [2, 5]]
        assert json.loads(file.metadata()["recipe"]) == {}


def test_what_carries_no_recipe_is_refused(tmp_path: Path) -> None:
    packing.save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(SynthesisError, match="carries no recipe"):
        read_packed(tmp_path / "a.safetensors")


def test_mapped_weights_go_to_the_file_without_lying_in_memory(tmp_path: Path) -> None:
    """192 MB from one file into another: the process's own memory grows by a fraction of that."""
    write_packed(tmp_path / "a", {f"w{n}": torch.rand(4, 2**20) for n in range(12)}, {})
    tensors = read_packed(tmp_path / "a" / "model.safetensors").tensors
    own, done, most = psutil.Process(), threading.Event(), [0]

    def watch() -> None:
        while not done.wait(0.002):
            memory = own.memory_info()
            most[0] = max(most[0], memory.rss - memory.shared)

    memory = own.memory_info()
    before = memory.rss - memory.shared
    watcher = threading.Thread(target=watch)
    watcher.start()
    write_packed(tmp_path / "b", {f"part.{name}": tensor for name, tensor in tensors.items()}, {})
    done.set()
    watcher.join()
    print(f"own memory grew by {(most[0] - before) / 2**20:.1f} MB")
    assert most[0] - before < 40 * 2**20
