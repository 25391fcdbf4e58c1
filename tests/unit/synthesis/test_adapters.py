"""Adapters on a real network of tiny size: nothing at first, exact after a reload, several side by side."""

from __future__ import annotations

import json

import pytest
import torch
from peft import PeftModel

from synthesis.adapters import (
    AdapterOptions,
    active,
    adapters_of,
    choose,
    chosen,
    load_adapter,
    remove,
    save_adapter,
    share_of,
    with_adapter,
)
from synthesis.checkpoints import load_model
from synthesis.errors import SynthesisError
from tests.factories_models import TINY, tiny_model


@pytest.fixture
def base(tmp_path):
    """A tiny model, saved and loaded."""
    return load_model(tiny_model(tmp_path / "base"))


def answer(network):
    """What a network says to one fixed question."""
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(2, 1, 32, 32, generator=generator)
    planes = torch.rand(2, TINY.planes, 32, 32, generator=generator)
    attributes = torch.rand(2, TINY.attributes, generator=generator)
    with torch.no_grad():
        return network(x, torch.tensor([0.3, 0.8]), planes, attributes)


def trained(folder, base_folder, *, seed, rank=4):
    """Save an adapter with random weights, as training would leave it; what the network says with it."""
    model = load_model(base_folder)
    network = with_adapter(model.network, AdapterOptions(rank=rank, alpha=rank))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.05)
    save_adapter(folder, network, {"name": folder.name}, model)
    return answer(network)


def test_a_fresh_adapter_changes_nothing_and_trains_alone(base) -> None:
    before = answer(base.network)
    network = with_adapter(base.network, AdapterOptions(rank=4, alpha=4))
    assert torch.equal(answer(network), before)
    trainable = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)
    assert 0 < share_of(network) < 1
    assert share_of(with_adapter(load_model_again(base), AdapterOptions(rank=64))) > 1


def load_model_again(base):
    """Another network of the same shape."""
    return type(base.network)(base.network.options)


def test_an_adapter_that_was_saved_answers_the_same_to_the_last_bit(base, tmp_path) -> None:
    plain = answer(base.network)
    wanted = trained(tmp_path / "one", tmp_path / "base", seed=1)
    load_adapter(base, tmp_path / "one", "one")
    assert active(base) is None
    assert torch.equal(answer(base.network), plain)
    choose(base, "one")
    assert torch.equal(answer(base.network), wanted)
    assert not torch.allclose(wanted, plain, atol=1e-3)


def test_several_lie_side_by_side_and_are_swapped_without_a_reload(base, tmp_path) -> None:
    plain = answer(base.network)
    wanted = {
        name: trained(tmp_path / name, tmp_path / "base", seed=i, rank=2 + i) for i, name in enumerate("ab")
    }
    for name in wanted:
        load_adapter(base, tmp_path / name, name)
    assert adapters_of(base) == ("a", "b")
    for name in ("a", "b", "a"):
        choose(base, name)
        assert active(base) == name
        assert torch.equal(answer(base.network), wanted[name])
    with chosen(base, None):
        assert torch.equal(answer(base.network), plain)
    assert active(base) == "a"
    remove(base, "a")
    choose(base, "b")
    assert adapters_of(base) == ("b",)
    assert torch.equal(answer(base.network), wanted["b"])
    with pytest.raises(ValueError, match="expected one of b, got a"):
        choose(base, "a")


def test_peft_itself_reads_the_file(base, tmp_path) -> None:
    wanted = trained(tmp_path / "one", tmp_path / "base", seed=3)
    read = PeftModel.from_pretrained(base.network, str(tmp_path / "one"))
    torch.testing.assert_close(answer(read), wanted, rtol=0, atol=0)


def test_an_adapter_of_other_weights_is_refused_and_the_model_stays(base, tmp_path) -> None:
    other = tiny_model(tmp_path / "other", seed=9)
    trained(tmp_path / "one", other, seed=1)
    before = answer(base.network)
    with pytest.raises(SynthesisError, match="was trained on other weights of tiny"):
        load_adapter(base, tmp_path / "one", "one")
    assert adapters_of(base) == ()
    assert torch.equal(answer(base.network), before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda f: (f / "adapter_model.safetensors").write_bytes(b"\x80\x04pickle"),
            "is not a safetensors file",
        ),
        (lambda f: (f / "adapter_config.json").unlink(), "adapter_config.json is not there"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "cannot be read"),
        (lambda f: reconfigure(f, use_dora=True), "is not a plain LoRA"),
        (lambda f: reconfigure(f, target_modules=r".*\.qkv"), "do not fit the layers"),
    ],
)
def test_what_is_no_adapter_is_refused_in_words(base, tmp_path, change, words) -> None:
    trained(tmp_path / "one", tmp_path / "base", seed=1)
    trained(tmp_path / "kept", tmp_path / "base", seed=2)
    load_adapter(base, tmp_path / "kept", "kept")
    choose(base, "kept")
    before = answer(base.network)
    change(tmp_path / "one")
    with pytest.raises(SynthesisError, match=words):
        load_adapter(base, tmp_path / "one", "one")
    assert adapters_of(base) == ("kept",)
    assert active(base) == "kept"
    assert torch.equal(answer(base.network), before)


def reconfigure(folder, **changes) -> None:
    """Change the adapter's settings on disk."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_layers_may_be_named_one_by_one(base, tmp_path) -> None:
    wanted = trained(tmp_path / "one", tmp_path / "base", seed=1)
    reconfigure(tmp_path / "one", target_modules=["conv_in", "qkv"])  # the weights say which exactly
    load_adapter(base, tmp_path / "one", "one")
    with chosen(base, "one"):
        assert torch.equal(answer(base.network), wanted)


def test_weights_of_another_size_are_refused_in_words(base, tmp_path) -> None:
    trained(tmp_path / "one", tmp_path / "base", seed=1)
    before = answer(base.network)
    reconfigure(tmp_path / "one", r=8)
    with pytest.raises(SynthesisError, match="do not fit the layers"):
        load_adapter(base, tmp_path / "one", "one")
    assert adapters_of(base) == ()
    assert torch.equal(answer(base.network), before)
