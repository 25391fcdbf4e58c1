"""Nothing that serves a reader knows where the truth lies: not by import, not by name, not by relation."""

import ast
import re

import pytest

from tests.contracts.source import ROOT, Source, within

READINGS = ROOT / "webapp" / "readings"
SERVING = sorted((READINGS / "serving").glob("*.py"))
TAKING = [*sorted(READINGS.glob("*_taking.py")), READINGS / "viewing.py"]
MODULES = [Source(path) for path in (*SERVING, *TAKING)]
TEMPLATES = sorted((READINGS / "templates" / "readings").glob("take_*.html"))
SCRIPTS = sorted((ROOT / "frontend" / "src" / "readings").glob("*.ts"))
FORBIDDEN = (
    "webapp.readings.models.truth",
    "webapp.readings.models.ItemTruth",
    "webapp.readings.models.Preparation",
    "webapp.readings.models.ReadingReport",
    "webapp.readings.audit",
    "webapp.readings.harmonising",
    "webapp.readings.statistics",
    "webapp.cases",
    "webapp.jobs",
    "webapp.registry",
)
NAMES = {
    "ItemTruth",
    "Preparation",
    "ReadingReport",
    "truth",
    "arm",
    "control",
    "stratum",
    "get_model",
    "apps",
}
WORDS = re.compile(r"ItemTruth|itemtruth|\btruth(?:__|\.)|__truth|\barm\b|\bstratum\b|jobs_result|cases_case")


def test_there_is_something_to_look_at() -> None:
    assert len(SERVING) >= 6
    assert {path.stem for path in TAKING} >= {"views_taking", "services_taking", "selectors_taking"}
    assert len(TEMPLATES) == 3
    assert len(SCRIPTS) > 8


@pytest.mark.parametrize("source", MODULES, ids=lambda one: one.path.stem)
def test_no_import_of_the_truth(source: Source) -> None:
    against = [f"{line}: {name}" for name, line in source.imports if within(name, *FORBIDDEN)]
    assert not against
    whole = [
        f"{line}: {name}"
        for name, line in source.imports
        if name in {"webapp.readings.models", "webapp.readings.models.*"}
    ]
    assert not whole, "models come from models.study and models.taking, never from the package that holds all"


@pytest.mark.parametrize("source", MODULES, ids=lambda one: one.path.stem)
def test_no_name_of_the_truth(source: Source) -> None:
    against = []
    for node in ast.walk(source.tree):
        named = (
            node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        )
        if named in NAMES:
            against.append(f"{node.lineno}: {named}")  # type: ignore[attr-defined]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORDS.search(node.value):
            against.append(f"{node.lineno}: {node.value!r}")
        if isinstance(node, ast.keyword) and node.arg and WORDS.search(node.arg):
            against.append(f"{node.value.lineno}: {node.arg}=")
    assert not against


@pytest.mark.parametrize("path", [*TEMPLATES, *SCRIPTS], ids=lambda path: path.stem)
def test_no_page_and_no_script_names_it(path) -> None:
    assert not WORDS.search(path.read_text())


def test_the_reading_page_reuses_nothing_that_names_or_marks_an_image() -> None:
    for path in SCRIPTS:
        text = path.read_text()
        for part in ("viewer/overlay", "viewer/case", "viewer/compare", "viewer/mask", "SYNTHETIC"):
            assert part not in text, path.name
    page = (READINGS / "templates" / "readings" / "take_read.html").read_text()
    assert "Synthetic images" not in page


def test_the_rules_would_see_an_offence(tmp_path) -> None:
    bad = tmp_path / "views_taking.py"
    bad.write_text(
        "from webapp.readings.models import ItemTruth\n"
        "def f(item): return item.truth.arm, X.filter(item__truth__arm='real')\n"
    )
    tree = ast.parse(bad.read_text())
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert names & NAMES == {"truth", "arm"}
    assert any(isinstance(node, ast.keyword) and WORDS.search(node.arg or "") for node in ast.walk(tree))
