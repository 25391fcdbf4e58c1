"""Laws that the statistics of a reader study keep for any answers."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.readings.statistics import agreement, equivalence, fleiss, gwet, jackknife, krippendorff, roc
from webapp.readings.statistics.agreement import tally
from webapp.readings.statistics.data import Answer, ratings_of
from webapp.readings.statistics.proportion import exact, wilson
from webapp.readings.statistics.report import analyse
from webapp.readings.statistics.weighted_kappa import weighted_kappa

GRADES = st.lists(st.integers(1, 5), min_size=4, max_size=30)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, truths with both kinds, and cases."""
    n = draw(st.integers(4, 30))
    score = np.array(draw(st.lists(st.integers(0, 6), min_size=n, max_size=n)), float)
    truth = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    truth[:2] = [True, False]
    case = np.array(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)))
    return score, truth, case


@settings(deadline=None)
@given(scored())
def test_an_area_depends_on_order_alone_and_turns_over_with_the_truth(drawn):
    score, truth, _ = drawn
    area = roc.auc(score, truth)
    assert 0 <= area <= 1
    assert roc.auc(np.exp(score) - 3, truth) == pytest.approx(area)
    assert roc.auc(-score, truth) == pytest.approx(1 - area)
    assert roc.auc(score, ~truth) == pytest.approx(1 - area)
    points = roc.points(score, truth)
    assert np.trapezoid(points.tpr, points.fpr) == pytest.approx(area)


@settings(deadline=None)
@given(scored())
def test_leaving_a_case_out_is_the_area_without_it(drawn):
    score, truth, case = drawn
    found = jackknife.area(score[None], truth, case)
    for c in np.unique(case):
        keep = case != c
        if truth[keep].any() and (~truth[keep]).any():
            assert found.without[0, c] == pytest.approx(roc.auc(score[keep], truth[keep]))


@settings(deadline=None)
@given(GRADES, st.randoms(use_true_random=False))
def test_agreement_with_oneself_is_whole_and_never_more(grades, random):
    one = np.array(grades, float)
    other = np.array(random.sample(grades, len(grades)), float)
    case = np.arange(len(one))
    same, mixed = tally(np.array([one, one]), case), tally(np.array([one, other]), case)
    for measure in (fleiss.fleiss_kappa, gwet.ac1, lambda t: krippendorff.alpha(t, "ordinal")):
        if len(set(grades)) > 1:
            assert measure(same).value == pytest.approx(1.0)
            assert measure(mixed).value <= 1 + 1e-12
    assert agreement.percent_agreement(mixed).value == pytest.approx((one == other).mean())
    if len(set(grades)) > 1:
        assert weighted_kappa(one, one) == pytest.approx(1.0)
        assert weighted_kappa(one, other) == pytest.approx(weighted_kappa(other, one))


@settings(deadline=None)
@given(st.integers(1, 400), st.floats(0, 1), st.floats(0.02, 0.3))
def test_intervals_hold_their_share_and_decide_equivalence(n, part, margin):
    k = round(part * n)
    for figure in (wilson(k, n), exact(k, n)):
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
    found = equivalence.exact_binomial(k, n, margin=margin)
    mirrored = equivalence.exact_binomial(n - k, n, margin=margin)
    assert found.p_value == pytest.approx(mirrored.p_value)
    if found.equivalent:
        assert abs(k / n - 0.5) < margin


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 7), st.booleans(), st.integers(1, 5)),
        max_size=40,
        unique_by=lambda row: row[:2],
    )
)
def test_any_answers_give_a_report(rows):
    """Plain JSON without nan, whatever was read and whatever was not."""
    answers: list[Answer] = [
        {
            "reader": f"R{reader}",
            "item": f"I{item}",
            "case": f"C{item // 2}",
            "is_synthetic": item % 3 == 0,
            "decision": called,
            "score": float(score),
        }
        for reader, item, called, score in rows
    ]
    found = analyse(ratings_of(answers), margin=0.1)
    json.dumps(found, allow_nan=False)
    assert all(isinstance(sentence, str) and sentence for sentence in found["headline"])
