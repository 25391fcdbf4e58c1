"""Fisher information and elastic weight consolidation, against closed forms and on two tasks."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from synthesis.backbones.unet import UNet
from synthesis.checkpoints import load_model
from synthesis.errors import SynthesisError
from synthesis.paths import interpolate
from training.data import PhantomShards, batch_at
from training.export import export
from training.fisher import (
    fisher_label_free,
    fisher_per_sample,
    load_fisher,
    ranked,
    save_fisher,
    selected,
    train_only,
)
from training.fit_fisher import outputs
from training.objectives import OBJECTIVES
from training.objectives.ewc import penalty
from training.recipe import EwcSettings
from training.run_state import RunState
from training.train import CHECKPOINT, train


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def regression():
    """y = W x with four inputs of different size, 4000 samples."""
    x = torch.randn((4000, 4), generator=seeded(0)) * torch.tensor([0.5, 1.0, 2.0, 3.0])
    layer = nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randn((3, 4), generator=seeded(1)))
    return layer, x


def test_the_fisher_of_each_sample_is_the_mean_square_of_its_gradient(regression):
    """l = (w.x - y)^2 / 2 with residual of variance s^2: F = E[(w.x - y)^2 x^2] = s^2 E[x^2]."""
    layer, x = regression
    noise = 0.3 * torch.randn((4000, 3), generator=seeded(2))
    target = layer(x).detach() + noise

    def loss(i):
        return lambda: ((layer(x[i]) - target[i]) ** 2).sum() / 2

    fisher = fisher_per_sample(layer, [loss(i) for i in range(1000)])["weight"]
    expected = (noise[:1000, :, None] ** 2 * x[:1000, None] ** 2).mean(0)
    torch.testing.assert_close(fisher, expected, rtol=1e-4, atol=1e-7)


def test_the_square_of_a_batch_gradient_is_too_small_by_the_size_of_the_batch(regression):
    layer, x = regression
    target = layer(x).detach() + 0.3 * torch.randn((4000, 3), generator=seeded(2))

    def loss(rows):
        return lambda: ((layer(x[rows]) - target[rows]) ** 2).sum(1).mean() / 2

    alone = fisher_per_sample(layer, [loss([i]) for i in range(1600)])["weight"]
    batched = fisher_per_sample(layer, [loss(range(i, i + 16)) for i in range(0, 1600, 16)])["weight"]
    assert (alone.mean() / batched.mean()).item() == pytest.approx(16, rel=0.25)


def test_the_label_free_fisher_is_the_diagonal_of_the_jacobian_squared(regression):
    """d (r . W x) / d W = r x': F = E[x^2] for every output, whatever the targets."""
    layer, x = regression
    outputs = [lambda rows=rows: layer(rows) for rows in x.split(8)]
    fisher = fisher_label_free(layer, outputs, seeded(3))["weight"]
    torch.testing.assert_close(fisher, (x**2).mean(0).expand(3, 4), rtol=0.2, atol=0)
    assert fisher.mean().item() == pytest.approx((x**2).mean().item(), rel=0.05)


def test_no_sample_is_no_fisher(regression):
    with pytest.raises(ValueError, match="at least one sample"):
        fisher_per_sample(regression[0], [])


def test_the_penalty_finds_the_quadratic_optimum():
    """argmin (a - a2)' H (a - a2) / 2 + lambda penalty = (H + lambda F)^-1 (H a2 + lambda F a1)."""
    weights = nn.ParameterDict({"a": nn.Parameter(torch.zeros(5, dtype=torch.float64))})
    draw = lambda *shape: torch.randn(shape, dtype=torch.float64, generator=generator)  # noqa: E731
    generator = seeded(0)
    root, first, second = draw(5, 5), draw(5), draw(5)
    hessian, fisher, strength = root @ root.T + torch.eye(5), draw(5).abs(), 2.5
    optimiser = torch.optim.LBFGS(
        weights.parameters(),
        max_iter=500,
        tolerance_grad=1e-12,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimiser.zero_grad()
        away = weights["a"] - second
        loss = away @ hessian @ away / 2 + strength * penalty(weights, {"a": first}, {"a": fisher})
        loss.backward()
        return loss

    optimiser.step(closure)
    expected = torch.linalg.solve(
        hessian + strength * fisher.diag(), hessian @ second + strength * fisher * first
    )
    torch.testing.assert_close(weights["a"].detach(), expected, rtol=0, atol=1e-8)


def test_tensors_that_are_frozen_cost_nothing_and_strange_ones_are_named():
    layer = nn.Linear(2, 2)
    anchor = {name: torch.zeros_like(w) for name, w in layer.named_parameters()}
    fisher = {"weight": torch.ones(2, 2), "bias": torch.ones(2)}
    whole = penalty(layer, anchor, fisher)
    train_only(layer, {"bias"})
    assert penalty(layer, anchor, fisher).item() == pytest.approx((layer.bias**2).sum().item() / 2)
    assert whole > penalty(layer, anchor, fisher)
    with pytest.raises(ValueError, match="gate"):
        penalty(layer, anchor, {"gate": torch.ones(1)})
    with pytest.raises(ValueError, match="gate"):
        train_only(layer, {"gate"})


def test_layers_are_chosen_by_their_rank():
    fisher = {
        "a": torch.full((3,), 2.0),
        "b": torch.tensor([9.0]),
        "c": torch.full((50,), 0.1),
        "d": torch.ones(1),
    }
    assert ranked(fisher) == ["b", "a", "d", "c"]
    assert selected(fisher, "unfreeze_top", 0.5) == {"b", "a"}
    assert selected(fisher, "freeze_top", 0.25) == {"a", "c", "d"}
    assert selected(fisher, "freeze_top", 0.0) == set(fisher)
    for selection, share in (("top", 0.5), ("freeze_top", 1.5)):
        with pytest.raises(ValueError, match=r"selection|share"):
            selected(fisher, selection, share)


def test_fisher_information_survives_its_file(tmp_path):
    fisher = {"a": torch.rand(2, 3)}
    save_fisher(tmp_path / "fisher.safetensors", fisher)
    assert torch.equal(load_fisher(tmp_path / "fisher.safetensors")["a"], fisher["a"])
    with pytest.raises(SynthesisError, match="no Fisher"):
        load_fisher(tmp_path / "none.safetensors")


# Two tasks: a small velocity network learns one law per condition, one after the other.


class TinyVelocity(nn.Module):
    """v(x, t, c) of points in the plane under one of two conditions."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(5, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2)
        )

    def forward(self, x, t, c):
        return self.layers(torch.cat([x, t[:, None], nn.functional.one_hot(c, 2)], 1))


def task(c, count, generator):
    """Condition, and points of its law: around (2, 0) or around (-1, 1.5)."""
    mean = torch.tensor([[2.0, 0.0], [-1.0, 1.5]])[c]
    return torch.full((count,), c), mean + 0.3 * torch.randn((count, 2), generator=generator)


def flow_loss(network, c, count, generator):
    condition, x_1 = task(c, count, generator)
    n, t = torch.randn((count, 2), generator=generator), torch.rand(count, generator=generator)
    return ((network(interpolate(n, x_1, t), t, condition) - (x_1 - n)) ** 2).mean()


def learn(network, c, steps, extra=None):
    generator = seeded(10 + c)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = flow_loss(network, c, 128, generator)
        (loss if extra is None else loss + extra(network)).backward()
        optimiser.step()
    return network


def excess(network, c):
    """Flow loss on a task above the least possible: E tr Var[x_1 - n | x_t] / 2."""
    with torch.no_grad():
        t = torch.rand(20_000, generator=seeded(99))
        least = (0.3**2 / ((1 - t) ** 2 + t**2 * 0.3**2)).mean()
        return (flow_loss(network, c, 20_000, seeded(99)) - least).item()


@pytest.fixture(scope="module")
def first_task():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return learn(TinyVelocity(), 0, 600)


@pytest.mark.parametrize("kind", ["label_free", "per_sample"])
def test_plain_fine_tuning_forgets_the_first_task_and_consolidation_does_not(first_task, kind):
    anchor = {name: w.detach().clone() for name, w in first_task.named_parameters()}
    generator = seeded(5)
    if kind == "label_free":

        def output():
            condition, x_1 = task(0, 256, generator)
            n, t = torch.randn((256, 2), generator=generator), torch.rand(256, generator=generator)
            return first_task(interpolate(n, x_1, t), t, condition)

        fisher = fisher_label_free(first_task, [output] * 20, seeded(6))
    else:
        losses = [lambda: flow_loss(first_task, 0, 1, generator)] * 500
        fisher = fisher_per_sample(first_task, losses)
    plain = learn(copy.deepcopy(first_task), 1, 400)
    held = learn(copy.deepcopy(first_task), 1, 400, lambda net: 1000 * penalty(net, anchor, fisher))
    before, untaught = excess(first_task, 0), excess(first_task, 1)
    assert before < 0.1
    assert excess(plain, 0) > 100 * before  # forgets
    assert excess(held, 0) < excess(plain, 0) / 15  # does not
    assert excess(held, 1) < untaught / 50  # and learns


# The objective, as the training loop calls it.


def test_the_objective_is_the_flow_and_the_penalty(small_recipe, phantom_folder, tmp_path):
    network = UNet(small_recipe.backbone)
    origin = copy.deepcopy(network)
    recipe, shards = small_recipe, PhantomShards(phantom_folder)
    batch = batch_at(shards, recipe.normalisation, recipe.mask_dropout, size=2, seed=0, step=0)
    fisher = {name: torch.ones_like(w) for name, w in network.named_parameters()}
    save_fisher(tmp_path / "fisher.safetensors", fisher)
    settings = EwcSettings(fisher=str(tmp_path / "fisher.safetensors"), strength=3.0)
    with torch.no_grad():
        network.conv_out.bias += 0.5
        plain = OBJECTIVES["flow"](network, batch, settings, seeded(1))
        whole = OBJECTIVES["ewc"](network, batch, settings, seeded(1), RunState(origin=origin))
    moved = 0.5**2 * network.conv_out.bias.numel()
    assert (whole - plain).item() == pytest.approx(3.0 * moved / 2, rel=1e-4)
    with pytest.raises(ValueError, match="origin"):
        OBJECTIVES["ewc"](network, batch, settings, seeded(1), RunState())


def test_the_fisher_of_a_network_is_found_on_phantoms_and_holds_it(small_recipe, phantom_folder):
    """As many samples as asked, every tensor known, and the same again from the same seed."""
    network = UNet(small_recipe.backbone)
    shards = PhantomShards(phantom_folder)
    first, again = (
        fisher_label_free(network, outputs(network, small_recipe, shards, 16, 3), seeded(4)) for _ in range(2)
    )
    assert set(first) == {name for name, _ in network.named_parameters()}
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert ranked(first)[0].startswith("conv_out.bias")
    assert len(list(outputs(network, small_recipe, shards, 16, 3))) == 2


@pytest.mark.parametrize("selection", ["", "unfreeze_top", "freeze_top"])
def test_a_run_holds_what_it_began_from(small_recipe, phantom_folder, tmp_path, selection):
    """Trained twice from one model, with a strong and without a hold; a selection freezes the rest."""
    plain = replace(small_recipe, steps=6, checkpoint_every=6)
    train(plain, phantom_folder, tmp_path / "first")
    base = tmp_path / "base"
    export(plain, tmp_path / "first", phantom_folder, base)
    before = load_model(base).network
    fisher = {name: torch.ones_like(w) for name, w in before.named_parameters()}
    fisher["conv_out.weight"] *= 10
    save_fisher(tmp_path / "fisher.safetensors", fisher)
    moved = []
    for strength in (0.0, 1000.0):
        objective = EwcSettings(
            fisher=str(tmp_path / "fisher.safetensors"), strength=strength, selection=selection, share=0.01
        )
        recipe = replace(plain, objective=objective, init_from=str(base))
        folder = tmp_path / f"held-{strength}"
        train(recipe, phantom_folder, folder)
        after = torch.load(folder / CHECKPOINT, weights_only=True)["network"]
        steps = {name: (after[name] - w).abs().max().item() for name, w in before.named_parameters()}
        trained = {name for name, step in steps.items() if step > 0}
        if selection == "unfreeze_top":
            assert trained == {"conv_out.weight"}
        else:
            assert ("conv_out.weight" in trained) == (selection == "")
        moved.append(sum(steps.values()))
    assert moved[1] < moved[0]
