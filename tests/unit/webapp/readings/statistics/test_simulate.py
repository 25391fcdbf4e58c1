"""200 simulated studies per chosen design: coverage and type-I error within binomial tolerance.

The full table (2,000 studies per cell, more designs) is docs/evidence/readings.md.
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from webapp.readings.statistics import evidence, proportion, roe_metz, simulate
from webapp.readings.statistics.simulate import Cell

STUDIES = 200
CHOSEN = [
    Cell("1 reader, 100 items", "one", 0.6),
    Cell("3 readers, 60 items", "alike", 0.6),
    Cell("3 readers, 60 items and 12 repeats", "different", 0.65),
    Cell("5 readers, 100 items", "different", 0.65),
    Cell("5 readers, 120 items of 40 cases", "different", 0.6),
    Cell("6 readers, 120 items, 50 synthetic, 30% unread", "different", 0.6),
]


@cache
def counts_of(cell: Cell) -> dict[str, float]:
    return simulate.run_cell(cell, studies=STUDIES, seed=1)


@pytest.mark.parametrize("cell", CHOSEN, ids=[cell.key for cell in CHOSEN])
def test_intervals_cover_and_equivalence_keeps_its_error(cell):
    """Fails where 93% coverage, or 5.5% error, would give such a count less than once in 2,000 runs."""
    found = counts_of(cell)
    for name in ("accuracy", "sensitivity", "specificity", "auc", "repeats"):
        known = int(found.get(f"{name}_known", 0))
        assert known or name == "repeats"
        least = stats.binom.ppf(0.0005, known, 0.93)
        assert found.get(f"{name}_covered", 0) >= least, name
    for name in ("accuracy", "auc"):
        assert found.get(f"{name}_equivalent", 0) <= stats.binom.ppf(0.9995, STUDIES, 0.055), name


@pytest.mark.parametrize("name", ["accuracy", "sensitivity", "specificity", "auc"])
def test_intervals_cover_over_all_designs(name):
    """The designs together, 1,200 studies: a standard error that is a quarter too small would not pass."""
    known = sum(counts_of(cell)[f"{name}_known"] for cell in CHOSEN)
    covered = sum(counts_of(cell)[f"{name}_covered"] for cell in CHOSEN)
    assert stats.binom.ppf(0.0005, known, 0.93) <= covered <= stats.binom.ppf(0.9995, known, 0.98)


def test_pooling_the_answers_as_if_independent_would_be_caught():
    """What the field mostly does: Wilson on all sensitivities together falls through the same gate."""
    design, readers = simulate.DESIGNS["5 readers, 100 items"], simulate.POPULATIONS["different"]
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(STUDIES):
        main = roe_metz.simulate(readers, design, rng).main()
        called = main.decision[main.is_synthetic]
        pooled = proportion.wilson(called.sum(), len(called))
        covered += pooled.low <= readers.accuracy <= pooled.high
    assert covered < stats.binom.ppf(0.0005, STUDIES, 0.93)


def test_guessing_readers_are_found_equivalent():
    found = simulate.run_cell(Cell("5 readers, 100 items", "alike", 0.5), studies=60, seed=1)
    assert found["accuracy_equivalent"] > 30


def test_every_cell_is_listed_once():
    names = [cell.key for cell in simulate.cells()]
    assert len(names) == len(set(names)) == 4 * (3 + 2 * 7)


def test_a_stopped_run_goes_on_where_it_was(tmp_path, capsys):
    """The second run computes nothing anew; the page states the command, the cells and what fell short."""
    state, page = tmp_path / "state.jsonl", tmp_path / "page.md"
    arguments = ["--studies", "5", "--seed", "3", "--only", "1 reader, 100", "--state", str(state)]
    simulate.main([*arguments, "--write", str(page)])
    assert len(state.read_text().splitlines()) == 4
    assert capsys.readouterr().out.count(" s\n") == 4
    simulate.main(arguments)
    assert capsys.readouterr().out.startswith("# Reader studies")
    text = page.read_text()
    assert "--studies 5 --seed 3" in text
    assert text.count("| 1 reader, 100 items | one |") == 5
    assert "| 1 reader, 100 items |" in text.split("## Coverage")[0]
    assert "Type-I error" in text
    assert simulate.read_state(state, studies=6, seed=3) == {}


def test_the_page_names_what_misses_the_goals():
    counts = {"studies": 100, "accuracy_known": 100, "accuracy_covered": 90, "accuracy_width": 10.0}
    counts |= {"auc_known": 100, "auc_covered": 99, "auc_width": 10.0, "accuracy_equivalent": 8}
    text = evidence.page([(CHOSEN[0], counts)], studies=100, seed=1)
    assert "1 reader, 100 items, one, true accuracy 0.6: accuracy 90.0" in text
    assert "true accuracy 0.6: auc 99.0" in text
    assert "true accuracy 0.6: accuracy 8.0" in text
    assert "Largest type-I error of the equivalence test: 8.0% (1 reader, 100 items, one, accuracy)" in text
    assert "| 1 reader, 100 items | 90.0 | 99.0 |" in text


def test_the_published_formula_stands_beside_the_reports():
    counts = counts_of(CHOSEN[1])
    text = evidence.page([(CHOSEN[1], counts)], studies=STUDIES, seed=1)
    published, ours = counts["accuracy_plain_covered"], counts["accuracy_covered"]
    assert published < ours
    assert f"| 3 readers, 60 items | alike | 0.6 | {published / 2:.1f} | {ours / 2:.1f} |" in text
