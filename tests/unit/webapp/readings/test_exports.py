"""Cells that a spreadsheet would run are made harmless, and tables keep RFC 4180."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.readings.exports import EXPORTS, safe, table


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|'/c calc'!A0", "＝1+1"]
)
def test_formulas_are_made_text(cell):
    assert safe(cell) == f"'{cell}"


def test_numbers_and_plain_words_stay():
    assert [safe(cell) for cell in (-1, -0.5, "Reader 1", "", None)] == [-1, -0.5, "Reader 1", "", None]


@given(
    st.lists(
        st.lists(
            st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")),
            min_size=2,
            max_size=2,
        )
    )
)
def test_any_text_comes_back_and_no_cell_begins_as_a_formula(rows):
    read = list(csv.reader(io.StringIO(table(("a", "b"), rows).decode(), newline="")))
    assert read[0] == ["a", "b"]
    for cells, row in zip(read[1:], rows, strict=True):
        for cell, text in zip(cells, row, strict=True):
            assert cell in (text, f"'{text}")
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_every_kind_has_its_own_ending():
    endings = [export.ending for export in EXPORTS.values()]
    assert len(set(endings)) == len(endings)
