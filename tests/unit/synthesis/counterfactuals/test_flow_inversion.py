"""Inversion and regeneration against the closed forms of the Gaussian flow."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from synthesis.counterfactuals.flow_inversion import (
    Options,
    beside_unchanged,
    edit_times,
    flow_inversion,
    way_back,
    way_forth,
)
from synthesis.drift import Drift
from synthesis.editing import Edit, unchanged
from synthesis.errors import SynthesisError
from synthesis.inversion import invert


def gaussian(mean, std):
    """The exact velocity from N(0, 1) to N(mean, std^2)."""

    def velocity(x, t):
        s = (1 - t) ** 2 + (t * std) ** 2
        return mean + (t * std**2 - (1 - t)) / s * (x - t * mean)

    return velocity


def coupled(mean, std):
    """The same with every pixel pulled towards its neighbour."""
    own = gaussian(mean, std)
    return lambda x, t: own(x, t) + 0.5 * torch.tanh(x.roll(1, -1) - x)


def an_edit(x, before, after, region=None, **more):
    region = torch.ones(x.shape[0], 1, *x.shape[2:], dtype=x.dtype) if region is None else region
    return Edit(x=x, before=gaussian(*before), after=gaussian(*after), region=region, **more)


def draws(mean, std, *shape):
    generator = torch.Generator().manual_seed(11)
    return mean + std * torch.randn(*shape, generator=generator, dtype=torch.float64)


FINE = {"steps": 200, "strength": 1.0, "tolerance": 1e-9}


def test_the_new_law_is_reached_by_the_monotone_map():
    x = draws(0.7, 0.5, 2, 1, 4, 4)
    found = flow_inversion(an_edit(x, (0.7, 0.5), (-0.2, 0.25)), options=Options(**FINE))
    torch.testing.assert_close(found, -0.2 + 0.5 * (x - 0.7), rtol=0, atol=4e-3)


@pytest.mark.parametrize("contrast", [0.0, 1.0, 1.5, 2.0])
def test_a_contrast_of_g_scales_by_the_gth_power_of_the_ratio_of_spreads(contrast):
    x = draws(0.3, 0.5, 2, 1, 4, 4)
    edit = an_edit(x, (0.3, 0.5), (0.3, 0.25))
    found = flow_inversion(edit, options=Options(**FINE, contrast=contrast))
    torch.testing.assert_close(found, 0.3 + 0.5**contrast * (x - 0.3), rtol=0, atol=4e-3)


@pytest.mark.parametrize("contrast", [1.0, 1.5, 2.0])
def test_beside_other_changes_the_contrast_is_that_of_the_severity_alone(contrast):
    """N(0.7, 0.5^2) to N(-0.2, 0.25^2) by way of N(-0.2, 0.5^2): -0.2 + (0.25 / 0.5)^g (x - 0.7)."""
    x = draws(0.7, 0.5, 2, 1, 8, 8)
    edit = an_edit(x, (0.7, 0.5), (-0.2, 0.25), between=gaussian(-0.2, 0.5))
    found = flow_inversion(edit, options=Options(**FINE, contrast=contrast))
    torch.testing.assert_close(found, -0.2 + 0.5**contrast * (x - 0.7), rtol=0, atol=4e-3)
    without = flow_inversion(replace(edit, between=None), options=Options(**FINE, contrast=contrast))
    assert torch.allclose(found, without, rtol=0, atol=4e-3) == (contrast == 1.0)


def test_beside_the_change_one_way_back_also_brings_the_image_itself():
    x = draws(0.7, 0.5, 2, 1, 4, 4)
    edit, seen, alone = an_edit(x, (0.7, 0.5), (-0.2, 0.25)), [], []
    options = Options(**FINE)
    changed, still = beside_unchanged(
        edit, unchanged(edit), options=options, on_step=seen.append, on_still=alone.append
    )
    assert torch.equal(changed, flow_inversion(edit, options=options))
    torch.testing.assert_close(still, x, rtol=0, atol=1e-6)
    assert [one.step for one in seen] == list(range(1, 401))
    assert [one.step for one in alone] == list(range(1, 201))
    assert {one.steps for one in alone} == {200}
    nothing = beside_unchanged(edit, unchanged(edit), options=Options(strength=0.0))
    assert all(torch.equal(one, x) for one in nothing)


def test_at_contrast_2_what_was_added_is_removed_with_the_least_mean_square_error():
    """x = clean + added, both Gaussian: E[clean | x] = m + (c^2 / (c^2 + a^2)) (x - m)."""
    clean, added = draws(0.1, 0.3, 4, 1, 32, 32), torch.randn(4, 1, 32, 32, dtype=torch.float64) * 0.6
    both = (0.3**2 + 0.6**2) ** 0.5
    edit = an_edit(clean + added, (0.1, both), (0.1, 0.3))
    errors = {
        g: float((flow_inversion(edit, options=Options(**FINE, contrast=g)) - clean).square().mean())
        for g in (1.0, 1.5, 2.0, 2.5)
    }
    least = 0.3**2 * 0.6**2 / both**2
    assert errors[2.0] == pytest.approx(least, rel=0.06)
    assert min(errors, key=errors.get) == 2.0


def test_no_change_brings_the_image_back_to_within_the_tolerance():
    x = draws(0.7, 0.5, 3, 1, 8, 8).float()
    edit = an_edit(x, (0.7, 0.5), (0.7, 0.5))
    found = flow_inversion(edit, options=Options(strength=1.0, steps=8, tolerance=1e-5, contrast=1.7))
    assert float((found - x).abs().max()) < 1e-3
    assert not torch.equal(found, x)


def test_there_and_back():
    x = draws(0.7, 0.5, 3, 1, 8, 8)
    edit = an_edit(x, (0.7, 0.5), (0.0, 0.3))
    options = Options(strength=0.6, steps=12, tolerance=1e-9)
    there = flow_inversion(edit, options=options)
    again = flow_inversion(an_edit(there, (0.0, 0.3), (0.7, 0.5)), options=options)
    assert float((there - x).abs().mean()) > 0.2
    torch.testing.assert_close(again, x, rtol=0, atol=1e-6)


def test_strength_says_how_much_is_changed():
    x = draws(0.0, 0.5, 2, 1, 8, 8)
    edit = an_edit(x, (0.0, 0.5), (1.0, 0.5))
    moves = [
        float((flow_inversion(edit, options=Options(strength=s, steps=60, tolerance=1e-8)) - x).mean())
        for s in (0.0, 0.2, 0.5, 0.8, 1.0)
    ]
    assert moves[0] == 0
    assert moves == sorted(moves)
    assert moves[-1] == pytest.approx(1.0, abs=0.01)


def test_outside_the_region_the_image_stays():
    x = draws(0.0, 0.5, 2, 1, 8, 8).float()
    region = torch.zeros(2, 1, 8, 8)
    region[..., :4] = 1
    edit = an_edit(x, (0.0, 0.5), (1.0, 0.5), region)
    confined = flow_inversion(edit, options=Options(steps=8, tolerance=1e-5))
    assert float((confined - x)[..., 4:].abs().max()) < 1e-3
    assert float((confined - x)[..., :4].mean()) > 0.2
    whole = flow_inversion(edit, options=Options(steps=8, tolerance=1e-5, confined=False))
    assert float((whole - x)[..., 4:].mean()) > 0.2
    blended = flow_inversion(edit, options=Options(steps=8, tolerance=1e-5, confined=False, blend=True))
    assert torch.equal(blended[..., 4:], x[..., 4:])
    torch.testing.assert_close(blended[..., :4], whole[..., :4], rtol=0, atol=5e-3)


def test_one_way_back_serves_several_ways_forth():
    x = draws(0.0, 0.5, 2, 1, 4, 4)
    edit = an_edit(x, (0.0, 0.5), (1.0, 0.5))
    options = Options(steps=6)
    path = way_back(edit, options)
    assert [t for t, _ in path] == edit_times(6, 0.5)
    assert path[-1][1] is x
    assert torch.equal(way_forth(edit, path, options), flow_inversion(edit, options=options))


def test_variety_draws_only_the_regions_noise_anew_and_keeps_its_law():
    x = draws(0.0, 0.5, 1, 1, 64, 64).expand(2, 1, 64, 64)
    region = torch.zeros(2, 1, 64, 64, dtype=torch.float64)
    region[..., :32] = 1
    seeds = [torch.Generator().manual_seed(s) for s in (1, 2)]
    edit = an_edit(x, (0.0, 0.5), (1.0, 0.25), region, generator=seeds)
    found = flow_inversion(edit, options=Options(strength=1.0, steps=60, variety=1.0, tolerance=1e-6))
    assert float((found[0] - found[1])[..., 32:].abs().max()) < 1e-6
    inside = found[..., :32]
    assert float((inside[0] - inside[1]).std()) == pytest.approx(0.25 * 2**0.5, rel=0.05)
    assert float(inside.mean()) == pytest.approx(1.0, abs=0.03)


def test_the_drifts_wrapper_changes_nothing_and_a_moved_start_moves_the_image():
    """v_delta is exact: only `init_only` moves the law, by c delta (math.md section 4)."""
    x = draws(0.0, 0.5, 2, 1, 8, 8)
    edit = an_edit(x, (0.0, 0.5), (0.0, 0.5))
    plain = flow_inversion(edit, options=Options(**FINE))
    wrapped = flow_inversion(edit, options=Options(**FINE, drift=Drift(delta=0.2)))
    torch.testing.assert_close(wrapped, plain, rtol=0, atol=4e-3)
    moved = flow_inversion(edit, options=Options(**FINE, drift=Drift(delta=0.2, scheme="init_only")))
    torch.testing.assert_close(moved, plain + 0.5 * 0.2, rtol=0, atol=4e-3)


@pytest.mark.parametrize("blend", [False, True])
@pytest.mark.parametrize("scheme", ["noise", "prior"])
def test_the_drifts_wrapper_is_exact_where_pixels_are_coupled_and_the_image_is_put_back(scheme, blend):
    """x + (1 - t) delta runs beside x step for step, whatever the velocity and whatever is mixed into it."""
    x = draws(0.0, 0.5, 2, 1, 8, 8)
    region = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    region[..., :4] = 1
    before, after = coupled(0.0, 0.5), coupled(0.8, 0.3)
    edit = Edit(x=x, before=before, after=after, region=region)
    options = {"strength": 0.8, "steps": 6, "tolerance": 1e-9, "blend": blend, "confined": False}
    plain = flow_inversion(edit, options=Options(**options))
    found = flow_inversion(edit, options=Options(**options, drift=Drift(delta=0.4, scheme=scheme)))
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-9)
    moved = flow_inversion(edit, options=Options(**options, drift=Drift(delta=0.4, scheme="init_only")))
    assert float((moved - plain)[..., :4].abs().mean()) > 0.02
    if blend:
        assert torch.equal(found[..., 4:], x[..., 4:])
        assert torch.equal(moved[..., 4:], x[..., 4:])


def test_a_network_that_starts_later_is_not_taken_before_its_start():
    assert edit_times(2, 0.25) == pytest.approx([0.25, 1 - 0.75 * 0.2, 1.0])
    x = draws(0.0, 0.5, 1, 1, 4, 4)
    edit = an_edit(x, (0.0, 0.5), (1.0, 0.5), start=0.25)
    seen = []
    flow_inversion(edit, options=Options(strength=1.0, steps=4), on_step=lambda s: seen.append(s.t))
    assert min(seen) == 0.25
    with pytest.raises(ValueError, match="0 <= begin < 1"):
        edit_times(4, 1.0)


def test_a_flow_too_stiff_for_its_steps_is_followed_in_halves_and_comes_back():
    spreads = torch.logspace(-1.7, 0, 64, dtype=torch.float64).reshape(8, 8)
    x = draws(0.2, spreads, 2, 1, 8, 8)
    edit = an_edit(x, (0.2, spreads), (0.2, spreads))
    with pytest.raises(SynthesisError, match="More steps"):
        invert(edit.before, x, edit_times(2, 0.0), tolerance=1e-8)
    options = Options(strength=1.0, steps=2, tolerance=1e-8)
    path = way_back(edit, options)
    times = [t for t, _ in path]
    assert len(times) > 3
    assert set(edit_times(2, 0.0)) < set(times)
    assert times == sorted(times)
    seen = []
    found = flow_inversion(edit, options=options, on_step=lambda s: seen.append(s.step))
    assert seen == [1, 2, 3, 4]
    torch.testing.assert_close(found, x, rtol=0, atol=1e-5)
