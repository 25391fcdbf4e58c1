"""How files may look: no junk drawers, no giants without a reason, a sentence at the top of each."""

import ast

import pytest

from tests.contracts.source import Source, sources

FILE_LINES = 400
FUNCTION_LINES = 60
# Longer ones and why: a reason, or it is to be cut.
LONG_FILES = {
    "webapp/cases/importing/deidentify.py": "one table of identifying attributes, read as a whole",
    "tests/browser/test_viewer.py": "every promise of one page, with the helpers that read its canvas",
}
LONG_FUNCTIONS = {
    "webapp/cases/importing/volumes.py:_store": "hands many named things on, once and in order",
    "tests/browser/test_journeys.py:test_from_a_real_scan": "a journey is told from beginning to end",
}
EVERY = list(sources())


def test_no_junk_drawers() -> None:
    named = [
        source.name for source in EVERY if source.path.stem in {"utils", "util", "helpers", "misc", "common"}
    ]
    assert not named, "a helper lives with its noun"


def test_files_are_short() -> None:
    long = {
        source.name: lines
        for source in EVERY
        if (lines := source.text.count("\n")) > FILE_LINES and source.name not in LONG_FILES
    }
    assert not long


def test_functions_are_short() -> None:
    long = {}
    for source in EVERY:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _words(node)
                place = f"{source.name}:{node.name}"
                if lines > FUNCTION_LINES and place not in LONG_FUNCTIONS:
                    long[place] = lines
    assert not long


@pytest.mark.parametrize("room", ["webapp", "synthesis", "workers", "training", "docker", "tests"])
def test_each_file_says_what_it_is_for(room: str) -> None:
    silent = [source.name for source in sources(room) if source.text.strip() and not _docstring(source)]
    assert not silent


def _words(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's docstring, which count for nothing."""
    first = node.body[0]
    return (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node) else 0


def _docstring(source: Source) -> bool:
    return bool(ast.get_docstring(source.tree)) or source.name == "manage.py"
