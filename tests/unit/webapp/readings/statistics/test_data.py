"""Answers as arrays and as a table: labels, roles, repeats, gaps, and what is refused."""

import numpy as np
import pytest

from tests.unit.webapp.readings.statistics.answers import answer
from webapp.readings.statistics.data import Grades, Role, ratings_of, table

ROWS = [
    answer("Ann", "a", True, True, 5.0),
    answer("Ann", "b", False, True, 4.0),
    answer("Ann", "a", True, False, 2.0, repeat=True, position=9),
    answer("Bob", "b", False, False, 1.0),
    answer("Bob", "c", True, True, None, role=Role.POSITIVE_CONTROL),
]


def test_labels_are_numbered_as_they_come():
    found = ratings_of(ROWS)
    assert found.readers == ("Ann", "Bob")
    assert found.items == ("a", "b", "c")
    assert found.reader.tolist() == [0, 0, 0, 1, 1]
    assert found.item.tolist() == [0, 1, 0, 1, 2]
    assert np.isnan(found.score[4])
    assert len(found) == 5


def test_main_answers_leave_out_repeats_and_controls():
    main = ratings_of(ROWS).main()
    assert main.item.tolist() == [0, 1, 1]
    assert main.items == ("a", "b", "c")


def test_the_table_has_gaps_where_nobody_answered():
    found = table(ratings_of(ROWS).main())
    assert found.read.tolist() == [[True, True], [False, True]]
    assert found.decision.tolist() == [[True, True], [False, False]]
    assert found.truth.tolist() == [True, False]
    assert np.array_equal(found.correct, [[1, 0], [np.nan, 1]], equal_nan=True)
    assert np.isnan(found.score[1, 0])


def test_cases_are_numbered_from_zero():
    rows = [answer("Ann", str(i), True, True, case=f"patient {i // 2}") for i in range(4)]
    assert table(ratings_of([*rows[2:], *rows[:2]]).main()).case.tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])


def test_an_empty_study_is_no_error():
    found = table(ratings_of([]))
    assert found.read.shape == (0, 0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([answer("Ann", "a", True, True), answer("Ann", "a", True, False)], "mark the later as a repeat"),
        ([answer("Ann", "a", True, True), answer("Bob", "a", False, True)], "one is_synthetic per item"),
        ([answer("Ann", "a", True, True), answer("Bob", "a", True, True, case="x")], "one case per item"),
    ],
)
def test_contradictions_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        ratings_of(rows)


def test_lengths_and_indices_are_checked():
    found = ratings_of(ROWS)
    parts = {name: getattr(found, name) for name in found.__dataclass_fields__}
    with pytest.raises(ValueError, match="one length"):
        type(found)(**{**parts, "seconds": parts["seconds"][:2]})
    with pytest.raises(ValueError, match="reader between 0 and 0"):
        type(found)(**{**parts, "readers": ("Ann",)})
    with pytest.raises(ValueError, match="one length"):
        Grades("q", *(np.zeros(n, np.int64) for n in (2, 2, 2)), np.zeros(2), np.zeros(3), ("a",), ("b",))
