"""The whole report: its shape, its sentences, studies at the edge, and 20 readers x 500 items in time."""

import json
import time

import numpy as np
import pytest

from tests.unit.webapp.readings.statistics.answers import answer, study
from webapp.readings.statistics import roe_metz
from webapp.readings.statistics.data import Grades, Ratings, Role, ratings_of
from webapp.readings.statistics.report import analyse
from webapp.readings.statistics.roe_metz import Design, Readers

FIGURE = {"value", "low", "high", "level", "n", "method", "note", "sentence", "parts"}
BLOCKS = {
    "schema",
    "protocol",
    "settings",
    "design",
    "headline",
    "accuracy",
    "sensitivity",
    "specificity",
    "balanced_accuracy",
    "auc",
    "strata",
    "equivalence",
    "readers",
    "agreement",
    "repeatability",
    "time",
    "difficulty",
    "difficulty_summary",
    "controls",
    "severity",
    "formulas",
}


def simulated(readers: int, items: int, seed: int = 1, **more) -> Ratings:
    design = Design(readers=readers, items=items, synthetic=items // 2, **more)
    return roe_metz.simulate(Readers(), design, np.random.default_rng(seed))


def report(ratings: Ratings, **more) -> dict:
    found = analyse(ratings, margin=0.1, **more)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found) == BLOCKS
    return found


def figures(value, path=""):
    """Every FIGURE in the report with its path."""
    if isinstance(value, dict) and set(value) == FIGURE:
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from figures(part, f"{path}.{key}")
    elif isinstance(value, list):
        for k, part in enumerate(value):
            yield from figures(part, f"{path}[{k}]")


def test_an_ordinary_study():
    """Every figure has a sentence and an interval around its value; the arithmetic is that of the answers."""
    ratings = simulated(4, 60, repeats=12)
    found = report(ratings, protocol={"hash": "abc"})
    assert found["protocol"] == {"hash": "abc"}
    for path, figure in figures(found):
        assert figure["sentence"], path
        assert figure["low"] <= figure["value"] <= figure["high"], path
    main = ratings.main()
    right = main.decision == main.is_synthetic
    assert found["accuracy"]["value"] == pytest.approx(right.mean())
    assert found["sensitivity"]["value"] == pytest.approx(main.decision[main.is_synthetic].mean())
    for number, one in enumerate(found["readers"]):
        own = main.reader == number
        assert one["accuracy"]["value"] == pytest.approx(right[own].mean())
        assert one["confusion"]["true_positive"] == (main.decision & main.is_synthetic)[own].sum()
        assert one["roc"]["fpr"][0] == 0
        assert one["roc"]["threshold"][0] is None
        assert one["repeats"]["pairs"] == 12
    assert found["design"]["sentence"].startswith("4 readers read 60 items (30 synthetic, 30 real)")
    assert found["repeatability"]["pairs"] == 48
    assert found["time"]["by_position"]["position"] == list(range(1, 61))
    assert len(found["difficulty"]) == 60
    assert found["strata"] == []
    assert len(found["headline"]) == 4


def test_the_same_answers_give_the_same_report():
    assert report(simulated(3, 40)) == report(simulated(3, 40))


def test_the_order_of_the_answers_does_not_matter():
    """The rows of a study shuffled: the same figures."""
    ratings = simulated(3, 40, unread=0.2)
    shuffled = ratings.select(np.random.default_rng(2).permutation(len(ratings)))
    plain, mixed = report(ratings), report(shuffled)
    for (path, one), (_, other) in zip(figures(plain), figures(mixed), strict=True):
        assert one["value"] == pytest.approx(other["value"]), path
        assert one["low"] == pytest.approx(other["low"]), path


def test_repeats_and_controls_change_no_main_figure():
    truth = np.arange(30) < 15
    decisions = (np.random.default_rng(3).random((3, 30)) < 0.5).astype(float)
    rows = study(decisions, truth)
    plain = report(rows)
    more = [
        answer(name, item, synthetic, True, None, role=role)
        for name in ("R1", "R2", "R3")
        for item, synthetic, role in (
            ("bad 1", True, Role.POSITIVE_CONTROL),
            ("bad 2", True, Role.POSITIVE_CONTROL),
            ("rebuilt 1", False, Role.NEGATIVE_CONTROL),
            ("rebuilt 2", False, Role.NEGATIVE_CONTROL),
            ("look 1", True, Role.ATTENTION),
            ("look 2", False, Role.ATTENTION),
        )
    ]
    listed = [
        answer(f"R{r + 1}", f"item {i + 1}", bool(truth[i]), bool(decisions[r, i]), None, position=i + 1)
        for r in range(3)
        for i in range(30)
    ]
    again = [answer("R1", "item 1", bool(truth[0]), False, None, repeat=True)]
    found = report(ratings_of([*listed, *more, *again]))
    for name in ("accuracy", "sensitivity", "equivalence", "agreement", "difficulty"):
        assert found[name] == plain[name]
    assert found["controls"]["positive"]["called_synthetic"]["value"] == 1.0
    assert found["controls"]["negative"]["called_synthetic"]["value"] == 1.0
    assert found["controls"]["attention"]["right"]["value"] == 0.5
    assert plain["controls"] == {"positive": None, "negative": None, "attention": None}
    assert found["design"]["controls"] == 12
    assert found["design"]["attention"] == 6


def test_the_preregistered_measure_leads_and_the_other_is_marked():
    found = report(simulated(5, 100), measure="auc")
    tests = found["equivalence"]
    assert tests["auc"]["preregistered"] is True
    assert tests["accuracy"]["preregistered"] is False
    assert "not preregistered" in tests["accuracy"]["sentence"]
    assert tests["auc"]["sentence"] in found["headline"]


def test_not_significant_is_not_equivalent():
    found = report(simulated(1, 40))
    assert found["equivalence"]["accuracy"]["verdict"] == "inconclusive"
    assert "Not significant is not equivalent" in " ".join(found["headline"])


def test_unequal_kinds_are_judged_on_balanced_accuracy():
    """A reader who calls everything real is right on 80% of these items, and guesses."""
    truth = np.arange(100) < 20
    decisions = np.zeros((3, 100))
    decisions[:, ::10] = 1
    found = report(study(decisions, truth))
    assert found["accuracy"]["value"] == pytest.approx(0.74)
    assert found["equivalence"]["accuracy"]["estimate"] == pytest.approx(0.5)
    assert found["equivalence"]["accuracy"]["measure"] == "balanced accuracy"
    assert any("guessing need not give 50%" in rule for rule in found["design"]["rules"])


def test_strata_are_analysed_one_by_one():
    rows = [
        answer(f"R{r}", f"{where} {i}", i % 2 == 0, (i + r) % 3 == 0, float(i % 5), stratum=where)
        for r in range(3)
        for where in ("chest", "liver")
        for i in range(12)
    ]
    found = report(ratings_of(rows))
    assert [one["stratum"] for one in found["strata"]] == ["chest", "liver"]
    assert found["strata"][0]["accuracy"]["n"] == 36
    assert {one["stratum"] for one in found["difficulty"]} == {"chest", "liver"}


def test_graded_questions():
    rng = np.random.default_rng(5)
    reader, item = (part.ravel() for part in np.indices((3, 40)))
    intended = np.where(np.arange(40) < 20, np.arange(40) % 4, np.nan)
    grade = np.clip(np.arange(40)[item] % 4 + rng.integers(-1, 2, 120), 0, 3).astype(float)
    names = tuple(f"R{r}" for r in range(3)), tuple(f"item {i}" for i in range(40))
    found = report(
        simulated(3, 40), grades=[Grades("Severity", reader, item, item, grade, intended[item], *names)]
    )
    block = found["severity"][0]
    assert block["question"] == "Severity"
    assert sum(block["counts"].values()) == 120
    for name in ("kappa_quadratic", "kappa_linear", "krippendorff_ordinal", "against_intended"):
        assert block[name]["low"] < block[name]["value"] < block[name]["high"]
        assert block[name]["sentence"]


EDGES = {
    "empty": [],
    "one answer": [answer("A", "1", True, True, 5.0)],
    "two readers, one item": [answer("A", "1", True, True, 5.0), answer("B", "1", True, False, 2.0)],
    "one kind": [answer(r, str(i), True, i % 2 == 0, i % 5) for r in "AB" for i in range(10)],
    "all right": [answer(r, str(i), i < 5, i < 5, float(i < 5)) for r in "ABC" for i in range(10)],
    "all wrong": [answer(r, str(i), i < 5, i >= 5, float(i >= 5)) for r in "ABC" for i in range(10)],
    "one reader, all right": [answer("A", str(i), i < 5, i < 5, float(i < 5)) for i in range(10)],
    "no confidence": [answer(r, str(i), i < 5, (i + ord(r)) % 3 == 0) for r in "ABC" for i in range(10)],
    "always the same": [answer(r, str(i), i < 5, True, 3.0) for r in "ABC" for i in range(10)],
    "no item in common": [answer(r, r + str(i), i < 5, i % 3 == 0, i % 4) for r in "ABC" for i in range(10)],
    "one case": [answer(r, str(i), i < 5, i % 3 == 0, i % 4, case="x") for r in "AB" for i in range(10)],
    "only repeats": [answer("A", "1", True, True, 5.0, repeat=True)],
    "unequal kinds, one reader": [answer("A", str(i), i < 3, i % 3 == 0, i % 4) for i in range(13)],
}


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.filterwarnings("error")
def test_studies_at_the_edge_give_a_report_and_no_warning(name):
    for path, figure in figures(report(ratings_of(EDGES[name]))):
        assert figure["sentence"], path
        if figure["value"] is None:
            assert figure["note"], path
        if figure["low"] is not None:
            assert figure["low"] <= figure["value"] <= figure["high"], path


def test_settings_are_checked():
    ratings = ratings_of([])
    for wrong in ({"margin": 0.0}, {"margin": 0.5}, {"margin": 0.1, "alpha": 0.7}):
        with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
            analyse(ratings, **wrong)
    with pytest.raises(ValueError, match="accuracy or auc"):
        analyse(ratings, margin=0.1, measure="kappa")


def test_twenty_readers_and_five_hundred_items_in_seconds():
    ratings = simulated(20, 500, repeats=20)
    began = time.process_time()
    report(ratings)
    assert time.process_time() - began < 8
