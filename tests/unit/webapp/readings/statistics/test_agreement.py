"""Fleiss' kappa, Gwet's AC1 and Krippendorff's alpha against their authors' worked examples."""

from itertools import permutations

import numpy as np
import pytest
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from webapp.readings.statistics import agreement, fleiss, gwet, krippendorff
from webapp.readings.statistics.agreement import Tally, tally

NAN = np.nan

# Krippendorff, "Computing Krippendorff's alpha-reliability" (2011): 4 observers, 12 units, gaps. Gwet (2014)
# and the irrCAC package use the same table: Fleiss .76117, AC1 .77544, alpha .74342, agreement .81818.
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)

# Fleiss, Psychol Bull 1971;76:378-382, table 1: 30 patients, 6 psychiatrists; depression, personality
# disorder, schizophrenia, neurosis, other.
PATIENTS = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006
10050 11040 03300 10050 02031 00501 30012 51000 02040 10203
00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""
FLEISS = np.array([[float(digit) for digit in word] for word in PATIENTS.split()])


def items(counts: np.ndarray) -> Tally:
    return Tally(counts, np.arange(counts.shape[1], dtype=float), np.arange(len(counts)))


def test_fleiss_1971():
    found = fleiss.fleiss_kappa(items(FLEISS))
    assert found.value == pytest.approx(0.430, abs=5e-4)
    assert found.value == pytest.approx(statsmodels_fleiss(FLEISS))
    assert found.n == 180
    assert found.low < 0.430 < found.high


def test_a_kappa_below_chance_by_hand():
    """Two items, four readers, split evenly both times: Pa = 1/3, Pe = 1/2, kappa = -1/3."""
    found = fleiss.fleiss_kappa(items(np.array([[2.0, 2], [2, 2]])))
    assert found.value == pytest.approx(-1 / 3)


@pytest.mark.parametrize(("scale", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_krippendorff_2011(scale, value):
    found = krippendorff.alpha(tally(OBSERVERS, np.arange(12)), scale)
    assert found.value == pytest.approx(value, abs=5e-4)


def test_gwet_2014():
    found = tally(OBSERVERS, np.arange(12))
    assert agreement.percent_agreement(found).value == pytest.approx(0.81818, abs=5e-6)
    assert fleiss.fleiss_kappa(found).value == pytest.approx(0.76117, abs=5e-6)
    assert gwet.ac1(found).value == pytest.approx(0.77544, abs=5e-6)
    assert krippendorff.alpha(found, "nominal").value == pytest.approx(0.74342, abs=5e-6)


@pytest.mark.parametrize("scale", ["nominal", "ordinal", "interval"])
def test_alpha_is_its_definition(scale):
    """1 - Do/De over all ordered pairs, the ordinal metric from the sums of margins, gaps and all."""
    values = np.random.default_rng(2).integers(1, 6, (5, 20)).astype(float)
    values[np.random.default_rng(3).random((5, 20)) < 0.3] = NAN
    units = [column[np.isfinite(column)] for column in values.T]
    units = [unit for unit in units if len(unit) >= 2]
    pooled = np.concatenate(units)
    margin = {level: float((pooled == level).sum()) for level in np.unique(pooled)}

    def metric(c: float, k: float) -> float:
        low, high = min(c, k), max(c, k)
        between = sum(n for level, n in margin.items() if low <= level <= high)
        ordinal = between - (margin[c] + margin[k]) / 2
        return {"nominal": float(c != k), "interval": (c - k) ** 2, "ordinal": ordinal**2}[scale]

    n = len(pooled)
    observed = (
        sum(sum(metric(a, b) for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / n
    )
    expected = sum(metric(a, b) for a, b in permutations(pooled, 2)) / (n * (n - 1))
    found = krippendorff.alpha(tally(values, np.arange(20)), scale)
    assert found.value == pytest.approx(1 - observed / expected)


def test_the_jackknife_leaves_out_whole_cases():
    values = np.random.default_rng(4).integers(0, 2, (3, 12)).astype(float)
    case = np.repeat(np.arange(6), 2)
    found = fleiss.fleiss_kappa(tally(values, case))
    without = [fleiss.fleiss_kappa(tally(values[:, case != c], np.arange(10))).value for c in range(6)]
    error = np.sqrt(5 / 6 * ((np.array(without) - np.mean(without)) ** 2).sum())
    assert found.parts["standard_error"] == pytest.approx(error)


def test_rare_answers_sink_kappa_but_not_ac1():
    """Feinstein and Cicchetti's paradox: 118 agreements on one side, 2 and 5 disagreements."""
    counts = np.array([[2.0, 0]] * 118 + [[1, 1]] * 7)
    assert fleiss.fleiss_kappa(items(counts)).value < 0
    assert gwet.ac1(items(counts)).value > 0.93


def test_what_cannot_be_known_is_said():
    same = tally(np.ones((3, 4)), np.arange(4))
    assert "All answers are the same" in fleiss.fleiss_kappa(same).note
    assert gwet.ac1(same, categories=2).value == 1.0
    alone = tally(np.array([[1.0, 2, NAN], [NAN, NAN, 3.0]]), np.arange(3))
    assert "two readers" in krippendorff.alpha(alone, "nominal").note
    assert fleiss.fleiss_kappa(tally(np.zeros((0, 0)), np.zeros(0, np.int64))).value is None
    assert "Too few cases" in fleiss.fleiss_kappa(tally(np.array([[0.0, 1], [0, 0]]), np.array([0, 0]))).note
