"""Weights that come to the device by stages or by layers: the same pixels, less of them there at a time."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from synthesis import placement
from synthesis.checkpoints import load_model
from synthesis.edit import edit
from synthesis.errors import SynthesisError
from synthesis.footprint import SEQUENTIAL, STAGED, WHOLE, footprint, footprint_of_edit
from synthesis.generate import generate
from synthesis.latents import LatentNetwork
from synthesis.metrics.judges import FeatureNet, Judges, Segmenter, SeverityReader
from synthesis.placement import Placement, device_memory, dtype_for, place, placement_for, stages
from tests.factories_models import tiny_model
from tests.unit.synthesis.test_edit_latents import asked
from tests.unit.synthesis.test_footprint import recipe_of, wish
from tests.unit.synthesis.tiny_backbones import FAMILIES, network_of, stir, tiny_latent_model, tiny_pipeline

CPU = torch.device("cpu")


class Device:
    """Stands for a device: what is copied there is counted as long as it lives.

    What stays at home is no number for as long as the device holds the network, so that whatever computes
    with it, as no GPU could, is seen.
    """

    def __init__(self) -> None:
        self.now = self.most = 0
        self._values: dict[int, Tensor] = {}

    def hold(self, network: nn.Module) -> None:
        """Take over the numbers of the network's weights and buffers."""
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point() and tensor.data_ptr() not in self._values:
                self._values[tensor.data_ptr()] = tensor.detach().clone()
                tensor.data.fill_(float("nan"))

    def copy(self, tensor: Tensor) -> Tensor:
        import weakref

        made = self._values.get(tensor.data_ptr(), tensor).clone()
        size = made.numel() * made.element_size()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(made.untyped_storage(), self._freed, size)
        return made

    def _freed(self, size: int) -> None:
        self.now -= size


@cache
def _controlled(family: str) -> LatentNetwork:
    network = network_of(family, tiny_pipeline(family)).with_control()
    for name, part in network.named_children():
        if name in ("controlnet", "ordinal"):
            stir(part)
    return network.eval().requires_grad_(False)


def controlled(family: str) -> LatentNetwork:
    """The same network each time, of the caller's own."""
    return deepcopy(_controlled(family))


def placed(family: str, plan: str) -> tuple[Device, object]:
    """What a model draws, and how much was on the device for it."""
    network, device = controlled(family), Device()
    place(network, Placement(device=CPU, dtype=torch.float32, plan=plan), copy=device.copy)
    device.hold(network)
    return device, generate(tiny_latent_model(family, network), wish()).pixel_sha256


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pixels_are_those_of_the_whole_network(family: str) -> None:
    network = controlled(family)
    whole = generate(tiny_latent_model(family, network), wish()).pixel_sha256
    sizes = [
        sum(t.numel() * 4 for part in stage for t in part.state_dict().values()) for stage in stages(network)
    ]
    for plan in (STAGED, SEQUENTIAL):
        device, pixels = placed(family, plan)
        assert pixels == whole
        assert 0 < device.most <= 1.1 * max(sizes)
        if plan == SEQUENTIAL:
            assert device.now == 0
            assert device.most < max(sizes)


ALONG_WORDS: dict[str, Any] = {"family": "stable_diffusion", "method": "pix2pix_zero", "strength": 0.3}


def changed(plan: str, family: str = "sd3", **options: object) -> list[str]:
    """The pixels of an edit of one model by a plan, on a device that holds it where it does not lie whole."""
    network, device = controlled(family), Device()
    place(network, Placement(device=CPU, dtype=torch.float32, plan=plan), copy=device.copy)
    if plan != WHOLE:
        device.hold(network)
    model = tiny_latent_model(family, network)
    return edit(model, asked(model, **{"steps": 2} | options), judges=judges()).pixel_sha256


def judges() -> Judges:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        nets = [net().eval().requires_grad_(False) for net in (Segmenter, SeverityReader, FeatureNet)]
    return Judges(*nets, about={})


def test_edits_are_those_of_the_whole_network() -> None:
    assert changed(STAGED) == changed(SEQUENTIAL) == changed(WHOLE)
    assert changed(STAGED, method="guided") == changed(WHOLE, method="guided")
    assert changed(STAGED, **ALONG_WORDS) == changed(WHOLE, **ALONG_WORDS)


def test_what_follows_gradients_through_layers_that_have_left_is_refused() -> None:
    network, device = controlled("sd3"), Device()
    place(network, Placement(device=CPU, dtype=torch.float32, plan=SEQUENTIAL), copy=device.copy)
    device.hold(network)
    states = torch.zeros((1, *network.state_shape(32, 32)), requires_grad=True)
    (found,) = torch.autograd.grad(network.decode(states).sum(), states)
    assert not found.isfinite().all()
    with pytest.raises(SynthesisError, match="layers come to this device one by one"):
        changed(SEQUENTIAL, method="guided")
    with pytest.raises(SynthesisError, match="layers come to this device one by one"):
        changed(SEQUENTIAL, **ALONG_WORDS)


def test_stages_are_those_of_the_estimate() -> None:
    network = controlled("sd3")
    found = footprint(recipe_of(network))
    assert found is not None
    assert len(stages(network)) == len(found.stages()) == 5
    held = max(4 * sum(found.parts[name].parameters for name in stage) for stage in found.stages())
    device, _ = placed("sd3", STAGED)
    assert 0.95 * held <= device.most <= 1.1 * held


def test_what_was_there_is_put_back() -> None:
    network = controlled("flux")
    before = {name: tensor.data_ptr() for name, tensor in network.state_dict().items()}
    place(network, Placement(device=CPU, dtype=torch.float32, plan=SEQUENTIAL), copy=lambda t: t.clone())
    generate(tiny_latent_model("flux", network), wish())
    assert {name: tensor.data_ptr() for name, tensor in network.state_dict().items()} == before
    assert network.device == CPU


def test_a_call_that_fails_leaves_nothing_behind() -> None:
    network, device = controlled("pixart"), Device()
    place(network, Placement(device=CPU, dtype=torch.float32, plan=SEQUENTIAL), copy=device.copy)
    with pytest.raises(RuntimeError):
        network.get_submodule("transformer.proj_out")(torch.zeros(1, 3))
    assert device.now == 0


def test_networks_that_were_trained_here_lie_whole_in_float32(tmp_path) -> None:
    model = load_model(tiny_model(tmp_path))
    found = placement_for(model.recipe, "cpu", memory=1)
    assert (found.plan, found.dtype) == (WHOLE, torch.float32)


def test_the_plan_goes_with_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(network_of("flux", tiny_pipeline("flux")))
    need = footprint(recipe)
    assert need is not None
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    room = int(need.need(STAGED, 2) / 0.9) + 1
    found = placement_for(recipe, "cuda:0", memory=room)
    assert (found.plan, found.dtype, found.held) == (STAGED, torch.float16, 0)
    assert placement_for(recipe, "cuda:0", memory=10**9).held == 2 * sum(
        part.parameters for part in need.parts.values()
    )
    several = footprint_of_edit(recipe, method="pix2pix_zero", count=4)
    assert several is not None
    room = int(need.need(WHOLE, 2) / 0.9) + 1
    assert placement_for(recipe, "cuda:0", memory=room).plan == WHOLE
    assert (
        placement_for(recipe, "cuda:0", memory=int(several.need(STAGED, 2) / 0.9) + 1, need=several).plan
        == STAGED
    )
    with pytest.raises(SynthesisError, match=r"needs 1 MB .* and 1 MB can be used there"):
        placement_for(recipe, "cpu", memory=1000)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert dtype_for("cuda:0", 2) == torch.bfloat16


def test_a_container_s_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(placement, "CGROUP", tmp_path / "memory.max")
    whole = device_memory("cpu")
    (tmp_path / "memory.max").write_text("max\n")
    assert device_memory("cpu") == whole
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert device_memory("cpu") == 2**30
