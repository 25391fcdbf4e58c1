"""The evaluation of edits: exact figures on stand-in edits, bounds in closed form, a reader that reads."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch

from synthesis import edit as edit_program
from synthesis import edit_request
from synthesis.catalog import COUNTERFACTUALS
from synthesis.metrics import perceptual
from synthesis.metrics.judges import FeatureNet, Judges, Segmenter, SeverityReader, liver_crop
from synthesis.phantoms import WINDOWS, abdomen, phantom_seed
from tests.unit.synthesis.tiny_backbones import tiny_latent_model
from tests.unit.synthesis.tiny_model import SIDE, tiny_model
from training import counterfactual_changes as changes
from training import counterfactuals as c
from training import texture_reader
from training.counterfactual_bounds import bound, noise_spectrum, pattern_spectra
from training.counterfactual_rows import ROWS, instructed_row, row_of
from training.texture_reader import TextureReader, features

CHANGE = changes.severity_change(3, 0)


@pytest.fixture(scope="module")
def judges():
    torch.manual_seed(1)
    nets = [net().eval().requires_grad_(False) for net in (Segmenter, SeverityReader, FeatureNet)]
    return Judges(*nets, about={})


@pytest.fixture(scope="module")
def pairs():
    return changes.pairs_of(CHANGE, "validation", 2, "CT", (128, 128))


def no_reader():
    return TextureReader(np.zeros((4, 5)), np.stack([np.eye(5)] * 4), np.zeros(4), 1.0)


def test_pairs_differ_by_the_change_alone(pairs):
    for before, after in pairs:
        assert before.attributes.severity_texture == 3
        assert after.attributes == replace(before.attributes, severity_texture=0)
        assert not (before.image != after.image)[before.liver_share == 0].any()


def test_the_truth_itself_scores_perfectly_and_the_unedited_image_scores_one(pairs, judges):
    source, truth = (np.stack([p[i].image for p in pairs]) for i in (0, 1))
    time = {"seconds": np.array([1.0])}
    perfect = {"edited": truth, "null": source, "back": source} | time
    idle = {"edited": source} | time
    model = tiny_model()
    best = c.figures(perfect, pairs, CHANGE, model, judges, no_reader())
    assert best["inside"] == 0
    assert best["outside"] == 0
    assert best["null_psnr"] == float("inf")
    none = c.figures(idle, pairs, CHANGE, model, judges, no_reader())
    assert none["inside"] == none["inside_unedited"] > 5
    assert none["core"] == none["core_unedited"]
    assert none["outside"] == 0
    assert none["l1"] == 0
    assert none["back_psnr"] is None
    assert none["null_psnr"] is None
    assert c.line("x", none).count("|") == ("| " + c.HEADINGS + " |").count("|") - 1


@pytest.fixture
def looked_for_anew():
    """Whether LPIPS is there is found out once per process: here for every test."""
    perceptual.installed.cache_clear()
    yield
    perceptual.installed.cache_clear()


def lpips_cell(row):
    place = [one.strip() for one in c.HEADINGS.split("|")].index("LPIPS to original")
    return c.line("change | row", row).split("|")[1:-1][place].strip()


@pytest.mark.usefixtures("looked_for_anew")
def test_lpips_that_is_not_there_reads_not_installed(pairs, judges, monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    source = np.stack([before.image for before, _ in pairs])
    found = {"edited": source, "seconds": np.array([1.0])}
    row = c.figures(found, pairs, CHANGE, tiny_model(), judges, no_reader())
    assert row["lpips"] == "not installed"
    assert lpips_cell(row) == "not installed"


@pytest.mark.usefixtures("looked_for_anew")
def test_lpips_that_is_there_is_told_of_every_pair_to_its_original(pairs, judges, monkeypatch):
    """The package stands at the edge of the world: the one played here tells the mean difference as shown."""

    class Played(torch.nn.Module):
        def __init__(self, net, verbose):
            super().__init__()

        def forward(self, a, b):
            return (a - b).abs().mean().reshape(1, 1, 1, 1)

    package = ModuleType("lpips")
    package.LPIPS = Played
    monkeypatch.setitem(sys.modules, "lpips", package)
    monkeypatch.setattr(perceptual, "version", lambda name: "0.1.4")
    low, high = WINDOWS["CT"]
    flat = np.full_like(pairs[0][0].image, (low + high) / 2)
    level = [(replace(b, image=flat), replace(a, image=flat + 1)) for b, a in pairs]
    steps = np.array([0.05, 0.15], np.float32)[:, None, None] * (high - low)
    found = {"edited": np.stack([flat, flat]) + steps, "seconds": np.array([1.0])}
    row = c.figures(found, level, CHANGE, tiny_model(), judges, no_reader())
    assert row["lpips"] == pytest.approx(2 * 0.1, rel=1e-3)
    assert lpips_cell(row) == "0.200"


def test_an_error_of_known_size_is_found_where_it_is(pairs, judges):
    source, truth = (np.stack([p[i].image for p in pairs]) for i in (0, 1))
    changed = source != truth
    edited = truth + np.where(changed, 7.0, 2.0).astype(np.float32)
    found = {"edited": edited, "null": source + 5, "seconds": np.array([1.0])}
    row = c.figures(found, pairs, CHANGE, tiny_model(), judges, no_reader())
    assert row["inside"] == pytest.approx(7, rel=1e-4)
    assert row["outside"] == pytest.approx(2, rel=1e-4)
    assert row["null_outside"] == pytest.approx(5, rel=1e-4)
    assert row["null_psnr"] == pytest.approx(40, abs=1e-3)


@pytest.mark.parametrize(("name", "kept"), [("severe,3-none,0", 2), ("severe-none", 1)])
def test_what_is_said_between_is_a_part_of_the_name(tmp_path, judges, monkeypatch, name, kept):
    """A severity beside other changes is led past it; alone, or of contrast 1, it is not asked about."""
    monkeypatch.setattr(changes, "LARGE_LIVER", 4)
    model, change = tiny_model(), changes.CHANGES[name]
    pairs = changes.pairs_of(change, "validation", 2, "CT", (SIDE, SIDE))
    firm = c.EditOptions(strength=0.2, steps=2, contrast=1.5)

    def made(folder, options):
        found = c.edited_images(model, change, pairs, {"one": options}, judges, folder, thorough=False)
        return found["one"]["edited"]

    first, plain = made(tmp_path / "firm", firm), made(tmp_path / "plain", replace(firm, contrast=1.0))
    assert np.array_equal(made(tmp_path / "firm", firm), first)
    monkeypatch.setattr(edit_program, "but_severity", lambda before, after: replace(before, age=30.0))
    again = made(tmp_path / "firm", firm)
    assert np.array_equal(made(tmp_path / "plain", replace(firm, contrast=1.0)), plain)
    assert len(list((tmp_path / "firm").iterdir())) == kept
    assert len(list((tmp_path / "plain").iterdir())) == 1
    assert np.array_equal(again, first) is (kept == 1)


def test_edits_are_kept_and_rows_share_their_way_back(tmp_path, judges, monkeypatch):
    monkeypatch.setattr(changes, "LARGE_LIVER", 4)
    model = tiny_model()
    change = changes.severity_change(3, 0)
    pairs = changes.pairs_of(change, "validation", 2, "CT", (SIDE, SIDE))
    gone = []
    way_back = c.flow_inversion.way_back
    monkeypatch.setattr(c.flow_inversion, "way_back", lambda *a, **k: (gone.append(1), way_back(*a, **k))[1])
    small = c.EditOptions(strength=0.2, steps=3)
    rows = {"one": small, "other": replace(small, confined=False)}
    first = c.edited_images(model, change, pairs, rows, judges, tmp_path)
    assert len(gone) == 2  # the one that is shared, and the one from the edited image
    assert set(first["one"]) == {"edited", "null", "back", "seconds"}
    assert set(first["other"]) == {"edited", "seconds"}
    assert first["one"]["edited"].shape == (2, SIDE, SIDE)
    again = c.edited_images(model, change, pairs, rows, judges, tmp_path)
    assert len(gone) == 2
    assert np.array_equal(again["other"]["edited"], first["other"]["edited"])
    firmer = edit_request.TextureChange(strength=0.5, none=4.0, more=1.0, less=1.0, beside=1.0)
    monkeypatch.setitem(edit_request.TEXTURE_CHANGES, "CT", firmer)  # what is left open is decided anew
    other = c.edited_images(model, change, pairs, rows, judges, tmp_path)
    assert not np.array_equal(other["one"]["edited"], first["one"]["edited"])


def test_a_model_that_changes_images_makes_its_own_rows(tmp_path, judges, monkeypatch):
    monkeypatch.setattr(changes, "LARGE_LIVER", 4)
    model, editor = tiny_model(), tiny_model(1, takes_image=True)
    pairs = changes.pairs_of(CHANGE, "validation", 2, "CT", (SIDE, SIDE))
    rows = dict([instructed_row("2,1,1"), instructed_row("1,1.5,1,0.8"), row_of("0.2,1")])
    assert rows["instructed 1,1.5,1,0.8"].strength == 0.8
    with pytest.raises(ValueError, match="editor"):
        c.edited_images(model, CHANGE, pairs, rows, judges, tmp_path)
    found = c.edited_images(model, CHANGE, pairs, rows, judges, tmp_path, editor=editor)
    two, one, flow = found.values()
    assert {"null", "back"} <= set(two) & set(flow)  # the first of each method
    assert "null" not in one
    assert not np.array_equal(two["edited"], one["edited"])
    guided = replace(editor, recipe=editor.recipe | {"edit": {"sampler": "rft"}})
    again = c.edited_images(model, CHANGE, pairs, rows, judges, tmp_path, editor=guided)
    assert not np.array_equal(again["instructed 2,1,1"]["edited"], two["edited"])


class ByTexture(torch.nn.Module):
    """A reader that says severe, and is sure of it, where a liver's texture is stronger than a bound."""

    def __init__(self, bound):
        super().__init__()
        self.bound = bound

    def forward(self, crop, modality):
        severe = 40 * (strength(crop) / self.bound - 1)
        return torch.stack([-severe, *torch.full_like(severe, -50.0).expand(2, -1), severe], 1)


def strength(crop):
    """The mean square of a liver's texture in its crop [B, 2, side, side]: [B]."""
    return (crop[:, 0] * crop[:, 1]).square().sum((1, 2)) / crop[:, 1].sum((1, 2))


def test_where_a_verdict_is_followed_the_null_edit_follows_what_the_image_shows(tmp_path, monkeypatch):
    """The image is severe and is read as severe: asked for nothing it stays, asked for none it moves."""
    monkeypatch.setattr(changes, "LARGE_LIVER", 4)
    model = tiny_model()
    pairs = changes.pairs_of(CHANGE, "validation", 1, "CT", (SIDE, SIDE))
    source = pairs[0][0]
    crop = liver_crop(torch.from_numpy(model.normalise(source.image, "CT")), source.labels)
    judges = Judges(Segmenter(), ByTexture(float(strength(crop[None])) / 2), FeatureNet(), about={})
    rows = {"guided": c.EditOptions(method="guided", reach=None)}
    found = c.edited_images(model, CHANGE, pairs, rows, judges, tmp_path)["guided"]
    assert np.abs(found["edited"][0] - source.image).max() > 5
    np.testing.assert_allclose(found["null"][0], source.image, rtol=0, atol=1e-2)


def test_the_null_edit_along_words_goes_nowhere(tmp_path, judges, monkeypatch):
    monkeypatch.setattr(changes, "LARGE_LIVER", 4)
    model = tiny_latent_model("stable_diffusion")
    pairs = changes.pairs_of(CHANGE, "validation", 1, "CT", (SIDE, SIDE))
    rows = {"worded": c.EditOptions(method="pix2pix_zero", strength=0.3, steps=2, contrast=10.0)}
    made = c.edited_images(model, CHANGE, pairs, rows, judges, tmp_path)["worded"]
    source = torch.from_numpy(model.normalise(pairs[0][0].image, "CT"))[None, None]
    with torch.no_grad():
        states, _ = model.network.encode(source)
        kept = model.denormalise(model.network.decode(states)[0, 0].numpy(), "CT")
    edited, null = (float(np.abs(made[name][0] - kept).max()) for name in ("edited", "null"))
    assert edited > 1
    assert null < 0.2 * edited


def test_the_named_rows_ask_for_methods_that_there_are():
    assert {one.method for one in ROWS.values()} <= set(COUNTERFACTUALS)


def test_a_row_of_the_command_line_says_strength_contrast_and_steps():
    assert row_of("0.4,1.5") == ("strength 0.4, contrast 1.5", c.EditOptions(strength=0.4, contrast=1.5))
    name, options = row_of("0.4,1.5,12")
    assert name == "strength 0.4, contrast 1.5, 12 steps"
    assert options == c.EditOptions(strength=0.4, contrast=1.5, steps=12)


def test_every_named_change_makes_a_pair_that_differs():
    for change in changes.CHANGES.values():
        before, after = change.pair(phantom_seed("validation", 8), "CT", (64, 64))
        assert (before.image != after.image).any(), change.name


def test_bounds_at_the_ends_where_they_are_known():
    patterns = pattern_spectra(fields=6)
    from_none = bound("CT", 0, 3, patterns, 1.5)
    assert from_none.linear == pytest.approx(1.0, abs=1e-9)
    assert from_none.unedited == pytest.approx(22.0, rel=0.01)
    assert 1.0 < from_none.flow < 2**0.5
    away = bound("CT", 3, 0, patterns, 2.0)
    assert away.linear == pytest.approx(away.contrasted, rel=1e-9)  # contrast 2 is Wiener's filter
    assert away.linear < away.flow < 0.5
    assert bound("CT", 1, 0, patterns, 2.0).linear > 0.5


def test_the_noise_of_the_bounds_is_that_of_the_phantoms():
    power = noise_spectrum("CT")
    assert power.mean() == pytest.approx(81.0, rel=1e-3)
    assert np.allclose(power, power.T)
    assert np.allclose(power[1:, 1:], power[:0:-1, :0:-1])


def test_texture_statistics_rise_with_the_grade_and_ignore_the_mean():
    seed = phantom_seed("training", 31)
    own = abdomen(seed).attributes
    images = [abdomen(seed, attributes=replace(own, severity_texture=g)) for g in range(4)]
    spread = [features(one.image, one.labels)[1] for one in images]
    assert spread == sorted(spread)
    moved = features(images[2].image + 40, images[2].labels)
    assert moved == pytest.approx(features(images[2].image, images[2].labels), abs=1e-3)


def test_the_command_line_of_evaluate_leads_here(monkeypatch):
    from training import evaluate

    seen = []
    monkeypatch.setattr("sys.argv", ["evaluate", "counterfactuals", "--cases", "2"])
    monkeypatch.setattr(evaluate.counterfactuals, "main", seen.append)
    evaluate.main()
    assert seen == [["--cases", "2"]]


def test_the_reader_is_fitted_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(texture_reader, "FIT", 8)
    monkeypatch.setattr(texture_reader, "CHECK", 4)
    first = texture_reader.kept_texture_reader("CT", (96, 96), tmp_path)
    monkeypatch.setattr(texture_reader, "fit_texture_reader", None)
    again = texture_reader.kept_texture_reader("CT", (96, 96), tmp_path)
    assert np.array_equal(first.means, again.means)
    assert first.accuracy == again.accuracy > 0.7
