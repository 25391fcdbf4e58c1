"""Drift as an option of a recipe: all objectives learn from noise around delta; 0 is no drift to the bit."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from synthesis.adapters import choose, load_adapter
from synthesis.checkpoints import load_model
from synthesis.control.painting import paint
from synthesis.drift import Drift, TrainedDrift
from synthesis.paths import interpolate
from synthesis.request import Condition
from synthesis.variance_preserving import NoiseSchedule, alpha_bar
from tests.unit.synthesis.oracles import gaussian
from tests.unit.training.tiny_training import latent_recipe, phantoms_with_latents, tiny_base
from training.data import Batch
from training.export import export
from training.flow_path import drifted_noise
from training.objectives import OBJECTIVES
from training.objectives.flow import flow
from training.recipe import OBJECTIVE_SETTINGS, FlowSettings, recipe_from
from training.run_state import RunState
from training.train import CHECKPOINT, train

DELTA = 0.7
SETTINGS = {
    "flow": {}, "shortcut": {"segments": 8}, "region_contrast": {}, "ewc": {"fisher": ""},
    "consistency": {"weight_consistency": 0.0, "weight_spatial": 0.0}, "epsilon": {},
}  # fmt: skip


class Watching(nn.Module):
    """Keeps the states and times that it is shown; answers with zeros."""

    def __init__(self, preserving: bool = False) -> None:
        super().__init__()
        self.preserves_variance = preserving
        self.asked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, x: torch.Tensor, t: torch.Tensor, *condition: torch.Tensor) -> torch.Tensor:
        """Zeros."""
        self.asked.append((x, t))
        return torch.zeros_like(x)


def batch_of(x_1: torch.Tensor) -> Batch:
    labels = torch.zeros(len(x_1), *x_1.shape[2:], dtype=torch.long)
    painted = paint(labels, [Condition(modality="CT")] * len(x_1))
    return Batch(x_1, painted, labels)


def asked(name, drift, monkeypatch, preserving=False):
    """States [B, 1, H, W] and times that an objective shows its network first, and the loss."""
    monkeypatch.setattr(sys.modules["training.objectives.ewc"], "_fisher", lambda path: {})
    network = Watching(preserving)
    settings = OBJECTIVE_SETTINGS[name](**SETTINGS[name], region_weights={})
    state = RunState(drift=drift, average=Watching(preserving), origin=nn.Identity())
    if name == "shortcut":
        state = replace(state, origin=None)
    generator = torch.Generator().manual_seed(5)
    x_1 = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(6))
    loss = OBJECTIVES[name](network, batch_of(x_1), settings, generator, state)
    return (*network.asked[0], loss)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_objective_is_tried_and_moves_its_noise_by_delta(name, monkeypatch):
    assert set(SETTINGS) == {one for one in OBJECTIVES if not needs_more(one)}
    x, t, plain = asked(name, None, monkeypatch)
    zero = asked(name, TrainedDrift(delta=0.0), monkeypatch)
    assert torch.equal(zero[0], x)
    assert torch.equal(zero[2], plain)
    moved, same, loss = asked(name, TrainedDrift(delta=DELTA), monkeypatch)
    assert torch.equal(same, t)
    share = 1 - t
    if name == "epsilon":
        share = (
            (1 - torch.from_numpy(NoiseSchedule.of().alpha_bars)[(t * 1000).round().long()]).sqrt().float()
        )
    expected = (share * DELTA).reshape(-1, 1, 1, 1).expand_as(x)
    torch.testing.assert_close(moved - x, expected, rtol=1e-4, atol=1e-5)
    assert not torch.equal(loss, plain)


def needs_more(name: str) -> bool:
    """Objectives that need a network with prompts: their own tests try them with a drift."""
    return name in ("textual_inversion", "dreambooth", "custom_diffusion", "instruct_pix2pix")


@pytest.mark.parametrize("name", ["flow", "consistency", "ewc", "epsilon"])
def test_prior_has_a_mean_of_its_own_on_a_variance_preserving_schedule(name, monkeypatch):
    drift = TrainedDrift(delta=DELTA, scheme="prior")
    x, t, _ = asked(name, None, monkeypatch, preserving=True)
    moved, _, _ = asked(name, drift, monkeypatch, preserving=True)
    for item in range(len(x)):
        time = float(t[item])
        if name == "epsilon":  # it is shown the state of the chain itself
            a, factor = float(NoiseSchedule.of().alpha_bars[round(time * 1000)]), 1.0
        else:
            a, factor = alpha_bar(time), (time**2 + (1 - time) ** 2) ** 0.5
        mu = Drift(delta=DELTA, scheme="prior").mean(a) * factor
        torch.testing.assert_close(moved[item] - x[item], torch.full_like(x[item], mu), rtol=1e-3, atol=1e-5)
    if name != "epsilon":
        onto_flow, _, _ = asked(name, drift, monkeypatch, preserving=False)
        assert not torch.allclose(onto_flow, moved, atol=1e-3)


def test_the_best_velocity_under_a_drift_has_the_loss_that_theory_says():
    """Var[x_1 - n | x_t] = c^2 / S for N(m, c^2): no drift changes it, and the wrong mean costs delta^2."""
    m, c, delta = 0.7, 0.5, 0.4
    law = gaussian(m, c)
    settings = FlowSettings(region_weights={}, time_uniform=1.0)
    generator = torch.Generator().manual_seed(7)
    x_1 = m + c * torch.randn(64, 1, 32, 32, dtype=torch.float64, generator=generator)

    class Best(nn.Module):
        def __init__(self, assumed: float) -> None:
            super().__init__()
            self.assumed, self.error = assumed, 0.0

        def forward(self, x, t, *condition):
            """The closed form (math.md 2) for a start around `assumed`."""
            t = t.double().reshape(-1, 1, 1, 1)
            s = (1 - t) ** 2 + (t * c) ** 2
            self.error = float((c**2 / s).mean())
            return m - self.assumed + (t * c**2 - (1 - t)) / s * (x - t * m - (1 - t) * self.assumed)

    assert torch.allclose(
        Best(0.0)(torch.ones(1, 1), torch.tensor([0.3])).flatten(),
        law.velocity(torch.ones(1, 1).double(), torch.tensor(0.3).double()).flatten(),
    )
    state = RunState(drift=TrainedDrift(delta=delta))
    batch = batch_of(x_1)
    right, wrong = Best(delta), Best(0.0)
    loss = float(flow(right, batch, settings, torch.Generator().manual_seed(8), state))
    assert loss == pytest.approx(right.error, rel=0.02)
    assert float(flow(wrong, batch, settings, torch.Generator().manual_seed(8), state)) > loss + 0.01


def test_two_times_of_one_path_share_their_noise():
    """The temporal term compares two states of one pair: under `prior` the mean of the noise moves with t."""
    e, x_1 = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    state = RunState(drift=TrainedDrift(delta=1.0, scheme="prior"))
    network = SimpleNamespace(preserves_variance=True)
    early, late = (drifted_noise(e, torch.full((2,), t), network, state) for t in (0.2, 0.6))
    assert not torch.equal(early, late)
    torch.testing.assert_close(interpolate(late, x_1, torch.full((2,), 1.0)), x_1)


# Runs.


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_run_without_and_one_with_a_drift_of_0_end_in_the_same_weights(
    small_recipe, phantom_folder, tmp_path
):
    plain = replace(small_recipe, steps=2)
    ends = {}
    for name, drift in (
        ("plain", None),
        ("zero", TrainedDrift(delta=0.0, scheme="prior")),
        ("moved", TrainedDrift(delta=0.1)),
    ):  # fmt: skip
        train(replace(plain, drift=drift), phantom_folder, tmp_path / name)
        ends[name] = torch.load(tmp_path / name / CHECKPOINT, weights_only=True)["network"]
    for key, weight in ends["plain"].items():
        assert torch.equal(weight, ends["zero"][key]), key
    assert any(not torch.equal(weight, ends["moved"][key]) for key, weight in ends["plain"].items())
    # what is exported says so, and is run so
    for name, drift in (("zero", TrainedDrift(delta=0.0)), ("moved", TrainedDrift(delta=0.1))):
        export(replace(plain, drift=drift), tmp_path / name, phantom_folder, tmp_path / f"{name}-out")
    moved, zero = load_model(tmp_path / "moved-out"), load_model(tmp_path / "zero-out")
    assert moved.recipe["drift"] == {"delta": 0.1, "scheme": "noise"}
    assert moved.network.drift == TrainedDrift(delta=0.1)
    assert "drift" not in zero.recipe
    assert zero.network.drift is None


def test_a_recipe_says_it_in_one_key():
    values = {"name": "a", "title": "a", "version": "1", "seed": 0, "steps": 1, "batch": 1, "phantoms": 1}
    values |= {"image": {}, "modalities": ["CT"]}
    assert recipe_from(values).drift is None
    found = recipe_from(values | {"drift": {"delta": [0.1, 0.2], "scheme": "prior"}}).drift
    assert found == TrainedDrift(delta=(0.1, 0.2), scheme="prior")
    for told in ({"delta": "a"}, {"scheme": "literal"}, {"by": 1}):
        with pytest.raises(ValueError, match="drift"):
            recipe_from(values | {"drift": told})


def test_an_adapter_brings_its_drift_and_takes_it_away(tmp_path):
    base = tiny_base("stable_diffusion", tmp_path / "base")
    recipe = latent_recipe(
        "stable_diffusion", base, adapter={"rank": 2}, steps=2, drift={"delta": [0.1, 0, 0, 0.2]}
    )
    data = phantoms_with_latents(recipe, tmp_path / "data")
    train(recipe, data, tmp_path / "run")
    export(recipe, tmp_path / "run", data, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "recipe.json").read_text())["drift"]["delta"] == [0.1, 0, 0, 0.2]
    model = load_model(base)
    load_adapter(model, tmp_path / "out", "one")
    assert model.network.drift is None
    choose(model, "one")
    assert model.network.drift == TrainedDrift(delta=(0.1, 0.0, 0.0, 0.2))
    choose(model, None)
    assert model.network.drift is None

    # A network begun from one with a drift has its own, or none; its adapters from elsewhere share its own.
    whole = latent_recipe("stable_diffusion", base, steps=1, drift={"delta": 0.3})
    train(whole, data, tmp_path / "whole")
    export(whole, tmp_path / "whole", data, tmp_path / "drifted")
    again = latent_recipe("stable_diffusion", tmp_path / "drifted", steps=1)
    train(again, data, tmp_path / "again")
    export(again, tmp_path / "again", data, tmp_path / "undrifted")
    assert load_model(tmp_path / "drifted").network.drift == TrainedDrift(delta=0.3)
    assert load_model(tmp_path / "undrifted").network.drift is None
    adapted = latent_recipe("stable_diffusion", tmp_path / "drifted", adapter={"rank": 2}, steps=1)
    train(adapted, data, tmp_path / "third")
    export(adapted, tmp_path / "third", data, tmp_path / "own")
    about = json.loads((tmp_path / "own" / "recipe.json").read_text())
    assert about["drift"] is None
    model = load_model(tmp_path / "drifted")
    load_adapter(model, tmp_path / "own", "own")
    del about["drift"]
    (tmp_path / "own" / "recipe.json").write_text(json.dumps(about))
    load_adapter(model, tmp_path / "own", "foreign")
    for name, drift in (("own", None), ("foreign", TrainedDrift(delta=0.3)), (None, TrainedDrift(delta=0.3))):
        choose(model, name)
        assert model.network.drift == drift, name


def test_a_shortcut_learns_only_from_a_flow_of_the_same_drift(small_recipe, phantom_folder, tmp_path):
    whole = replace(small_recipe, steps=1, drift=TrainedDrift(delta=0.2))
    train(whole, phantom_folder, tmp_path / "run")
    export(whole, tmp_path / "run", phantom_folder, tmp_path / "base")
    settings = OBJECTIVE_SETTINGS["shortcut"](segments=4, from_origin=True, region_weights={})
    fast = replace(
        whole,
        objective=settings,
        init_from=str(tmp_path / "base"),
        backbone=replace(whole.backbone, spans=True),
    )
    train(fast, phantom_folder, tmp_path / "fast")
    with pytest.raises(ValueError, match="another drift"):
        train(replace(fast, drift=None), phantom_folder, tmp_path / "other")
