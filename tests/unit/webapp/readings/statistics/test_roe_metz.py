"""The simulated readers do what their formulas say."""

import numpy as np
import pytest

from webapp.readings.statistics import roe_metz
from webapp.readings.statistics.data import table
from webapp.readings.statistics.roe_metz import Design, Readers

MANY = Design(readers=300, items=600, synthetic=300)


def test_true_figures_by_drawing():
    """Accuracy, area of the continuous X and of the six levels, over 300 readers x 600 items."""
    readers = Readers(separation=0.9, bias=0.2, skill=0.056)
    x, _ = roe_metz.latent(readers, MANY, np.random.default_rng(1))
    truth = roe_metz.truths(MANY)
    right = (x > 0) == truth
    assert right.mean() == pytest.approx(readers.accuracy, abs=0.012)
    level = np.searchsorted(roe_metz.CUTS, x)
    for values, true in ((x, readers.auc), (level, readers.ordinal_auc)):
        high, low = values[:, truth][:60], values[:, ~truth][:60]
        psi = (high[:, :, None] > low[:, None, :]) + 0.5 * (high[:, :, None] == low[:, None, :])
        assert psi.mean() == pytest.approx(true, abs=0.025)


def test_variances_add_up():
    readers = Readers(bias=0.1, skill=0.2, case=0.3, interaction=0.15, error=0.55)
    x, _ = roe_metz.latent(readers, MANY, np.random.default_rng(2))
    assert x.var() == pytest.approx(readers.spread**2, rel=0.1)
    truth = roe_metz.truths(MANY)
    assert x[:, truth].mean(1).var() == pytest.approx(0.3, rel=0.2)  # leaning and skill
    assert x.mean(0).var() == pytest.approx(0.3, rel=0.2)  # case


def test_repeats_share_all_but_the_error():
    design = Design(readers=50, items=200, synthetic=100, repeats=200)
    first, again = roe_metz.latent(Readers(), design, np.random.default_rng(3))
    assert (first - again).var() == pytest.approx(2 * 0.5, rel=0.05)


def test_items_of_one_case_and_kind_share_their_effect():
    design = Design(readers=1, items=6000, synthetic=3000, items_per_case=6)
    readers = Readers(bias=0, skill=0, case=0.6, interaction=0.1, error=0.3, shared=1.0)
    x, _ = roe_metz.latent(readers, design, np.random.default_rng(4))
    truth, case = roe_metz.truths(design), roe_metz.cases(design)
    pairs = [x[0, (case == c) & truth] for c in range(1000)]
    same = [(own[0], own[1]) for own in pairs if len(own) >= 2]
    assert np.corrcoef(np.array(same).T)[0, 1] == pytest.approx(0.6, abs=0.07)


def test_targets_are_met():
    readers = Readers(bias=0.2, skill=0.056)
    assert roe_metz.with_accuracy(0.7, readers).accuracy == pytest.approx(0.7)


def test_the_design_is_kept():
    design = Design(readers=5, items=60, synthetic=20, unread=0.25, repeats=8)
    found = roe_metz.simulate(Readers(), design, np.random.default_rng(5))
    answers = table(found.main())
    assert answers.truth.sum() == 20
    assert answers.read.mean() == pytest.approx(0.75, abs=0.1)
    assert set(np.unique(found.score)) <= {1.0, 2, 3, 4, 5, 6}
    assert ((found.score > 3) == found.decision).all()
    assert found.repeat.sum() <= 40
    slider = roe_metz.simulate(
        Readers(), Design(readers=1, items=60, synthetic=30, slider=True), np.random.default_rng(5)
    )
    assert len(np.unique(slider.score)) > 20


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="variances"):
        Readers(bias=-0.1)
