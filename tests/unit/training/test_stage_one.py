"""Stage 1: the flow with terms of the expected image, held weights and chosen layers in one recipe."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from synthesis.backbones.unet import UNet
from synthesis.checkpoints import load_model
from synthesis.paths import interpolate
from synthesis.variance_preserving import scale, velocity_from_prediction
from tests.factories_models import tiny_model
from tests.unit.synthesis.oracles import gaussian
from training.data import PhantomShards, batch_at
from training.fisher import save_fisher
from training.flow_path import draw_times, path_loss, region_weights, start_of, weighted_error
from training.objectives import OBJECTIVES
from training.recipe import FlowSettings, load_recipe, recipe_from
from training.run_state import RunState
from training.train import CHECKPOINT, train

PLAIN = FlowSettings(region_weights={})


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def gaussian_case(t, count=200_000):
    """States [count, 1, 1, 1] of N(.7, .5^2) at time t, their ends and the exact velocity."""
    law, generator = gaussian(0.7, 0.5), seeded(0)
    x_1 = law.draw(count, generator).reshape(-1, 1, 1, 1)
    n = torch.randn(x_1.shape, dtype=x_1.dtype, generator=generator)
    time = torch.full((count,), t, dtype=x_1.dtype)
    x_t = interpolate(n, x_1, time)
    v = law.velocity(x_t.reshape(count, -1), torch.tensor(t, dtype=x_1.dtype)).reshape(x_t.shape)
    return v, x_t, time, (n, x_1), torch.zeros(count, 1, 1, dtype=torch.long)


@pytest.mark.parametrize("t", [0.1, 0.4, 0.8])
def test_the_image_term_is_one_minus_t_squared_times_the_flow_and_least_where_the_law_says(t):
    """E|v - (x_1 - n)|^2 = c^2 / S and E|x1_hat - x_1|^2 = (1 - t)^2 c^2 / S = Var[x_1 | x_t]."""
    case = gaussian_case(t)
    flow = path_loss(*case, PLAIN).item()
    whole = path_loss(*case, replace(PLAIN, weight_l2=3.0)).item()
    s = (1 - t) ** 2 + t**2 * 0.25
    assert flow == pytest.approx(0.25 / s, rel=0.02)
    assert whole - flow == pytest.approx(3.0 * (1 - t) ** 2 * flow, rel=1e-4)
    assert (whole - flow) / 3 == pytest.approx((1 - t) ** 2 * 0.25 / s, rel=0.02)


def test_the_term_of_likeness_is_that_of_two_flat_images():
    """SSIM of constants a, b is (2ab + c1) / (a^2 + b^2 + c1), c1 = (0.01 range)^2 (Wang et al. 2004)."""
    a, b, t, span = 0.3, 0.7, 0.5, 4.0
    x_1, n = torch.full((2, 1, 16, 16), a), torch.zeros(2, 1, 16, 16)
    x_t = interpolate(n, x_1, torch.full((2,), t))
    v = (b - x_t) / (1 - t)  # its x1_hat is b everywhere
    labels = torch.zeros(2, 16, 16, dtype=torch.long)
    settings = replace(PLAIN, weight_ssim=2.0, data_range=span)
    term = path_loss(v, x_t, torch.full((2,), t), (n, x_1), labels, settings)
    flow = path_loss(v, x_t, torch.full((2,), t), (n, x_1), labels, PLAIN)
    c1 = (0.01 * span) ** 2
    expected = 1 - (2 * a * b + c1) / (a**2 + b**2 + c1)
    assert (term - flow).item() == pytest.approx(2 * expected, rel=1e-4)


def test_likeness_needs_images_as_large_as_its_window():
    x = torch.zeros(1, 1, 8, 8)
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    with pytest.raises(ValueError, match="11 pixels a side"):
        path_loss(x, x, torch.zeros(1), (x, x), labels, replace(PLAIN, weight_ssim=1.0))


def test_on_a_smaller_grid_each_cell_has_the_largest_weight_inside_it():
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[0, 1, 6] = 17  # one voxel of a lesion
    settings = FlowSettings(region_weights={17: 5.0})
    weights = region_weights(labels, settings, (2, 2))
    assert weights.tolist() == [[[[1.0, 5.0], [1.0, 1.0]]]]
    error = torch.zeros(1, 4, 2, 2)
    error[0, :, 0, 1] = 2.0
    loss = weighted_error(error, torch.zeros_like(error), labels, settings)
    assert loss.item() == pytest.approx(5 * 4 / 8)  # of four channels that are wrong alike
    whole = weighted_error(torch.ones(1, 4, 8, 8), torch.zeros(1, 4, 8, 8), labels, settings)
    assert whole.item() == pytest.approx(1.0)


def test_all_of_stage_one_is_added_up_in_one_objective(small_recipe, phantom_folder, tmp_path):
    """L_diff + w_2 L_2 + w_ssim (1 - SSIM) + (lambda / 2) F (theta - theta*)^2, each with its weight."""
    torch.manual_seed(0)
    network, origin = UNet(small_recipe.backbone), UNet(small_recipe.backbone)
    origin.load_state_dict(network.state_dict())
    save_fisher(tmp_path / "fisher", {n: torch.ones_like(w) for n, w in network.named_parameters()})
    with torch.no_grad():
        network.conv_out.bias += 0.5
    shards = PhantomShards(phantom_folder)
    batch = batch_at(shards, small_recipe.normalisation, small_recipe.mask_dropout, size=2, seed=0, step=0)

    def loss(**weights):
        settings = stage_one(small_recipe, tmp_path / "fisher", **weights).objective
        return OBJECTIVES["ewc"](network, batch, settings, seeded(1), RunState(origin=origin)).item()

    flow = OBJECTIVES["flow"](network, batch, replace(PLAIN, time_uniform=1.0), seeded(1)).item()
    assert loss() == pytest.approx(flow, rel=1e-5)
    parts = {name: loss(**{name: 1.0}) - flow for name in ("weight_l2", "weight_ssim", "strength")}
    assert all(part > 1e-3 for part in parts.values())
    whole = loss(weight_l2=0.5, weight_ssim=0.2, strength=3.0)
    expected = flow + 0.5 * parts["weight_l2"] + 0.2 * parts["weight_ssim"] + 3.0 * parts["strength"]
    assert whole == pytest.approx(expected, rel=1e-4)


def stage_one(small_recipe, fisher, **more):
    """The small recipe with stage 1's objective, as YAML says it."""
    said = {"name": "ewc", "fisher": str(fisher), "strength": 0.0, "time_uniform": 1.0, "region_weights": {}}
    shipped = load_recipe("abdomen-2d")
    values = {
        "name": "one", "title": "One", "version": "1", "seed": 0, "steps": 4, "batch": 2, "phantoms": 16,
        "image": dict(shipped.image), "modalities": list(shipped.modalities), "objective": said | more,
    }  # fmt: skip
    return replace(small_recipe, steps=4, objective=recipe_from(values).objective)


def test_a_run_of_stage_one_moves_the_chosen_layers_alone(small_recipe, phantom_folder, tmp_path):
    base = tiny_model(tmp_path / "base")
    network = UNet(small_recipe.backbone)
    fisher = {
        n: torch.full_like(w, 9.0 if n.startswith("middle") else 1.0) for n, w in network.named_parameters()
    }
    save_fisher(tmp_path / "fisher", fisher)
    chosen = {n for n in fisher if n.startswith("middle")}
    recipe = stage_one(
        small_recipe, tmp_path / "fisher", weight_l2=0.5, weight_ssim=0.2, strength=1.0,
        selection="unfreeze_top", share=len(chosen) / len(fisher),
    )  # fmt: skip
    train(replace(recipe, init_from=str(base)), phantom_folder, tmp_path / "run")
    before = load_model(base).network.state_dict()
    after = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["network"]
    assert {name for name in after if not torch.equal(after[name], before[name])} == chosen


class Predicts(nn.Module):
    """A network of which only its kind of prediction and its first time are known."""

    def __init__(self, prediction, start=0.064):
        super().__init__()
        self.options, self.start = SimpleNamespace(prediction=prediction), start


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample", "flow"])
def test_the_loss_on_the_networks_own_prediction_is_its_squared_error(prediction):
    """Two answers of such a network, turned into velocities as it is when it is run as a flow."""
    generator = seeded(0)
    n, x_1, answer = (torch.randn((1, 1, 12, 12), generator=generator).double() for _ in range(3))
    for t in (0.1, 0.5, 0.93):
        x_t = interpolate(n, x_1, t)
        r = scale(t)
        of_v = (t * n - (1 - t) * x_1) / r
        truth = {"epsilon": n, "v_prediction": of_v, "sample": x_1, "flow": x_1 - n}[prediction]
        v = answer if prediction == "flow" else velocity_from_prediction(x_t, answer, t, prediction)
        labels, settings = torch.zeros(1, 12, 12, dtype=torch.long), replace(PLAIN, loss_on="native")
        loss = path_loss(v, x_t, torch.tensor([t]), (n, x_1), labels, settings, Predicts(prediction))
        assert loss.item() == pytest.approx(((answer - truth) ** 2).mean().item(), rel=1e-4)


def test_times_begin_where_the_network_does_also_behind_an_adapter():
    settings = FlowSettings(time_uniform=0.5, time_start=0.2)
    network = Predicts("epsilon")
    network.layer = nn.Linear(2, 2)
    adapted = get_peft_model(network, LoraConfig(r=1, target_modules=["layer"]))
    for one in (network, adapted):
        times = draw_times(1000, settings, seeded(0), start_of(one))
        assert times.min().item() == pytest.approx(0.064)
        assert (times == times.min()).float().mean().item() == pytest.approx(0.2, abs=0.05)
        assert times.max() < 1
    assert start_of(nn.Linear(1, 1)) == 0


def test_weights_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="negative"):
        FlowSettings(weight_l2=-1)
    with pytest.raises(ValueError, match="data_range"):
        FlowSettings(data_range=0)
    with pytest.raises(ValueError, match="loss_on"):
        FlowSettings(loss_on="epsilon")
    with pytest.raises(ValueError, match="weight_ssim"):
        recipe_from({"objective": {"name": "shortcut", "weight_ssim": 1.0}})
