"""The region-contrastive loss against its closed forms (math.md section 5)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from synthesis.control.painting import LESION, LIVER, paint, paint_arrays, without_lesions
from synthesis.phantoms import labels as names
from synthesis.request import Condition
from training.data import Batch
from training.objectives.flow import flow
from training.objectives.region_contrast import background_loss, region_contrast, roi_loss, shrink_mask
from training.recipe import RegionContrastSettings, recipe_from
from training.run_state import RunState

SETTINGS = RegionContrastSettings(region_weights={LESION: 100.0}, time_uniform=1.0)
EARLY, LATE = RunState(progress=0.1), RunState(progress=0.5)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def square(rows=16, side=4, at=6):
    region = torch.zeros(1, 1, rows, rows)
    region[..., at : at + side, at : at + side] = 1
    return region


# The parts.


def test_the_labels_are_those_of_the_phantoms():
    assert (LIVER, LESION) == (names.LIVER, names.LESION)


@pytest.mark.parametrize("distance", [0.5, 1.5, 2.0, 7.0])
def test_roi_loss_is_minus_the_smaller_of_distance_and_delta(distance):
    region = square()
    g_o = torch.randn(1, 1, 16, 16, generator=seeded())
    g_p = g_o + distance * region + 9 * (1 - region)  # what happens outside does not count
    assert float(roi_loss(g_o, g_p, region, 2.0)) == pytest.approx(-min(distance, 2.0), rel=1e-5)


@pytest.mark.parametrize(("distance", "pull"), [(0.5, True), (2.5, False)])
def test_beyond_delta_there_is_no_gradient_in_the_region(distance, pull):
    region = square()
    g_o = torch.zeros(1, 1, 16, 16, requires_grad=True)
    roi_loss(g_o, g_o.detach() + distance * region, region, 2.0).backward()
    assert (g_o.grad.abs().max() > 0) == pull
    if pull:  # d(-D)/dG_o = 1 / area, away from G_p
        torch.testing.assert_close(g_o.grad, region / 16, rtol=1e-4, atol=1e-7)


def test_channels_are_averaged_and_items_count_alike():
    small, large = square(side=1), square(side=8)
    region = torch.cat([small, large])
    g_o = torch.zeros(2, 3, 16, 16)
    g_p = torch.tensor([0.5, 1.0])[:, None, None, None] * region
    assert float(roi_loss(g_o, g_p, region, 2.0)) == pytest.approx(-0.75, rel=1e-4)


def test_an_empty_region_costs_nothing_and_stays_finite():
    g = torch.randn(2, 1, 16, 16, generator=seeded(), requires_grad=True)
    empty = torch.zeros(2, 1, 16, 16)
    loss = roi_loss(g, g.detach() + 1, empty, 2.0)
    assert float(loss.detach()) == 0
    loss.backward()
    assert torch.isfinite(g.grad).all()


def test_background_is_what_lies_outside_the_grown_region():
    region = square()
    g = torch.zeros(1, 1, 16, 16)
    grown = square(side=6, at=5)
    assert float(background_loss(g, g + 3 * grown, region)) == 0
    assert float(background_loss(g, g + 3 * square(side=8, at=4), region)) == pytest.approx(
        3 * (64 - 36) / (256 - 36)
    )
    assert float(background_loss(g, g, region)) == 0


def test_everything_lesion_leaves_no_background():
    full = torch.ones(1, 1, 8, 8)
    assert float(background_loss(full, 0 * full, full)) == 0


def test_a_lesion_of_one_pixel_survives_shrinking_by_maximum():
    """And one of sixteen would by nearest neighbour."""
    kept = near = 0
    for row in range(4):
        for column in range(4):
            mask = torch.zeros(1, 1, 16, 16)
            mask[..., 8 + row, 4 + column] = 1
            kept += int(shrink_mask(mask, (4, 4)).sum())
            near += int(torch.nn.functional.interpolate(mask, size=(4, 4), mode="nearest").sum())
    assert (kept, near) == (16, 1)
    assert torch.equal(shrink_mask(mask, (16, 16)), mask)
    with pytest.raises(ValueError, match="whole factor"):
        shrink_mask(mask, (5, 5))


# The counterfactual mask.


def masks():
    labels = np.full((2, 16, 16), names.BODY, np.uint8)
    labels[:, 2:14, 2:14] = LIVER
    labels[0, 5:8, 5:8] = LESION
    return labels


CONDITIONS = [Condition(modality="CT", severity="severe", steatosis=2, age=70.0, sex="F")] * 2


def test_without_lesions_is_painting_the_mask_in_which_they_are_liver():
    labels = masks()
    painted = paint(labels, CONDITIONS)
    healthy = paint(np.where(labels == LESION, LIVER, labels).astype(np.uint8), CONDITIONS)
    found = without_lesions(painted)
    assert torch.equal(found.planes, healthy.planes)
    assert torch.equal(found.attributes, healthy.attributes)
    assert not torch.equal(found.planes[0], painted.planes[0])
    assert torch.equal(found.planes[1], painted.planes[1])


def test_what_was_not_stated_stays_unstated():
    labels = torch.from_numpy(masks())
    unknown = torch.tensor([-1, -1])
    age = torch.full((2,), float("nan"))
    modality = torch.zeros(2, dtype=torch.long)
    painted = paint_arrays(labels, unknown, unknown, modality, unknown, age)
    assert torch.equal(
        without_lesions(painted).planes,
        paint_arrays(
            torch.where(labels == LESION, LIVER, labels), unknown, unknown, modality, unknown, age
        ).planes,
    )


# The whole.


class Answer(nn.Module):
    """A velocity of zero, plus `lift` wherever a lesion is given, plus `haze` wherever any is."""

    def __init__(self, lift=0.0, haze=0.0):
        super().__init__()
        self.lift, self.haze = nn.Parameter(torch.tensor(lift)), nn.Parameter(torch.tensor(haze))

    def forward(self, x, t, planes, attributes):
        lesion = planes[:, LESION : LESION + 1]
        return self.lift * lesion + self.haze * lesion.amax((2, 3), keepdim=True) + 0 * x


def batch():
    labels = masks()
    return Batch(
        torch.randn(2, 1, 16, 16, generator=seeded(3)),
        paint(labels, CONDITIONS),
        torch.from_numpy(labels).long(),
    )


def extra(network, state=EARLY, **settings):
    """What the contrastive part adds to the flow loss, in units of its weight."""
    chosen = replace(SETTINGS, **settings)
    strength = chosen.weight if state is EARLY else chosen.weight_late
    both = region_contrast(network, batch(), chosen, seeded(1), state)
    return float((both - flow(network, batch(), chosen, seeded(1))) / strength)


def test_at_weight_zero_it_is_the_flow_loss():
    network = Answer(1.0)
    assert torch.equal(
        region_contrast(network, batch(), replace(SETTINGS, weight=0.0), seeded(1), EARLY),
        flow(network, batch(), SETTINGS, seeded(1)),
    )


@pytest.mark.parametrize("state", [EARLY, LATE])
def test_a_lesion_that_shows_is_rewarded_in_both_halves_of_the_run(state):
    """One item of two has a lesion; it differs by 1 inside and by nothing outside: -1 / 2."""
    assert extra(Answer(1.0), state, weight=0.5, weight_late=0.25) == pytest.approx(-0.5, abs=1e-3)
    assert extra(Answer(5.0), state, weight=0.5, weight_late=0.25) == pytest.approx(-1.0, abs=1e-3)


def test_a_change_outside_the_lesion_is_punished():
    """haze 1 everywhere: rewarded in the lesion (-1 / 2), punished outside (+1 / 2)."""
    assert extra(Answer(0.0, 1.0), weight=0.5) == pytest.approx(0.0, abs=1e-3)


def test_the_released_background_compares_with_the_truth():
    """G_p = 0 there, so the background is the mean |x_1 - n| outside the grown lesion."""
    given = batch()
    n = torch.randn(given.images.shape, generator=seeded(1))
    outside = torch.ones(2, 1, 16, 16)
    outside[0, :, 4:9, 4:9] = 0
    truth = ((given.images - n).abs() * outside).sum((1, 2, 3)) / outside.sum((1, 2, 3))
    found = extra(Answer(1.0), background="released", weight=0.5)
    assert found == pytest.approx(-0.5 + float(truth.mean()), abs=1e-3)


def test_on_images_the_distance_shrinks_with_the_time_left():
    """x1_hat_o - x1_hat_p = (1 - t)(v_o - v_p)."""
    early = replace(SETTINGS, time_uniform=0.0, time_start=1.0)  # t = 0
    chosen = {"time_uniform": 0.0, "weight": 0.5}
    assert extra(Answer(1.0), on="image", time_start=early.time_start, **chosen) == pytest.approx(
        -0.5, abs=1e-3
    )
    late = extra(Answer(1.0), on="image", time_mean=1.0986, time_std=0.0, **chosen)  # t = 0.75
    assert late == pytest.approx(-0.125, abs=1e-3)


def test_the_flow_part_may_be_of_first_power():
    network = Answer(1.0)
    given = batch()
    chosen = replace(SETTINGS, weight=0.0, power=1)
    n = torch.randn(given.images.shape, generator=seeded(1))
    lesion = given.condition.planes[:, LESION : LESION + 1]
    weights = torch.where(given.labels[:, None] == LESION, 100.0, 1.0)
    expected = (weights * (lesion - (given.images - n)).abs()).sum() / weights.sum()
    found = region_contrast(network, given, chosen, seeded(1), EARLY)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_settings_are_read_from_a_recipe_and_checked():
    with pytest.raises(ValueError, match="nonsense"):
        recipe_from({"objective": {"name": "region_contrast", "on": "nonsense"}})
    with pytest.raises(ValueError, match="odd"):
        RegionContrastSettings(dilate=2)
