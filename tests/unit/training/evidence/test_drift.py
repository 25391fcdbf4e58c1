"""The evidence on Latent Drifting: patients kept apart, figures that are what they say, tables from them."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from synthesis.control.text import read_tokenizer
from synthesis.drift import Drift
from synthesis.drift_choice import PAPER_GRID
from synthesis.metrics.features import Features, FeatureSource
from synthesis.metrics.kid import kid
from tests.shared_data import DATA, needs_shared_data
from training.ema import PowerEma
from training.evidence import drift_autoencoder
from training.evidence.drift_autoencoder import CONFIG, AutoencoderKL, batch, learn, reconstructed
from training.evidence.drift_classifier import RECIPES, Labelled, auc, auc_interval, compared
from training.evidence.drift_measures import Kernels, Reference, brightness, kid_gap, kid_interval
from training.evidence.drift_plan import (
    FORMATS,
    METHODS,
    Run,
    Steps,
    grid,
    headline,
    methods,
    prompt_for,
    prompt_formats,
    recipe_of,
    schemes,
    words_of,
)
from training.evidence.drift_sampling import by_terminal_snr, draw, latents_of
from training.evidence.drift_sets import (
    CHEST,
    SIDE,
    SPLITS,
    TARGETS,
    Person,
    Split,
    even,
    read_target,
    shared_out,
)
from training.evidence.drift_source import LENGTH, MEDICAL, NETWORK, captions, new_network, new_tokenizer

PEOPLE = [
    Person("a", "normal"),
    Person("b", "hypertrophy"),
    Person("c", "heart_failure_infarct"),
    Person("d", "no_finding", 63.0, "F"),
    Person("e", "pneumonia", 8.0, "M"),
]


def random_pictures(count, seed=0, mean=0.0):
    drawn = np.random.default_rng(seed).normal(mean, 0.3, (count, SIDE, SIDE))
    return np.clip(drawn, -1, 1).astype(np.float32)


def a_reference(features, patients):
    source = FeatureSource("a net", "0" * 64, "none")
    split = Split(random_pictures(len(patients)), [Person(p, "normal") for p in patients])
    return Reference(split, Features(features, source), np.zeros((len(patients), 1)))


# The sets.


@needs_shared_data
@pytest.mark.parametrize(("name", "patients"), [("cardiac", 31), ("chest", 487)])
def test_each_patient_belongs_to_one_split(name, patients):
    rows, where = shared_out(DATA, name)
    assert {row["patient"] for row in rows} == set(where)
    assert len(where) == patients
    assert set(where.values()) == set(SPLITS)
    assert shared_out(DATA, name)[1] == where


def test_the_pictures_of_a_patient_lie_in_one_split(tmp_path):
    folder = tmp_path / TARGETS[CHEST]
    folder.mkdir(parents=True)
    lines = ["file,patient,age,sex,label"]
    for i in range(12):
        Image.fromarray(np.full((128, 128), 20 * i, np.uint8)).save(folder / f"{i}.png")
        lines.append(f"{i}.png,p{i % 6},50,F,pneumonia")
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    splits = read_target(tmp_path, CHEST)
    assert sorted(splits) == sorted(SPLITS)
    assert sum(len(one) for one in splits.values()) == 12
    for one, other in itertools.combinations(splits.values(), 2):
        assert not set(one.patients) & set(other.patients)
    for one in splits.values():
        assert one.pictures.shape[1:] == (SIDE, SIDE)
        assert np.abs(one.pictures).max() <= 1


def test_an_even_choice_takes_one_of_each_patient_in_turn():
    names = ["a"] * 5 + ["b"] * 2 + ["c"]
    split = Split(random_pictures(8), [Person(n, "normal") for n in names])
    assert even(split, 5).patients == ["a", "a", "b", "b", "c"]
    assert len(even(split, 100)) == 8


# Figures.


def test_kid_of_drawn_weights_is_that_of_the_pictures_they_choose():
    x, y = np.random.default_rng(1).normal(size=(2, 12, 5))
    kernels = Kernels.of(x, y)
    assert kernels.kid(np.ones(12), np.ones(12)) == pytest.approx(kid(x, y))
    some, others = np.array([1, 3, 4, 9]), np.array([0, 2, 5, 6, 11])
    chosen = [np.isin(np.arange(12), which).astype(float) for which in (some, others)]
    assert kernels.kid(*chosen) == pytest.approx(kid(x[some], y[others]))


def test_an_interval_over_few_patients_is_wider_than_over_many():
    rng = np.random.default_rng(2)
    own = np.repeat(rng.normal(size=(6, 4)), 10, axis=0) + 0.1 * rng.normal(size=(60, 4))
    made = rng.normal(size=(60, 4))
    wide, narrow = (
        kid_interval(made, a_reference(own, names))
        for names in ([str(i // 10) for i in range(60)], [str(i) for i in range(60)])
    )
    assert wide["value"] == narrow["value"]
    assert wide["high"] - wide["low"] > 1.5 * (narrow["high"] - narrow["low"])


def test_the_gap_of_a_set_to_itself_is_nothing_and_to_a_worse_one_below_0():
    rng = np.random.default_rng(3)
    real = a_reference(rng.normal(size=(50, 4)), [str(i) for i in range(50)])
    good = rng.normal(size=(50, 4))
    same = kid_gap(good, good, real)
    assert same == {"value": 0, "low": 0, "high": 0}
    gap = kid_gap(good, good + 1.0, real)
    assert gap["low"] < gap["value"] < gap["high"] < 0


def test_brightness_says_by_how_much_and_where():
    real = random_pictures(20) * 0.3
    assert brightness(real + 0.1, real) == pytest.approx(
        {"brightness_error": 0.1, "brightness_spread": 1.0, "background_error": 0.1}, abs=1e-5
    )
    grey = np.where(real < np.quantile(real, 0.1), 0.0, real)
    assert brightness(grey, real)["background_error"] > 0.05
    assert abs(brightness(grey, real)["brightness_error"]) < 0.03


# The classifier.


def test_auc_is_the_rank_statistic_ties_included():
    rng = np.random.default_rng(4)
    found = rng.random(60) < 0.4
    given = np.round(found + rng.normal(0, 1, 60), 1)
    expected = stats.mannwhitneyu(given[found], given[~found]).statistic / (found.sum() * (~found).sum())
    assert auc(given, found) == pytest.approx(expected)
    names = [str(i // 2) for i in range(60)]
    one = auc_interval([given], found, names)
    assert one["value"] == pytest.approx(expected)
    assert one["low"] < expected < one["high"]
    assert auc_interval([given], found, names, less=[given])["value"] == 0


def test_a_classifier_learns_what_there_is_and_says_where_there_is_nothing():
    def split(seed, gap):
        found = np.arange(32) % 2 == 0
        pictures = random_pictures(32, seed)
        pictures[found, 20:40, 20:40] += gap
        people = [Person(str(i), "pneumonia" if f else "no_finding") for i, f in enumerate(found)]
        return Split(pictures, people)

    held = split(9, 0.6)
    rows = compared(
        Labelled.of(split(1, 0.6)), {"drawn": Labelled.of(split(2, 0.0))}, held, updates=15, seeds=[1]
    )
    assert rows["real"]["value"] > 0.9
    assert rows["drawn, drawn"]["over_real"]["value"] < -0.1
    assert set(rows) == {"real", "drawn, as asked", *(f"drawn, {r}" for r in RECIPES[1:])}


# The plan.


def test_the_search_shares_its_runs_with_the_headline():
    searched = {run.name for run in grid(CHEST)}
    assert len(searched) == len(PAPER_GRID)
    first = {run.name for run in headline(CHEST, 0.05, [1])}
    assert first < searched
    assert len({run.name for run in headline(CHEST, 0.05, [1, 2, 3])}) == 6


def test_all_fine_tunings_differ_only_in_what_their_name_says(tmp_path):
    estimates = {"terminal_snr": [0.1, 0.0, 0.2, 0.0]}
    runs = [
        *grid(CHEST), *headline(CHEST, -0.1, [1, 2]), *schemes(CHEST, -0.1, estimates),
        *methods(CHEST, -0.1), *prompt_formats(-0.1),
    ]  # fmt: skip
    recipes = {run.name: recipe_of(run, tmp_path, 60) for run in runs}
    assert {r.steps for r in recipes.values()} == {60}
    assert {r.batch for r in recipes.values()} == {16}
    basic = [r for name, r in recipes.items() if "-basic-" in name]
    assert len({r.optimiser.rate for r in basic}) == 1
    plain = {name: not r.drift for name, r in recipes.items()}
    assert all(is_plain == ("-plain-" in name) for name, is_plain in plain.items())
    for method in METHODS:
        pair = [recipes[f"chest-{method}-{label}-1"] for label in ("plain", "noise-0.10")]
        assert pair[0].objective == pair[1].objective
        assert pair[0].prompts == pair[1].prompts


def test_minutes_scale_everything_that_is_trained():
    half, whole = Steps().scaled(30.0), Steps().scaled(60.0)
    assert whole == Steps()
    assert half.tuning * 2 == whole.tuning
    assert half.source * 2 == whole.source


# The source.


def test_the_tokenizer_reads_every_prompt_whole():
    words = read_tokenizer("tokenizer", new_tokenizer([*captions(), *MEDICAL]))
    runs = [Run(target, method=m) for target in TARGETS for m in ("basic", *METHODS)]
    runs += [Run(CHEST, words=words) for words in FORMATS]
    prompts = [
        prompt_for(words_of(run), one)
        for run in runs
        for one in PEOPLE
        if one.group in words_of(run).diagnoses
    ]
    assert any("63-year-old woman with no finding" in one for one in prompts)
    for one in words.encode_batch([*captions(), *prompts]):
        assert sum(one.attention_mask) < LENGTH
        assert "<|unknown|>" not in one.tokens


def test_learning_goes_on_where_it_was_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(drift_autoencoder, "KEEP_EVERY", 3)

    def learned(place, *parts):
        for steps_now in parts:
            torch.manual_seed(0)
            network = torch.nn.Linear(3, 1)
            ema = PowerEma(network, 2.0, trained_only=True)
            optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)

            def loss_at(step, network=network, stop=steps_now):
                if step == stop:
                    raise KeyboardInterrupt
                x = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
                return (network(x) - 1).square().mean()

            try:
                learn(network, optimiser, loss_at, 6, place, rate=0.1, ema=ema)
            except KeyboardInterrupt:
                continue
        return ema.weights

    whole, halves = learned(tmp_path / "a.pt", 99), learned(tmp_path / "b.pt", 4, 99)
    for name, weight in whole.items():
        assert torch.equal(weight, halves[name])


def test_the_autoencoder_is_shown_pictures_of_any_brightness():
    shown = np.concatenate(
        [
            batch(random_pictures(4), np.full((2, 128, 128), 0.5, np.float32), np.random.default_rng(i))
            for i in range(8)
        ]
    )
    assert shown.shape[1:] == (SIDE, SIDE)
    assert np.abs(shown).max() <= 1
    assert shown.mean((1, 2)).min() < -0.3
    assert shown.mean((1, 2)).max() > 0.3


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    vae = AutoencoderKL(**CONFIG).eval()
    small = NETWORK | {"block_out_channels": (16, 16, 16)}
    return new_network(vae, new_tokenizer([*captions(), *MEDICAL]), small).eval().requires_grad_(False)


def test_a_picture_depends_on_its_seed_and_place_alone(network):
    one, two = (draw(network, ["a photo of a bag"] * n, seed=5, steps=2) for n in (1, 2))
    assert one.shape == (1, SIDE, SIDE)
    assert np.abs(one).max() <= 1
    np.testing.assert_allclose(one[0], two[0], atol=1e-4)
    assert np.abs(two[0] - two[1]).max() > 1e-3


@pytest.mark.parametrize("scheme", ["init_only", "literal"])
def test_a_drift_of_sampling_changes_what_is_drawn_and_one_of_0_does_not(network, scheme):
    def drawn(delta):
        drift = Drift(delta=delta, scheme=scheme)
        return draw(network, ["a bag"], seed=5, steps=2, drift=drift)

    plain = draw(network, ["a bag"], seed=5, steps=2)
    np.testing.assert_array_equal(drawn(0.0), plain)
    assert np.abs(drawn(0.5) - plain).max() > 1e-3


def test_terminal_snr_is_the_share_of_the_latents_mean_that_the_start_leaves_out(network):
    pictures = random_pictures(6)
    means = latents_of(network, pictures).mean((0, 2, 3))
    np.testing.assert_allclose(by_terminal_snr(network, pictures), 0.068265 * means.numpy(), rtol=1e-3)
    assert reconstructed(network.vae, pictures).shape == pictures.shape
