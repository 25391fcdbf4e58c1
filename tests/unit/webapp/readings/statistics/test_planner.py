"""Sizes and power: the published exact sizes, enumeration, and simulation against the report's own test."""

import numpy as np
import pytest

from webapp.readings.statistics import planner, report_study, roc, roe_metz
from webapp.readings.statistics.data import table
from webapp.readings.statistics.roe_metz import Design, Readers


@pytest.mark.parametrize(
    ("margin", "power", "items"),
    [
        (0.05, 0.8, 890),
        (0.05, 0.9, 1105),
        (0.1, 0.8, 227),
        (0.1, 0.9, 281),
        (0.15, 0.8, 100),
        (0.15, 0.9, 126),
    ],
)
def test_the_exact_sizes_of_one_reader(margin, power, items):
    """Exact binomial TOST, true accuracy 1/2; the two sizes at 0.05 are published as "about"."""
    found = planner.equivalence_items(margin=margin, power=power)
    assert found == pytest.approx(items, abs=2 if margin == 0.05 else 0)
    around = np.arange(found - 1, found + 400)
    powers = planner.equivalence_power(around, margin=margin)
    assert powers[0] < power
    assert (powers[1:] >= power).all()


def test_impossible_plans_are_refused_or_none():
    with pytest.raises(ValueError, match=r"within 0\.1"):
        planner.equivalence_items(margin=0.1, true=0.6)
    assert planner.equivalence_items(margin=0.1, most=100) is None
    with pytest.raises(ValueError, match="2 readers"):
        planner.many_readers_power(1, 60, margin=0.1)


@pytest.mark.parametrize(("measure", "margin"), [("accuracy", 0.1), ("auc", 0.15)])
def test_the_fast_simulation_runs_the_reports_test(measure, margin):
    """The same draws through the planner's closed forms and through the report: the same verdicts.

    The area's covariances are DeLong's here and jackknifed there, so a few close calls may differ.
    """
    population, design = Readers(bias=0.2, skill=0.056), Design(readers=3, items=100, synthetic=50)
    truth = roe_metz.truths(design)
    quick, slow = [], []
    for seed in range(60):
        x, _ = roe_metz.latent(population, design, np.random.default_rng(seed))
        found = (planner._accuracies if measure == "accuracy" else planner._areas)(x[None], truth)
        quick.append(planner._declared(*found, margin, 0.05) == 1)
        answers = table(roe_metz.simulate(population, design, np.random.default_rng(seed)).main())
        one = report_study.accuracy_equivalence if measure == "accuracy" else report_study.auc_equivalence
        slow.append(one(answers, margin=margin, alpha=0.05).equivalent)
    assert 5 < sum(slow) < 55
    assert sum(a != b for a, b in zip(quick, slow, strict=True)) <= (0 if measure == "accuracy" else 2)


def test_quick_areas_are_delongs():
    design = Design(readers=3, items=40, synthetic=16)
    x, _ = roe_metz.latent(Readers(), design, np.random.default_rng(1))
    truth = roe_metz.truths(design)
    values, covariances = planner._areas(x[None], truth)
    level = np.searchsorted(roe_metz.CUTS, x).astype(float)
    assert values[0] == pytest.approx([roc.auc(row, truth) for row in level])
    assert covariances[0] == pytest.approx(roc.delong_covariance(level, truth))


def test_a_plan_for_a_plot():
    found = planner.plan([1, 2, 6], [40, 120, 240], margin=0.15, studies=60, seed=4)
    assert [curve["readers"] for curve in found["curves"]] == [1, 2, 6]
    alone, _, six = found["curves"]
    assert alone["exact"]
    assert not six["exact"]
    assert six["points"][2]["power"] > 0.9 > six["points"][0]["power"]
    assert "about" in six["sentence"]
    assert found["one_reader"] == {"80": 100, "90": 126}
    assert found == planner.plan([1, 2, 6], [40, 120, 240], margin=0.15, studies=60, seed=4)
    areas = planner.plan([1, 3], [40], margin=0.15, measure="auc", studies=20)
    assert [curve["readers"] for curve in areas["curves"]] == [3]
    better = roe_metz.with_accuracy(0.7, Readers())
    assert planner.plan([1], [40], margin=0.15, population=better)["one_reader"] == {"80": None, "90": None}
