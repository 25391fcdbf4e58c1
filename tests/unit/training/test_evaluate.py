"""The evaluation, with real images posing as generated ones: perfect scores, and scores that fall."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from synthesis.checkpoints import load_model
from synthesis.imaging.intensity import Normalisation
from synthesis.metrics.judges import KINDS, SCALE, load_judges, on_scale, save_judge
from synthesis.phantoms.labels import LIVER
from synthesis.request import MODALITIES
from tests.factories_models import TINY, tiny_model
from training import evaluate as evaluation
from training.calibrate import band_table
from training.held_out import Setting, cached_images, chunks, content_key, held_out, make
from training.measures import describe, grades, kid_between, measure, truth_of

RFT = Setting(sampler="rft", calls=4)
WEIGHTS = Path(__file__).parents[3] / "weights"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(tiny_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def judges(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judges")
    torch.manual_seed(0)
    for name, kind in KINDS.items():
        save_judge(folder, name, kind(), {})
    return load_judges(folder)


@pytest.fixture(scope="module")
def truth(model, judges):
    return truth_of(held_out("test", 16, (128, 128)), model, judges)


def test_real_images_reach_every_figure(truth, model, judges):
    figures, features = measure(truth.images, truth, model, judges, RFT)
    assert figures["organ_error_hu"] == pytest.approx(0, abs=1e-3)
    assert figures["dice_share"] == pytest.approx(1)
    assert figures["severity_accuracy"] == truth.severity_accuracy
    assert figures["kid"]["value"] == pytest.approx(0, abs=1e-9)
    for ratios in figures["spectrum"].values():
        assert ratios == pytest.approx([1, 1, 1], rel=1e-3)
    for ratio in figures["lesion_contrast_ratio"].values():
        assert ratio == pytest.approx(1, rel=1e-3)
    assert kid_between(features, features, truth)["value"] == 0


OTHER = {  # scales that no shipped model has
    "CT": Normalisation(units=(-1000.0, -150.0, 250.0, 1300.0), scaled=(-1.2, -0.2, 3.8, 4.8)),
    "T1": Normalisation(units=(0.0, 900.0), scaled=(-1.0, 1.0)),
    "T2": Normalisation(units=(0.0, 1530.0), scaled=(-1.0, 1.0)),
}


def test_the_judges_read_the_same_of_the_same_image_whatever_the_scale(model):
    """Of one HU or signal, made with models of two scales, by the shipped judges."""
    judges, cases = load_judges(WEIGHTS / "judges"), held_out("test", 16, (128, 128))
    blurred = [ndimage.gaussian_filter(c.image, 0.7) for c in cases]
    read = []
    for one in (model, replace(model, normalisation=OTHER)):
        known = truth_of(cases, one, judges)
        made = np.stack([one.normalise(i, c.condition.modality) for i, c in zip(blurred, cases, strict=True)])
        read.append((known, grades(made, cases, one, judges), *measure(made, known, one, judges, RFT)))
    (known, given, figures, features), (other, again, others, same) = read
    assert other.severity_accuracy == known.severity_accuracy > 0.8
    assert other.dice == pytest.approx(known.dice, abs=2e-3, nan_ok=True)
    assert other.k_ref.value == pytest.approx(known.k_ref.value, rel=1e-3)
    np.testing.assert_allclose(other.features, known.features, rtol=1e-3, atol=1e-3)
    assert np.array_equal(again, given)
    np.testing.assert_allclose(same, features, rtol=1e-3, atol=1e-3)
    assert others["dice_share"] == pytest.approx(figures["dice_share"], abs=2e-3)
    assert others["kid"]["value"] == pytest.approx(figures["kid"]["value"], rel=1e-2)


def test_on_the_judges_own_scale_not_a_bit_changes(truth, model, judges):
    """What a shipped model makes comes to the judges as it is, so that its figures stay what they were."""
    kinds = [c.condition.modality for c in truth.cases]
    assert on_scale(truth.images, model.normalisation, kinds) is truth.images
    for folder in sorted(WEIGHTS / name for name in ("abdomen-2d", "abdomen-2d-fast")):
        assert load_model(folder).normalisation == SCALE
    codes = torch.tensor([MODALITIES.index(kind) for kind in kinds])
    seen = torch.from_numpy(truth.images)[:, None]
    assert np.array_equal(describe(truth.images, truth.cases, model, judges), judges.describe(seen, codes))
    labels = np.stack([c.labels for c in truth.cases])
    assert np.array_equal(grades(truth.images, truth.cases, model, judges), judges.grade(seen, labels, codes))


def test_a_shift_of_ten_hu_is_an_organ_error_of_ten_hu(truth, model, judges):
    shifted = np.stack([model.normalise(c.image + 10, c.condition.modality) for c in truth.cases])
    figures, _ = measure(shifted, truth, model, judges, RFT)
    assert figures["organ_error_hu"] == pytest.approx(10, rel=0.01)
    assert figures["organ_case_error_hu"] == pytest.approx(10, rel=0.01)
    assert figures["organ_errors"]["CT"]["signed"]["liver"] == pytest.approx(10, rel=0.01)


def test_doubled_noise_shows_in_the_spectrum(truth):
    noise = np.random.default_rng(0).normal(size=truth.images.shape).astype(np.float32)
    for ratios in band_table(truth.images + noise, truth.images, truth.cases).values():
        assert min(ratios) > 2


def test_with_the_liver_alone_only_the_liver_is_compared(truth, model, judges):
    figures, _ = measure(truth.images, truth, model, judges, replace(RFT, masks="liver"))
    assert set(figures["organ_errors"]["CT"]["absolute"]) == {"liver"}
    assert set(figures["dice"]) == {"liver", "lesion"}


def test_an_image_depends_on_its_own_number_alone(model, truth):
    cases = [c for c in truth.cases if c.condition.modality == "CT"][:3]
    together = make(model, cases, RFT, [5, 6, 7])
    alone = make(model, cases[1:2], RFT, [6])
    assert alone[0] == pytest.approx(together[1], abs=0.1)  # bfloat16 inside the network
    other = make(model, cases[1:2], RFT, [8])
    assert np.abs(other[0] - together[1]).mean() > 0.3


def test_cached_images_are_not_made_twice(model, truth, tmp_path):
    first = cached_images(model, truth.cases, RFT, tmp_path)
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert np.array_equal(cached_images(model, truth.cases, RFT, tmp_path), first)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == stamps
    assert len(stamps) == len(chunks(truth.cases)) == 3


def test_calibration_changes_the_key_and_a_card_does_not(tmp_path):
    keys = [
        content_key(load_model(tiny_model(tmp_path / str(i), **recipe)))
        for i, recipe in enumerate(({}, {"summary": "other"}, {"calibration": {"kappa": {"4": 0.9}}}))
    ]
    assert keys[0] == keys[1] != keys[2]


def test_texture_can_be_replaced_without_touching_the_mask():
    plain, severe = (held_out("test", 2, (128, 128), texture=grade) for grade in (0, 3))
    for a, b in zip(plain, severe, strict=True):
        assert np.array_equal(a.stored, b.stored)
        changed = np.abs(a.image - b.image) > 1e-3
        assert changed.any()
        assert (b.labels[changed] == LIVER).mean() > 0.8
        assert (a.condition.severity, b.condition.severity) == ("none", "severe")


@pytest.mark.slow
def test_the_whole_report_has_every_goal(model, judges, tmp_path):
    report = evaluation.evaluate(
        model, judges, tmp_path, cases=8,
        only=[Setting(sampler="rft", calls=4), Setting(sampler="rft", calls=30), replace(RFT, masks="liver")],
    )  # fmt: skip
    measures = [row["measure"] for row in report["goals"]]
    assert len(measures) >= 15
    assert all(isinstance(row["reached"], bool) for row in report["goals"])
    assert any("KID(4)" in name for name in measures)
    assert "| rft-4-whole |" in evaluation.table(report)


@pytest.mark.slow
def test_a_model_of_long_steps_is_measured_at_two_calls_and_one(model, judges, tmp_path):
    recipe = {"method": "shortcut", "shortcut": {"segments": 8, "shift": 0.35}, "name": "fast"}
    fast = load_model(tiny_model(tmp_path / "fast", options=replace(TINY, spans=True), **recipe))
    report = evaluation.evaluate(
        fast, judges, tmp_path / "images", cases=8, against=model,
        only=[Setting(sampler="shortcut", calls=n) for n in (2, 1)] + [Setting(sampler="rft", calls=30)],
    )  # fmt: skip
    measures = [row["measure"] for row in report["goals"]]
    for name in ("(KID(2) - KID(30))", "(KID(1) - KID(30))", "(KID(2) - KID(30) of tiny)"):
        assert f"{name} / K_ref" in measures
    assert evaluation.table(report).startswith("| goal at 2 calls (shortcut, whole masks) |")


def test_the_settings_are_those_of_the_issue():
    names = [s.name for s in evaluation.settings(full=False)]
    assert names[0] == "rft-4-whole"
    assert set(names) == {
        f"{s}-{n}-{m}" for s in ("rft", "euler") for n in (4, 30) for m in ("whole", "liver")
    }
    assert len(evaluation.settings(full=True)) == 20
    short = [s.name for s in evaluation.settings(full=False, main=evaluation.SHORTCUT)]
    assert short[:3] == ["shortcut-2-whole", "shortcut-1-whole", "rft-30-whole"]
    assert [name.replace("whole", "liver") for name in short[:3]] == short[3:]
