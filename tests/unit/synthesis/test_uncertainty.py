"""Posterior variances against Gaussians and mixtures whose posterior is known in closed form."""

import json

import numpy as np
import pytest
import torch

from synthesis.checkpoints import load_model
from synthesis.errors import Cancelled, SynthesisError
from synthesis.footprint import SEQUENTIAL, STAGED
from synthesis.imaging.uncertainty import Options, UncertaintyMap, packed, refusal, unpacked
from synthesis.phantoms import abdomen
from synthesis.placement import Placement, place
from synthesis.request import Condition
from synthesis.uncertainty import posterior_variance, push_in, uncertainty_map
from tests.factories_models import tiny_model
from tests.unit.synthesis.oracles import gaussian, printed_mixture
from training.calibrate_uncertainty import compared

T = 0.45


def estimate_of(law, t):
    """A law over vectors as an estimate over states [B, 1, 1, d]."""

    def estimate(x):
        time = torch.tensor(t, dtype=x.dtype)
        v = law.velocity(x.flatten(1), time).reshape(x.shape)
        return x + (1 - t) * v

    return estimate


def exact(estimate, x, t):
    """The whole covariance from the definition, one row of the Jacobian at a time."""
    flat = lambda y: estimate(y.reshape(x.shape)).flatten()  # noqa: E731
    return (1 - t) ** 2 / t * torch.autograd.functional.jacobian(flat, x.flatten())


def test_the_covariance_of_the_printed_mixture():
    """math.md section 2: Cov at x = (.3, -.2), t = .45."""
    x = torch.tensor([[[[0.3, -0.2]]]], dtype=torch.float64)
    estimate = estimate_of(printed_mixture(), T)
    torch.testing.assert_close(
        exact(estimate, x, T),
        torch.tensor([[1.19236879, 0.64128829], [0.64128829, 1.5150839]], dtype=torch.float64),
        atol=1e-6, rtol=0,
    )  # fmt: skip
    # A lattice of two asks each coordinate alone, so nothing is left to chance.
    found = posterior_variance(estimate, x, T, spacing=2).flatten()
    torch.testing.assert_close(found, torch.tensor([1.19236879, 1.5150839]).to(found), atol=1e-6, rtol=0)


def test_plain_probes_scatter_about_the_same_values():
    x = torch.tensor([[[[0.3, -0.2]]]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    estimate = estimate_of(printed_mixture(), T)
    draws = torch.stack(
        [posterior_variance(estimate, x, T, generator=generator).flatten() for _ in range(400)]
    )
    # z (J^T z) = J_ii + z_i z_j J_ij: each draw is off by the other entry, one way or the other
    torch.testing.assert_close(
        draws.mean(0), torch.tensor([1.19236879, 1.5150839]).to(draws), atol=4 * 0.64128829 / 20, rtol=0
    )
    torch.testing.assert_close(draws.std(0), torch.tensor([0.64128829] * 2).to(draws), rtol=0.02, atol=0)


@pytest.mark.parametrize("t", [0.2, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("std", [0.2, 1.0])
def test_a_gaussian_has_its_variance_everywhere(t, std):
    """Var[x_1 | x_t] = c^2 (1-t)^2 / S_t whatever x_t is; its Jacobian is diagonal, so probes are exact."""
    x = torch.randn((1, 1, 4, 6), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = std**2 * (1 - t) ** 2 / ((1 - t) ** 2 + t**2 * std**2)
    for spacing in (1, 3):
        found = posterior_variance(estimate_of(gaussian(0.7, std, 24), t), x, t, spacing=spacing)
        torch.testing.assert_close(found, torch.full_like(found, expected), rtol=1e-4, atol=1e-7)


def neighbours(t, std=1.0, alike=0.8, side=12):
    """A Gaussian law on images whose pixels go with their neighbours: estimate, and its exact variances."""
    place = torch.arange(side, dtype=torch.float64)
    line = alike ** (place[:, None] - place[None]).abs()
    covariance = std**2 * torch.kron(line, line)
    gain = (
        t
        * covariance
        @ torch.linalg.inv((1 - t) ** 2 * torch.eye(side**2, dtype=torch.float64) + t**2 * covariance)
    )
    posterior = covariance - t * gain @ covariance

    def estimate(x):
        return (x.double().flatten(1) @ gain.T).reshape(x.shape).to(x.dtype)

    return estimate, posterior.diagonal().reshape(side, side)


def test_a_lattice_beats_plain_probes_of_the_same_cost():
    estimate, truth = neighbours(0.7)
    x = torch.zeros((1, 1, 12, 12), dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)

    def error(found):
        return ((found[0, 0] - truth) ** 2).mean().sqrt() / truth.mean()

    lattice = error(posterior_variance(estimate, x, 0.7, spacing=4, generator=generator))
    plain = error(
        torch.stack([posterior_variance(estimate, x, 0.7, generator=generator) for _ in range(16)]).mean(0)
    )
    assert lattice < 0.6 * plain
    assert lattice < 0.1


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-3), (torch.bfloat16, 0.01)])
def test_a_decoder_carries_the_variances_to_its_pixels(dtype, error):
    """diag(G Cov G^T) for a linear decoder that doubles the side, with states in its own type."""
    estimate, _ = neighbours(0.6, side=4)
    generator = torch.Generator().manual_seed(5)
    mixing = torch.randn((64, 16), generator=generator, dtype=torch.float64)

    def decode(x):
        return (x.to(dtype).double().flatten(1) @ mixing.T).reshape(-1, 1, 8, 8)

    x = torch.randn((1, 1, 4, 4), generator=generator, dtype=torch.float64)
    expected = (mixing @ exact(estimate, x, 0.6) @ mixing.T).diagonal().reshape(8, 8)
    push = push_in(dtype)
    found = posterior_variance(estimate, x, 0.6, spacing=8, decode=decode, push=push)  # every pixel alone
    apart = (found[0, 0] - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert apart < error


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(tiny_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def phantom():
    return abdomen(3, shape=(64, 64), modality="CT")


FEW = Options(t=0.7, rounds=2, spacing=2)


def test_a_map_is_repeatable_and_counts_its_probes(model, phantom):
    told = []
    maps = [
        uncertainty_map(
            model, phantom.image, phantom.labels, Condition(modality="CT"), seed=seed, options=FEW,
            on_probe=lambda done, total: told.append((done, total)),
        )
        for seed in (4, 4, 5)
    ]  # fmt: skip
    assert np.array_equal(maps[0].std, maps[1].std)
    assert not np.array_equal(maps[0].std, maps[2].std)
    assert told[:2] == [(4, 8), (8, 8)]
    assert maps[0].std.shape == (64, 64)
    assert maps[0].std.dtype == np.float32
    assert (maps[0].std >= 0).all()
    assert maps[0].probe_error > 0
    about = maps[0].about()
    assert json.loads(json.dumps(about)) == about
    assert about["probes"] == 8


def test_cancelling_ends_the_map(model, phantom):
    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        uncertainty_map(
            model, phantom.image, phantom.labels, Condition(modality="CT"), seed=4, options=FEW, on_probe=stop
        )


def test_real_units_follow_the_bent_scale(model, phantom):
    """CT beyond 300 HU has four times as many HU per unit of the scale: the map widens with it."""
    condition = Condition(modality="CT")
    soft, hard = (
        uncertainty_map(
            model, np.full((64, 64), value, np.float32), phantom.labels, condition, seed=1, options=FEW
        )
        for value in (0.0, 900.0)
    )
    scale = model.normalisation["CT"]
    widths = [
        (float(scale.inverse(scale.forward(v) + 0.1)) - float(scale.inverse(scale.forward(v) - 0.1))) / 0.2
        for v in (0.0, 900.0)
    ]
    assert soft.std.max() > 0
    assert widths[1] > 2 * widths[0]
    assert hard.std.max() > 1.5 * soft.std.max()


def test_medians_and_guidance_are_refused_in_a_sentence(model, phantom):
    assert refusal({}, guidance=1.0) is None
    assert "guidance 1 only" in refusal({}, guidance=2.0)
    medians = {"training": {"objective": {"power": 1}}}
    assert "medians" in refusal(medians, guidance=1.0)
    assert refusal({"training": {"objective": {"power": 2}}}, guidance=1.0) is None
    model.recipe["training"] = medians["training"]
    try:
        with pytest.raises(SynthesisError, match="medians"):
            uncertainty_map(model, phantom.image, phantom.labels, Condition(modality="CT"), seed=0)
    finally:
        del model.recipe["training"]


@pytest.mark.parametrize("plan", [STAGED, SEQUENTIAL])
def test_weights_that_leave_after_their_call_are_refused_in_a_sentence(phantom, tmp_path, plan):
    model = load_model(tiny_model(tmp_path))
    place(model.network, Placement(device=torch.device("cpu"), dtype=torch.float32, plan=plan))
    with pytest.raises(SynthesisError, match="too large to lie on this device whole"):
        uncertainty_map(model, phantom.image, phantom.labels, Condition(modality="CT"), seed=0, options=FEW)


def test_a_map_survives_being_kept():
    std = np.random.default_rng(0).gamma(2, 20, (30, 40)).astype(np.float32)
    values, scale = packed(std)
    assert np.abs(unpacked(values, scale, (30, 40)) - std).max() <= scale
    nothing = np.zeros((3, 4), np.float32)
    assert np.array_equal(unpacked(*packed(nothing), (3, 4)), nothing)


def test_errors_drawn_from_the_deviations_are_calibrated():
    rng = np.random.default_rng(0)
    stds = rng.gamma(4, 10, 200_000)
    figures = compared(rng.standard_normal(200_000) * stds, stds)
    assert figures["within_1"] == pytest.approx(0.683, abs=0.005)
    assert figures["within_2"] == pytest.approx(0.954, abs=0.005)
    assert figures["error_over_std"] == pytest.approx(1, abs=0.01)
    assert figures["z_std"] == pytest.approx(1, abs=0.01)
    for std, error in figures["tenths"]:
        assert error == pytest.approx(std, rel=0.05)
    assert compared(3 * stds, stds)["within_2"] == 0


def test_options_say_what_is_wrong():
    assert Options().probes == Options().rounds * Options().spacing ** 2
    for wrong in ({"t": 0.0}, {"t": 1.0}, {"rounds": 0}, {"spacing": 0}):
        with pytest.raises(ValueError):
            Options(**wrong)
    one = UncertaintyMap(std=np.ones((2, 2), np.float32), t=0.5, probes=1, probe_error=None, below_zero=0)
    assert (one.about()["mean"], one.about()["probe_error"]) == (1.0, None)
