"""The page of evidence: sections replace their own and no other."""

from pathlib import Path

from webapp.readings.audit.evidence import TITLE, section_write


def test_a_section_replaces_its_own(tmp_path: Path) -> None:
    page = tmp_path / "evidence" / "page.md"
    section_write(page, "## One", "## One\n\nfirst")
    section_write(page, "## Two", "## Two\n\nsecond")
    section_write(page, "## One", "## One\n\nthird\n\n### Part\n\nmore")
    assert page.read_text() == f"{TITLE}\n\n## One\n\nthird\n\n### Part\n\nmore\n\n## Two\n\nsecond\n"
