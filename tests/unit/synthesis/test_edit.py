"""From a request to edited images in real units, on a real network of tiny size."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from synthesis.catalog import COUNTERFACTUALS
from synthesis.counterfactuals import guided
from synthesis.edit import edit, method_options, prepare
from synthesis.edit_request import (
    CT_TEXTURE,
    MR_TEXTURE,
    CounterfactualRequest,
    EditOptions,
)
from synthesis.errors import Cancelled, SynthesisError
from synthesis.metrics import perceptual
from synthesis.metrics.judges import FeatureNet, Judges, Segmenter, SeverityReader
from synthesis.phantoms import labels as L
from synthesis.phantoms.contrast import WINDOWS
from synthesis.request import Condition
from tests.unit.synthesis.tiny_backbones import tiny_latent_model
from tests.unit.synthesis.tiny_model import SIDE, tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def judges():
    torch.manual_seed(1)
    nets = [net().eval().requires_grad_(False) for net in (Segmenter, SeverityReader, FeatureNet)]
    return Judges(*nets, about={})


def request(**changed):
    labels = np.full((SIDE, SIDE), L.FAT, np.uint8)
    labels[4:24, 4:24] = L.LIVER
    rng = np.random.default_rng(3)
    values = {
        "image": np.rint(rng.normal(80, 30, (SIDE, SIDE))).astype(np.float32),
        "labels": labels,
        "spacing_mm": (3.0, 3.0),
        "before": Condition(modality="CT", severity="severe", age=50, sex="F"),
        "after": Condition(modality="CT", severity="none", age=50, sex="F"),
        "options": EditOptions(strength=0.2, steps=4),
    }
    return CounterfactualRequest(**values | changed)


def test_an_edit_brings_image_difference_and_numbers(model, judges):
    asked = request()
    result = edit(model, asked, judges=judges)
    assert result.images.shape == (1, SIDE, SIDE)
    assert np.array_equal(result.images, np.rint(result.images))
    assert np.array_equal(result.difference[0], result.images[0] - asked.image)
    assert np.abs(result.difference).max() > 0
    assert np.array_equal(result.region, asked.labels == L.LIVER)
    numbers = result.numbers[0]
    assert numbers["l1"] == pytest.approx(np.abs(result.difference).mean())
    assert numbers["inside"] > numbers["outside"]
    assert set(numbers["severity"]["after"]) == {"none", "low", "mild", "severe"}
    assert numbers["severity"]["followed"] is False
    assert result.spread is None
    assert result.undone is None
    json.dumps([result.numbers, result.recipe], allow_nan=False)
    assert result.recipe["options"]["contrast"] == CT_TEXTURE.none
    assert result.recipe["unit"] == "HU"


def test_the_same_request_gives_the_same_pixels(model):
    assert edit(model, request()).pixel_sha256 == edit(model, request()).pixel_sha256


@pytest.mark.parametrize("options", [{"strength": 0.0}, {"method": "guided", "weight": 0.0}])
def test_nothing_asked_returns_the_image_itself(model, judges, options):
    asked = request(options=EditOptions(**options))
    result = edit(model, asked, judges=judges)
    assert np.array_equal(result.images[0], asked.image)
    assert result.numbers[0]["psnr"] is None
    assert result.numbers[0]["ssim"] == pytest.approx(1.0)


def test_the_null_edit_is_the_image_to_within_the_inversions_tolerance(model):
    asked = request()
    same = replace(asked, after=asked.before)
    result = edit(model, same)
    assert np.sqrt((result.difference**2).mean()) < 1.0
    assert not result.region.any()


def test_undo_leads_back(model):
    asked = request(options=EditOptions(strength=0.2, steps=6, contrast=1.0, undo=True))
    result = edit(model, asked)
    there, back = result.numbers[0]["l1"], result.numbers[0]["undone"]["l1"]
    assert back < 0.5 * there
    assert result.undone.shape == result.images.shape


@pytest.mark.parametrize("name", COUNTERFACTUALS)
def test_undoing_tells_what_the_method_alone_loses(model, judges, name):
    suited, size = model, SIDE
    if name == "instruct_pix2pix":
        suited = tiny_model(takes_image=True)
    elif name == "pix2pix_zero":
        suited = tiny_latent_model("stable_diffusion")
    options = EditOptions(method=name, strength=0.3, steps=3, variety=0.5, undo=True)
    result = edit(suited, request(options=options, count=2), judges=judges)
    assert result.unchanged.shape == (2, size, size)
    for row, image in zip(result.numbers, result.unchanged, strict=True):
        span = 500.0
        apart = float(np.mean(np.square(image - request().image)))
        still = row["unchanged"]["psnr"]
        assert still is None if apart == 0 else still == pytest.approx(10 * np.log10(span**2 / apart))
    plain = edit(suited, request(options=replace(options, undo=False), count=2), judges=judges)
    assert plain.unchanged is None
    assert "unchanged" not in plain.numbers[0]
    assert plain.pixel_sha256 == result.pixel_sha256


def test_no_change_is_the_edit_that_changes_nothing(model):
    options = EditOptions(strength=0.2, steps=4, undo=True)
    asked = request(options=options)
    nothing = edit(model, replace(asked, after=asked.before, options=replace(options, undo=False)))
    assert np.array_equal(edit(model, asked).unchanged, nothing.images)


def _placed(place, method):
    """A change within half of the liver, named as a structure of its own or painted on the mask."""
    labels, marked = request().labels.copy(), request().labels.copy()
    marked[4:14, 4:24] = L.LESION
    options = EditOptions(method=method, strength=0.6, steps=3, blend=True, where=place)
    if place == "painted":
        return request(labels=labels, labels_after=marked, options=options)
    return request(labels=marked, options=replace(options, where="liver"))


@pytest.mark.parametrize("place", ["liver", "painted"])
@pytest.mark.parametrize("method", ["flow_inversion", "guided", "instruct_pix2pix"])
def test_a_change_stays_in_the_place_that_was_chosen(model, judges, method, place):
    suited = tiny_model(takes_image=True) if method == "instruct_pix2pix" else model
    asked = _placed(place, method)
    result = edit(suited, asked, judges=judges)
    half = np.zeros((SIDE, SIDE), bool)
    half[slice(14, 24) if place == "liver" else slice(4, 14), 4:24] = True
    assert np.array_equal(result.region, half)
    assert result.numbers[0]["inside"] > 3 * result.numbers[0]["outside"]
    assert result.recipe["options"]["where"] == place


def test_words_change_only_the_place_that_was_chosen():
    model = tiny_latent_model("stable_diffusion")
    one = _placed("painted", "pix2pix_zero")
    half = np.zeros((SIDE, SIDE), bool)
    half[4:14, 4:24] = True
    work = prepare(model, [one.image], [one.labels], [one.labels], [one.before], [one.after], regions=[half])
    chosen = method_options(one.options, one.labels, one.labels, one.before, one.after)
    moved = (COUNTERFACTUALS["pix2pix_zero"].load()(work, options=chosen) - work.x).abs().amax(1)
    region = work.region[:, 0]
    assert (region == 0).any()
    assert moved[region == 0].max() < 1e-5
    assert moved[region > 0.5].mean() > 1e-3


def test_what_was_not_confined_before_places_had_names_has_the_same_pixels(model):
    old = EditOptions.from_json({"strength": 0.2, "steps": 4, "confined": False})
    named = EditOptions(strength=0.2, steps=4, where="everywhere")
    made = [edit(model, request(options=options)) for options in (old, named)]
    assert made[0].pixel_sha256 == made[1].pixel_sha256
    assert np.array_equal(made[0].region, request().labels == L.LIVER)
    assert made[0].pixel_sha256 != edit(model, request()).pixel_sha256


def test_lpips_is_told_where_it_is_installed(model, monkeypatch):
    told = []

    def measure(image, original, *, low, high):
        told.append((low, high))
        return float(np.abs(image - original).max())

    assert "lpips" not in edit(model, request()).numbers[0] or perceptual.installed() is not None
    monkeypatch.setattr(perceptual, "installed", lambda: measure)
    result = edit(model, request())
    assert result.numbers[0]["lpips"] == np.abs(result.difference).max()
    assert told == [tuple(model.recipe["image"].get("windows", WINDOWS)["CT"])]


def test_seeds_differ_only_with_variety_and_then_only_inside(model):
    same = edit(model, request(count=2))
    assert np.array_equal(same.images[0], same.images[1])
    varied = edit(model, request(count=3, options=EditOptions(strength=0.2, steps=4, variety=1.0)))
    inside = varied.region
    assert varied.spread[inside].mean() > 5 * varied.spread[:, 28:].mean()
    alone = edit(model, request(seed=2, options=EditOptions(strength=0.2, steps=4, variety=1.0)))
    np.testing.assert_allclose(alone.images[0], varied.images[2], atol=1)


def test_a_lesion_is_added_through_the_mask(model):
    after = request().labels.copy()
    after[10:14, 10:14] = L.LESION
    asked = request(labels_after=after)
    result = edit(model, replace(asked, after=asked.before))
    assert result.region.sum() == 36 - 4  # the 4 x 4 pixels and their neighbours, without the corners
    assert np.abs(result.difference[0][result.region]).mean() > 3 * np.abs(result.difference[0][26:]).mean()


def test_several_changes_at_once(model):
    asked = request(after=Condition(modality="CT", severity="none", steatosis=3, age=80, sex="M"))
    result = edit(model, asked)
    assert result.region.all()
    assert result.numbers[0]["outside"] is None


def test_a_drift_is_told_with_how_far_it_moves_the_start(model):
    plain, moved = (
        edit(model, request(options=EditOptions(steps=2, drift=drift, drift_scheme="init_only")))
        for drift in (0.0, -0.1)
    )
    assert "drift_dc_sigma" not in plain.recipe
    assert moved.recipe["drift_dc_sigma"] == pytest.approx(0.1 * SIDE)
    assert moved.pixel_sha256 != plain.pixel_sha256


@pytest.mark.parametrize(("undo", "ways"), [(False, 2), (True, 5)])
def test_progress_runs_through_all_ways_with_pictures(model, undo, ways):
    """Back and forth; without a change only forth, for it starts where the way back has ended already."""
    seen = []
    edit(model, request(options=EditOptions(strength=0.2, steps=3, undo=undo)), on_step=seen.append)
    assert [one.step for one in seen] == [*range(1, 3 * ways + 1)]
    assert {one.steps for one in seen} == {3 * ways}
    assert all(one.preview.shape == (SIDE, SIDE) for one in seen)


@pytest.mark.parametrize(("method", "ways"), [("pix2pix_zero", 6), ("instruct_pix2pix", 3), ("guided", 3)])
def test_every_step_of_the_other_methods_is_counted_once(model, judges, method, ways):
    suited = model
    if method == "instruct_pix2pix":
        suited = tiny_model(takes_image=True)
    elif method == "pix2pix_zero":
        suited = tiny_latent_model("stable_diffusion")
    seen = []
    asked = request(options=EditOptions(method=method, strength=0.3, steps=2, undo=True, reach=None))
    edit(suited, asked, judges=judges, on_step=seen.append)
    once = guided.Options().rounds if method == "guided" else 2
    assert [one.step for one in seen] == [*range(1, ways * once + 1)]
    assert {one.steps for one in seen} == {ways * once}


@pytest.mark.parametrize("name", COUNTERFACTUALS)
def test_cancelling_reaches_the_caller(model, judges, name):
    def stop(step):
        raise Cancelled

    suited = model
    if name == "instruct_pix2pix":
        suited = tiny_model(takes_image=True)
    elif name == "pix2pix_zero":
        suited = tiny_latent_model("stable_diffusion")
    with pytest.raises(Cancelled):
        edit(suited, request(options=EditOptions(method=name)), judges=judges, on_step=stop)


def test_guided_says_whose_verdict_it_followed(model, judges):
    result = edit(model, request(options=EditOptions(method="guided", weight=4.0)), judges=judges)
    severity = result.numbers[0]["severity"]
    assert severity["followed"] is True
    assert severity["after"]["none"] > severity["before"]["none"]
    assert np.array_equal(result.images[0][26:], request().image[26:])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"image": np.zeros((16, 16), np.float32), "labels": np.zeros((16, 16), np.uint8)}, "16 x 16"),
        ({"options": EditOptions(method="magic")}, "magic"),
        ({"options": EditOptions(method="guided")}, "no reader is installed"),
        ({"options": EditOptions(method="pix2pix_zero")}, 'cannot be edited by "pix2pix_zero"'),
        ({"options": EditOptions(method="instruct_pix2pix")}, "Choose flow_inversion or guided"),
        ({"before": Condition(modality="PET"), "after": Condition(modality="PET")}, "not PET"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(model, changed, words):
    with pytest.raises(SynthesisError, match=words):
        edit(model, request(**changed))


def test_a_reader_of_severity_cannot_guide_another_change(model, judges):
    asked = request(options=EditOptions(method="guided"))
    with pytest.raises(SynthesisError, match="change the severity"):
        edit(model, replace(asked, after=replace(asked.before, age=70)), judges=judges)


def test_strength_and_contrast_follow_the_change_where_they_are_left_open():
    labels, severe, none = request().labels, request().before, request().after
    low = replace(none, severity="low")

    def chosen(before, after, after_labels=labels, **options):
        found = method_options(EditOptions(**options), labels, after_labels, before, after)
        return found.strength, found.contrast

    for modality, texture in (("CT", CT_TEXTURE), ("T1", MR_TEXTURE), ("T2", MR_TEXTURE)):
        a, b, c = (replace(one, modality=modality) for one in (severe, none, low))
        assert chosen(a, b) == (texture.strength, texture.none)
        assert chosen(b, a) == (texture.strength, texture.more)
        assert chosen(a, c) == (texture.strength, texture.less)
        assert chosen(replace(b, severity=None), a) == (texture.strength, 1.0)
        assert chosen(b, replace(b, steatosis=3)) == (1.0, 1.0)
        assert chosen(a, replace(b, steatosis=3)) == (1.0, texture.beside)
        assert chosen(replace(b, severity=None), replace(a, steatosis=3)) == (1.0, 1.0)
    assert CT_TEXTURE != MR_TEXTURE
    assert chosen(severe, replace(none, age=70)) == (1.0, CT_TEXTURE.beside)
    lesion = labels.copy()
    lesion[10, 10] = L.LESION
    assert chosen(none, none, lesion) == (1.0, 1.0)
    assert chosen(severe, none, contrast=0.7, strength=0.9) == (0.9, 0.7)
