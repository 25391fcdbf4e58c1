"""Stage 2's losses against closed forms, and on a network with a real LoRA adapter."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from synthesis.backbones.unet import UNet
from synthesis.paths import interpolate, posterior_mean
from tests.unit.synthesis.oracles import gaussian
from training.data import PhantomShards, batch_at
from training.objectives import OBJECTIVES
from training.objectives.consistency import (
    base_activations,
    feature_loss,
    hidden,
    spatial_loss,
    temporal_loss,
)
from training.recipe import ConsistencySettings
from training.run_state import RunState

LAYERS = ("middle.blocks.0",)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("on", "expected"), [("velocity", 0.459110), ("image", 0.091822)])
def test_the_gaussian_optimum_is_the_printed_one(on, expected):
    """a_t^2 S_t + a_t'^2 S_t' - 2 a_t a_t' C, C = (1-t)(1-t') + t t' c^2 (math.md 6), m = .7, c = .5.

    With a = (t c^2 - (1 - t)) / S for velocities and a = t c^2 / S for the images expected.
    """
    law, t, later = gaussian(0.7, 0.5), torch.tensor(0.3).double(), torch.tensor(0.7).double()
    generator = seeded(0)
    x_1 = law.draw(400_000, generator)
    n = torch.randn(x_1.shape, dtype=x_1.dtype, generator=generator)
    pair = []
    for time in (t, later):
        x = interpolate(n, x_1, time)
        v = law.velocity(x, time)
        pair.append(v if on == "velocity" else posterior_mean(x, v, time))
    assert temporal_loss(*pair).item() == pytest.approx(expected, rel=0.01)

    s, s_later = (0.7**2 + 0.3**2 * 0.25), (0.3**2 + 0.7**2 * 0.25)
    a, b = (0.3 * 0.25 - 0.7) / s, (0.7 * 0.25 - 0.3) / s_later
    if on == "image":
        a, b = 0.3 * 0.25 / s, 0.7 * 0.25 / s_later
    closed = a**2 * s + b**2 * s_later - 2 * a * b * (0.7 * 0.3 + 0.3 * 0.7 * 0.25)
    assert closed == pytest.approx(expected, abs=1e-6)


def test_only_the_earlier_estimate_learns():
    early, late = torch.ones(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    temporal_loss(early, late).backward()
    assert early.grad is not None
    assert late.grad is None


def test_features_are_compared_layer_by_layer_per_number():
    base = [torch.zeros(2, 4, requires_grad=True), torch.zeros(3, requires_grad=True)]
    adapted = [torch.full((2, 4), 2.0), torch.full((3,), 3.0, requires_grad=True)]
    loss = feature_loss(adapted, base)
    assert loss.item() == pytest.approx(4 + 9)
    loss.backward()
    assert base[1].grad is None
    with pytest.raises(ValueError, match="same layers"):
        feature_loss(adapted, base[:1])


def test_spatial_loss_is_error_and_unlikeness():
    x = torch.rand((1, 1, 24, 24), generator=seeded(0))
    assert spatial_loss(x, x, 2.0).item() == pytest.approx(0, abs=1e-4)
    flat = torch.full((1, 1, 24, 24), 0.3)
    c1 = (0.01 * 2.0) ** 2
    luminance = (2 * 0.3 * 0.7 + c1) / (0.3**2 + 0.7**2 + c1)
    assert spatial_loss(flat, flat + 0.4, 2.0).item() == pytest.approx(0.16 + 1 - luminance, abs=2e-4)


# On a network with an adapter.


@pytest.fixture
def setting(small_recipe, phantom_folder):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet(small_recipe.backbone)
        for weight in network.parameters():
            weight.data += 0.02 * torch.randn_like(weight)
        adapted = get_peft_model(network, LoraConfig(r=2, target_modules=r".*middle\.blocks\.0\.conv.*"))
    batch = batch_at(
        PhantomShards(phantom_folder),
        small_recipe.normalisation,
        small_recipe.mask_dropout,
        size=2,
        seed=0,
        step=0,
    )
    return adapted, batch


def unsettle(network):
    """Move the adapter away from its start, where it changes nothing."""
    for name, weight in network.named_parameters():
        if "lora_B" in name:
            weight.data += 0.3


def inputs(batch):
    return (batch.images, torch.tensor([0.3, 0.6]), *batch.condition)


def test_a_fresh_adapter_agrees_with_its_base_and_a_moved_one_does_not(setting):
    network, batch = setting
    for moved in (False, True):
        if moved:
            unsettle(network)
        with hidden(network, LAYERS) as adapted:
            network(*inputs(batch))
        base = base_activations(network, RunState(), LAYERS, inputs(batch))
        assert (feature_loss(adapted, base).item() > 1e-6) == moved


def test_each_term_is_added_with_its_weight_and_only_the_adapter_learns(setting):
    network, batch = setting
    unsettle(network)

    def loss(**weights):
        names = ("consistency", "temporal", "spatial")
        chosen = {f"weight_{name}": weights.get(name, 0.0) for name in names}
        settings = ConsistencySettings(layers=LAYERS, **chosen)
        return OBJECTIVES["consistency"](network, batch, settings, seeded(4), RunState())

    flow = loss()
    parts = {name: loss(**{name: 1.0}) - flow for name in ("consistency", "temporal", "spatial")}
    assert all(part.item() > 0 for part in parts.values())
    whole = loss(consistency=1.0, temporal=0.1, spatial=0.5)
    expected = flow + parts["consistency"] + 0.1 * parts["temporal"] + 0.5 * parts["spatial"]
    assert whole.item() == pytest.approx(expected.item(), rel=1e-4)
    whole.backward()
    for name, weight in network.named_parameters():
        assert (weight.grad is not None) == ("lora_" in name)


def test_the_same_draws_give_the_same_flow_term(setting):
    network, batch = setting
    settings = ConsistencySettings(layers=LAYERS, weight_consistency=0, weight_temporal=0, weight_spatial=0)
    ours = OBJECTIVES["consistency"](network, batch, settings, seeded(4), RunState())
    assert ours.item() == pytest.approx(
        OBJECTIVES["flow"](network, batch, settings, seeded(4)).item(), rel=1e-5
    )


def test_without_an_adapter_the_origin_is_the_base(setting, small_recipe):
    _, batch = setting
    plain = UNet(small_recipe.backbone)
    base = base_activations(plain, RunState(origin=plain), LAYERS, inputs(batch))
    assert len(base) == 1
    with pytest.raises(ValueError, match="adapter or the run's origin"):
        base_activations(plain, RunState(), LAYERS, inputs(batch))


def test_layers_that_are_not_there_are_named(setting):
    network, _ = setting
    with pytest.raises(ValueError, match="called nothing"), hidden(network, ["nothing"]):
        pass
    with pytest.raises(ValueError, match="layers"):
        ConsistencySettings()
    with pytest.raises(ValueError, match="negative"):
        ConsistencySettings(layers=LAYERS, weight_temporal=-1)
