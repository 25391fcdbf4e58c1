"""What every counterfactual method keeps, whatever it does: parametrised over the catalog."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from synthesis.catalog import COUNTERFACTUALS
from synthesis.editing import Edit, Instructions
from synthesis.errors import Cancelled
from tests.unit.synthesis.tiny_backbones import tiny_network
from tests.unit.synthesis.tiny_edits import told_edit


class Towards:
    """A reader that wants the mean of a state's first row to be 1."""

    def loss(self, x, index):
        return (x[0, :, 0].mean() - 1) ** 2 / 2

    def probability(self, x):
        return torch.exp(-((x[:, :, 0].mean((1, 2)) - 1) ** 2))


def to_mean(mean):
    """The exact velocity from N(0, 1) to N(mean, 0.5^2)."""

    def velocity(x, t):
        s = (1 - t) ** 2 + (t * 0.5) ** 2
        return mean + (t * 0.25 - (1 - t)) / s * (x - t * mean)

    return velocity


def shown(mean):
    """The exact velocity of a network that is shown an image and adds `mean` to it; alone, `to_mean`."""

    def velocity(x, t, image):
        return to_mean(mean)(x, t) if image is None else (image + mean - x) / (1 - t)

    return velocity


INSTRUCTIONS = Instructions(
    before=shown(0.0),
    after=shown(1.0),
    untold=shown(0.5),
    times=lambda steps, sampler: [k / steps for k in range(steps + 1)],
    kappa=lambda steps: 0.1,
)


# Methods that take their velocities from the network itself, and options for one of random weights, in
# which every pixel depends on every other.
LOOKING_INSIDE = {"pix2pix_zero": {"strength": 0.4, "steps": 2, "contrast": 20.0, "blend": True}}


def seeded(count):
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def an_edit(name, batch=3, after=1.0):
    """The upper half to be changed by the exact flows of two Gaussians, or by a real network's own."""
    if name in LOOKING_INSIDE:
        return told_edit(tiny_network("stable_diffusion"), batch=batch)
    generator = torch.Generator().manual_seed(5)
    x = 0.5 * torch.randn(batch, 2, 6, 6, generator=generator)
    region = torch.zeros(batch, 1, 6, 6)
    region[:, :, :3] = 1
    return Edit(
        x=x,
        before=to_mean(0.0),
        after=to_mean(after),
        region=region,
        outcome=Towards(),
        generator=seeded(batch),
        instructions=INSTRUCTIONS,
    )


def ready(name, **values):
    entry = COUNTERFACTUALS[name]
    return entry.load(), entry.load_options()(**LOOKING_INSIDE.get(name, {}) | values)


ZERO = {
    "flow_inversion": {"strength": 0.0},
    "guided": {"weight": 0.0},
    "pix2pix_zero": {"strength": 0.0},
    "instruct_pix2pix": {"strength": 0.0},
}


def test_every_method_says_how_it_is_switched_off():
    assert set(ZERO) == set(COUNTERFACTUALS)


@pytest.mark.parametrize("name", COUNTERFACTUALS)
def test_shape_type_and_repetition(name):
    method, options = ready(name)
    edit = an_edit(name)
    first = method(edit, options=options)
    assert first.shape == edit.x.shape
    assert first.dtype == torch.float32
    assert torch.equal(first, method(an_edit(name), options=options))
    assert not torch.allclose(first, edit.x, atol=1e-2)


@pytest.mark.parametrize("name", COUNTERFACTUALS)
def test_nothing_asked_leaves_the_image_bit_for_bit(name):
    method, options = ready(name, **ZERO[name])
    edit = an_edit(name)
    assert torch.equal(method(edit, options=options), edit.x)


@pytest.mark.parametrize("name", COUNTERFACTUALS)
def test_an_item_does_not_depend_on_its_batch(name):
    method, options = ready(name)
    together = method(an_edit(name, 3), options=options)
    edit = an_edit(name, 3)
    one = replace(
        edit,
        **{part: getattr(edit, part)[:1] for part in ("x", "region", "said", "said_after")},
        told=tuple(part[:1] for part in edit.told),
        told_after=tuple(part[:1] for part in edit.told_after),
        generator=seeded(1),
    )
    alone = method(one, options=options)
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", COUNTERFACTUALS)
def test_outside_the_region_little_or_nothing_happens(name):
    method, options = ready(name)
    edit = an_edit(name)
    moved = (method(edit, options=options) - edit.x).abs()
    outside = (edit.region == 0).expand_as(moved)
    assert float(moved[outside].max()) < 0.02
    assert float(moved[~outside].max()) > 0.1


@pytest.mark.parametrize("name", COUNTERFACTUALS)
def test_progress_counts_up_to_its_end(name):
    method, options = ready(name)
    seen = []
    edit = an_edit(name)
    method(edit, options=options, on_step=lambda s: seen.append((s.step, s.steps, s.estimate.shape)))
    steps = [step for step, _, _ in seen]
    assert steps == sorted(steps)
    assert steps[0] == 1
    assert steps[-1] == seen[-1][1]
    assert len({total for _, total, _ in seen}) == 1
    assert all(shape == edit.x.shape for _, _, shape in seen)


@pytest.mark.parametrize("name", COUNTERFACTUALS)
def test_cancelling_ends_it_at_once(name):
    method, options = ready(name)
    seen = []

    def stop(step):
        seen.append(step)
        if len(seen) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        method(an_edit(name), options=options, on_step=stop)
    assert len(seen) == 2
