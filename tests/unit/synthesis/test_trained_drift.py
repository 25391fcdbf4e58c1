"""A network that was trained with a drift is run as the ordinary flow that is left of it: exactly."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from diffusers import DDIMScheduler

from synthesis.catalog import SAMPLERS
from synthesis.checkpoints import load_model, save_model
from synthesis.counterfactuals.flow_inversion import Options, flow_inversion, way_back
from synthesis.drift import Drift, TrainedDrift, first_state, trained_drift
from synthesis.editing import Edit
from synthesis.errors import SynthesisError
from synthesis.generate import generate
from synthesis.networks import Network
from synthesis.networks import first_state as network_start
from synthesis.samplers.ddim import ddim
from synthesis.stepping import uniform_times
from synthesis.variance_preserving import NoiseSchedule, alpha_bar, scale
from tests.unit.synthesis.oracles import printed_mixture
from tests.unit.synthesis.test_generate import request
from tests.unit.synthesis.tiny_backbones import network_of, tiny_latent_model, tiny_pipeline
from tests.unit.synthesis.tiny_model import tiny_model, tiny_recipe
from tests.unit.synthesis.tiny_pipelines import STABLE_DIFFUSION

DELTA = (0.4, -0.7)
BOTH = pytest.mark.parametrize("scheme", ["noise", "prior"])


class Law(Network):
    """The best network there is for the printed mixture under a drift: states [B, 2]."""

    name = "law"

    def __init__(self, drift: TrainedDrift | None, *, preserving: bool = False, begins: float = 0.0) -> None:
        super().__init__()
        self.trained, self._preserving, self._begins = drift or TrainedDrift(), preserving, begins
        self.seen: list[torch.Tensor] = []

    @property
    def preserves_variance(self) -> bool:
        return self._preserving

    @property
    def start(self) -> float:
        return self._begins

    def forward(self, x_t: torch.Tensor, t: torch.Tensor, *condition: torch.Tensor) -> torch.Tensor:
        """E[x_1 - n | x_t], x_t = t x_1 + (1 - t) e + mu: the plain law's at x_t - mu, less mu / (1 - t)."""
        self.seen.append(x_t)
        delta, t = torch.tensor(self.trained.delta, dtype=x_t.dtype), torch.as_tensor(t, dtype=x_t.dtype)
        mu = (1 - t) * delta
        if self.trained.scheme == "prior" and self._preserving:
            mu = (scale(float(t)) - t) * delta
        return printed_mixture().velocity(x_t - mu, t) - mu / (1 - t)


# What the option says.


def test_the_noise_of_a_path_lies_around_k_delta():
    x = torch.zeros(2, 3, 4, 4)
    t = torch.tensor([0.1, 0.8])
    one = TrainedDrift(delta=0.3).noise_mean(x, t, preserving=True)
    assert torch.equal(one, torch.tensor(0.3))
    several = TrainedDrift(delta=(0.1, 0.0, -2.0), scheme="prior")
    assert torch.equal(several.noise_mean(x, t, preserving=False).flatten(), torch.tensor([0.1, 0.0, -2.0]))
    found = several.noise_mean(x, t, preserving=True)
    assert found.shape == (2, 3, 1, 1)
    for item, time in enumerate(t.tolist()):
        a = alpha_bar(time)
        mu = Drift(delta=1.0, scheme="prior").mean(a)
        assert found[item].flatten().tolist() == pytest.approx(
            [c * mu / sqrt(1 - a) for c in (0.1, 0.0, -2.0)]
        )
    assert float(several.noise_mean(x, torch.ones(2), preserving=True).abs().max()) == 0


def test_what_a_recipe_may_say():
    assert trained_drift({}) is None
    assert trained_drift({"drift": None}) is None
    assert trained_drift({"drift": {"delta": 0.0}}) is None
    assert trained_drift({"drift": {"delta": [0, 0.0]}}) is None
    one = trained_drift({"drift": {"delta": [0.1, 0], "scheme": "prior"}})
    assert one == TrainedDrift(delta=(0.1, 0.0), scheme="prior")
    assert trained_drift({"drift": one.to_json()}) == one
    for told in (
        {"delta": "0.1"}, {"delta": True}, {"delta": [float("nan")]}, {"delta": []}, {"delta": 1, "at": 2},
        {"delta": 0.1, "scheme": "init_only"}, {"delta": 0.1, "scheme": "literal"}, 0.1,
    ):  # fmt: skip
        with pytest.raises(ValueError, match="drift: expected"):
            trained_drift({"drift": told})


# Sampling: exact, whatever the sampler does.


@BOTH
@pytest.mark.parametrize("preserving", [False, True])
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_draws_what_it_draws_without_the_drift(name, preserving, scheme):
    times = uniform_times(SAMPLERS[name].steps or 6)
    if preserving:
        times = [0.064 + (1 - 0.064) * t for t in times[:-1]] + [1.0]
    noise = torch.randn(16, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    images = []
    for drift in (None, TrainedDrift(delta=DELTA, scheme=scheme)):
        network = Law(drift, preserving=preserving, begins=times[0])
        network.use_drift(drift)
        x = network_start(network, noise)
        generator = torch.Generator().manual_seed(2)
        images.append(SAMPLERS[name].load()(network, x, times, generator=generator))
        seen = network.seen[0] / (scale(times[0]) if preserving else 1)
        wanted = first_state(noise, alpha_bar(times[0]), Drift(scheme=scheme, delta=torch.tensor(DELTA)))
        if drift and preserving:  # what the network sees at the start is the drifted start of the VP chain
            torch.testing.assert_close(seen, wanted, rtol=0, atol=1e-6)
        elif drift:  # N(delta, I)
            torch.testing.assert_close(seen, noise + torch.tensor(DELTA), rtol=0, atol=1e-6)
    torch.testing.assert_close(images[1], images[0], rtol=0, atol=1e-5)


@BOTH
def test_no_drift_is_bit_for_bit_the_plain_network(scheme):
    model = tiny_model()
    wanted = generate(model, request(count=1)).pixel_sha256
    model.network.use_drift(TrainedDrift(delta=0.0, scheme=scheme))
    assert model.network.drift is None
    assert generate(model, request(count=1)).pixel_sha256 == wanted
    model.network.use_drift(TrainedDrift(delta=0.3, scheme=scheme))
    assert generate(model, request(count=1)).pixel_sha256 != wanted


@BOTH
def test_stable_diffusion_draws_what_diffusers_draws_from_shifted_latents(scheme):
    """DDIM of diffusers on the raw network from noise + mu(A_T), moved after every step from A_a to A_b by

        mu(A_b) - sqrt((1 - A_b) / (1 - A_a)) mu(A_a),

    which is 0 for mu = sqrt(1 - A) delta; and ours, which knows of no shift.
    """
    network = network_of("stable_diffusion", tiny_pipeline("stable_diffusion"))
    delta = torch.tensor([0.2, -0.1, 0.0, 0.4])
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    model = tiny_latent_model("stable_diffusion", network)
    labels = request(count=1).labels
    told = network.condition(labels[None], [request().condition])

    scheduler = DDIMScheduler(
        **STABLE_DIFFUSION, clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(10)
    shift = delta.reshape(1, 4, 1, 1)
    alphas = [float(scheduler.alphas_cumprod[step]) for step in scheduler.timesteps] + [1.0]
    share = {"noise": lambda a: sqrt(1 - a), "prior": lambda a: 1 - sqrt(a)}[scheme]
    y = noise + share(alphas[0]) * shift
    tokens = told.tokens + network.ordinal(told.level)[:, None]
    with torch.no_grad():
        for step, now, following in zip(scheduler.timesteps, alphas, alphas[1:], strict=False):
            answer = network.unet(y, step, encoder_hidden_states=tokens).sample
            y = scheduler.step(answer, step, y).prev_sample
            if scheme == "prior":
                y = y + (share(following) - sqrt((1 - following) / (1 - now)) * share(now)) * shift

        network.use_drift(TrainedDrift(delta=tuple(delta.tolist()), scheme=scheme))
        times = NoiseSchedule.of().grid(10, "trailing")
        made = ddim(lambda x, t: model.network(x, t.expand(1), *told), network_start(network, noise), times)
    network.use_drift(None)
    torch.testing.assert_close(made, y, rtol=0, atol=2e-4)
    assert (made - y).abs().max() < 1e-3 < y.abs().max()


# Editing: the way back ends where the ordinary noise lies, and the same way leads forth.


@BOTH
@pytest.mark.parametrize("preserving", [False, True])
def test_an_image_goes_back_to_ordinary_noise_and_comes_back(scheme, preserving):
    drift = TrainedDrift(delta=DELTA, scheme=scheme)
    network = Law(drift, preserving=preserving, begins=0.064 if preserving else 0.0)
    network.use_drift(drift)
    x = printed_mixture().draw(2000, torch.Generator().manual_seed(4))
    region = torch.ones(len(x), 1)
    edit = Edit(x=x, before=network, after=network, region=region, start=network.start)
    options = Options(strength=1.0, steps=40, tolerance=1e-4)
    _, begun = way_back(edit, options)[0]
    assert begun.mean(0).abs().max() < 0.12  # around 0, not around delta
    back = flow_inversion(edit, options=options)
    assert (back - x).abs().mean() < 1e-3
    plain = Law(None, preserving=preserving, begins=network.start)
    other = Edit(x=x, before=plain, after=plain, region=region, start=plain.start)
    torch.testing.assert_close(begun, way_back(other, options)[0][1], rtol=0, atol=1e-5)
    torch.testing.assert_close(back, flow_inversion(other, options=options), rtol=0, atol=1e-5)


# From file.


def test_a_model_carries_its_drift(tmp_path):
    model = tiny_model()
    save_model(tmp_path / "with", model.network, tiny_recipe() | {"drift": {"delta": 0.2, "scheme": "prior"}})
    save_model(tmp_path / "without", model.network, tiny_recipe())
    with_it, without = load_model(tmp_path / "with"), load_model(tmp_path / "without")
    assert with_it.network.drift == TrainedDrift(delta=0.2, scheme="prior")
    assert without.network.drift is None
    first, second = (generate(one, request(count=1)) for one in (with_it, without))
    assert first.pixel_sha256 != second.pixel_sha256
    without.network.use_drift(with_it.network.drift)
    assert generate(without, request(count=1)).pixel_sha256 == first.pixel_sha256


def test_a_drift_that_makes_no_sense_is_refused_in_a_sentence(tmp_path):
    model = tiny_model()
    for number, told in enumerate(({"delta": "much"}, {"delta": [0.1, 0.2]}, {"shift": 1}, [0.1])):
        save_model(tmp_path / str(number), model.network, tiny_recipe() | {"drift": told})
        with pytest.raises(SynthesisError, match="The drift in the model's recipe makes no sense"):
            load_model(tmp_path / str(number))
