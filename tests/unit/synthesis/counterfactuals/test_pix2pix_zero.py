"""Edits along a direction of words on real networks of tiny size: Stable Diffusion and SDXL."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from synthesis.attention import attention_distance, watched
from synthesis.control.captions import captions_of
from synthesis.counterfactuals.pix2pix_zero import Options, attention_pull, direction, pix2pix_zero
from synthesis.drift import SCHEMES, Drift
from synthesis.editing import Edit
from synthesis.errors import SynthesisError
from synthesis.request import Condition
from tests.unit.synthesis.tiny_backbones import network_of, stir, tiny_network, tiny_pipeline
from tests.unit.synthesis.tiny_edits import NONE, SEVERE, told_edit
from tests.unit.synthesis.tiny_model import tiny_model

SHORT = {"strength": 0.3, "steps": 2, "contrast": 5.0, "confined": False}


@pytest.fixture(scope="module", params=["stable_diffusion", "sdxl"])
def network(request):
    return tiny_network(request.param)


@pytest.fixture(scope="module")
def sd():
    return tiny_network("stable_diffusion")


@pytest.fixture(scope="module")
def plain(sd):
    """The changed states without any drift."""
    return pix2pix_zero(told_edit(sd), options=Options(**SHORT))


def test_the_direction_is_the_difference_of_the_captions_means(network):
    was, will_be = captions_of(NONE), captions_of(SEVERE)
    found = direction(network, was, will_be)
    tokens = [
        torch.stack([network.encode_prompts([one]).tokens[0] for one in said]) for said in (was, will_be)
    ]
    torch.testing.assert_close(found.tokens[0], tokens[1].mean(0) - tokens[0].mean(0))
    assert float(found.tokens.abs().max()) > 0
    assert found.pooled.shape == network.read(["x"]).pooled.shape
    nothing = direction(network, was, was)
    assert not nothing.tokens.any()
    assert not nothing.pooled.any()


def test_without_a_direction_the_image_comes_back(network):
    edit = told_edit(network, after=NONE)
    found = pix2pix_zero(edit, options=Options(**SHORT))
    assert not torch.equal(found, edit.x)
    torch.testing.assert_close(found, edit.x, rtol=0, atol=2e-3)
    moved = pix2pix_zero(told_edit(network), options=Options(**SHORT))
    assert float((moved - edit.x).abs().max()) > 5 * float((found - edit.x).abs().max())


@pytest.mark.parametrize("more", [{"guidance": 3.0}, {"regularisation": 20.0}, {"drift": Drift(delta=0.3)}])
def test_without_a_direction_the_result_is_the_reconstruction(sd, more):
    """No map differs, so guidance by attention moves nothing: bit for bit as without it."""
    edit = told_edit(sd, after=NONE)
    led = pix2pix_zero(edit, options=Options(**SHORT | more, attention=50.0))
    assert torch.equal(led, pix2pix_zero(edit, options=Options(**SHORT | more, attention=0.0)))


def test_guidance_by_attention_keeps_the_network_looking_where_it_looked(sd):
    edit = told_edit(sd)

    def apart(x):
        """How far the maps of the changed image lie from those of the image, just before its end."""
        found = []
        for state, told in ((x, edit.told_after), (edit.x, edit.told)):
            with watched(sd.get_submodule("unet")) as maps, torch.no_grad():
                sd(state, torch.full((1,), 0.9), *told)
            found.append(maps)
        return attention_distance(*found)

    free, held = (pix2pix_zero(edit, options=Options(**SHORT, attention=weight)) for weight in (0.0, 10.0))
    assert not torch.equal(free, held)
    assert bool((apart(held) < apart(free)).all())


def test_a_severity_between_the_grades_moves_as_much_as_it_lies_between():
    """What is added to every token for a level is a part of the direction."""
    network = network_of("stable_diffusion", tiny_pipeline("stable_diffusion"))
    with torch.no_grad():
        network.ordinal.leave.bias.zero_()
        network.ordinal.leave.weight.normal_(generator=torch.Generator().manual_seed(1))
    levels = [Condition(modality="CT", severity_level=level) for level in (1.6, 2.0, 2.4)]
    assert len({captions_of(one) for one in levels}) == 1
    moves = [pix2pix_zero(told_edit(network, levels[0], one), options=Options(**SHORT)) for one in levels]
    assert float((moves[1] - moves[0]).abs().max()) > 1e-2
    assert float((moves[2] - moves[0]).norm()) > float((moves[1] - moves[0]).norm())


def test_a_negative_prompt_is_what_guidance_leads_away_from(sd, plain):
    edit = told_edit(sd)
    led, away = (
        pix2pix_zero(edit, options=Options(**SHORT, **more))
        for more in ({"guidance": 2.0}, {"guidance": 2.0, "negative": "severe liver cirrhosis"})
    )
    assert not torch.allclose(plain, led, atol=1e-3)
    assert not torch.allclose(led, away, atol=1e-3)


def test_only_the_region_is_led_elsewhere_and_blended_nothing_else_differs(sd, plain):
    edit, whole = told_edit(sd), plain
    confined = pix2pix_zero(edit, options=Options(**SHORT | {"confined": True}))
    assert float((confined - edit.x)[:, :, 4:].norm()) < 0.5 * float((whole - edit.x)[:, :, 4:].norm())
    blended = pix2pix_zero(edit, options=Options(**SHORT | {"confined": True, "blend": True}))
    assert torch.equal(blended[:, :, 4:], edit.x[:, :, 4:])
    assert float((blended - edit.x)[:, :, :4].abs().max()) > 0.02


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_drift_is_bit_for_bit_no_drift(sd, plain, scheme):
    found = pix2pix_zero(told_edit(sd), options=Options(**SHORT, drift=Drift(scheme=scheme)))
    assert torch.equal(plain, found)


@pytest.mark.parametrize("blend", [False, True])
def test_the_drifts_wrapper_is_exact_and_a_moved_start_moves_the_image(sd, blend):
    """v_delta(x, t) = v(x - (1 - t) delta, t) - delta changes nothing; `init_only` and `literal` do."""
    edit, asked = told_edit(sd), SHORT | {"blend": blend}
    plain = pix2pix_zero(edit, options=Options(**asked))
    delta = torch.tensor([0.3, -0.2, 0.1, 0.0])
    for scheme in ("noise", "prior"):
        found = pix2pix_zero(edit, options=Options(**asked, drift=Drift(delta=delta, scheme=scheme)))
        torch.testing.assert_close(found, plain, rtol=0, atol=1e-4)
    for scheme in ("init_only", "literal"):
        found = pix2pix_zero(edit, options=Options(**asked, drift=Drift(delta=0.3, scheme=scheme)))
        assert float((found - plain)[:, :, :4].abs().mean()) > 0.02
        assert torch.equal(found[:, :, 4:], edit.x[:, :, 4:]) is blend


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_the_step_by_attention_is_the_authors_in_the_states_that_the_network_sees(network, t):
    """They take lambda grad_y from y = x / r, so r lambda grad_y from x (math.md section 0)."""
    edit, r = told_edit(network), (t**2 + (1 - t) ** 2) ** 0.5
    trunk = network.get_submodule("unet")

    def looked(told, x):
        with watched(trunk) as maps:
            network(x, torch.full((len(x),), t), *told)
        return maps

    with torch.no_grad():
        reference = looked(edit.told, edit.x)
    y = (edit.x / r).requires_grad_(True)
    with torch.enable_grad():
        distance = attention_distance(looked(edit.told_after, y * r), reference).sum()
        (grad_y,) = torch.autograd.grad(distance, y)

    def velocity(x, time):
        return network(x, time.expand(len(x)), *edit.told_after)

    found, expected = attention_pull(network, velocity, edit.x, t, reference), r * grad_y
    largest = float(expected.abs().max())
    assert largest > 0
    torch.testing.assert_close(found / largest, expected / largest, rtol=0, atol=1e-3)


def test_several_images_differ_where_noise_is_drawn_anew(sd):
    edit = told_edit(sd, batch=2)
    alike = replace(edit, x=edit.x[:1].expand(2, -1, -1, -1).clone())
    found = pix2pix_zero(alike, options=Options(**SHORT, variety=1.0, blend=True))
    assert float((found[0] - found[1])[:, :4].abs().max()) > 0.02
    assert torch.equal(found[0, :, 4:], found[1, :, 4:])


def test_white_noise_on_the_way_back_changes_what_is_drawn_from_it(sd):
    edit = told_edit(sd)
    exact, tamed, barely = (
        pix2pix_zero(edit, options=Options(**SHORT, regularisation=weight)) for weight in (0.0, 20.0, 1e-12)
    )
    assert not torch.allclose(exact, tamed, atol=1e-2)
    assert not torch.allclose(barely, tamed, atol=1e-2)


def test_the_weights_type_is_kept_and_states_stay_in_float32():
    network = network_of("stable_diffusion", tiny_pipeline("stable_diffusion"))
    half = copy.deepcopy(network).to(torch.bfloat16)
    edit = told_edit(half)
    edit = replace(edit, told=tuple(half_of(edit.told)), told_after=tuple(half_of(edit.told_after)))
    found = pix2pix_zero(edit, options=Options(**SHORT, tolerance=0.05))
    assert found.dtype == torch.float32
    assert bool(torch.isfinite(found).all())


def half_of(told):
    return [one.bfloat16() if one.is_floating_point() and one.ndim > 1 else one for one in told]


def test_a_network_that_also_takes_the_mask_is_edited_alike():
    network = network_of("stable_diffusion", tiny_pipeline("stable_diffusion")).with_control().eval()
    network.requires_grad_(False)
    stir(network.get_submodule("controlnet"))
    edit = told_edit(network, after=NONE)
    torch.testing.assert_close(pix2pix_zero(edit, options=Options(**SHORT)), edit.x, rtol=0, atol=5e-3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tiny_model().network, "is told none"),
        (lambda: tiny_network("sd3"), "in another way"),
    ],
)
def test_a_network_that_it_cannot_look_into_is_refused_in_words(make, words):
    network = make()
    x = torch.zeros(1, 4, 8, 8)
    labels = np.zeros((1, 16, 16), np.uint8)
    told = tuple(network.condition(labels, [NONE]))
    edit = Edit(x=x, before=None, after=None, region=x[:, :1], network=network, told=told, told_after=told)
    with pytest.raises(SynthesisError, match=words):
        pix2pix_zero(edit)


def test_a_network_that_predicts_the_image_has_no_noise_to_keep_white():
    network = network_of("stable_diffusion", tiny_pipeline("stable_diffusion"), prediction="sample")
    with pytest.raises(SynthesisError, match="predicts the image"):
        pix2pix_zero(told_edit(network), options=Options(regularisation=20.0))
