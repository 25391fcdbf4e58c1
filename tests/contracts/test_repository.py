"""What the repository holds and what it must never hold."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command

from synthesis import catalog
from tests.contracts.source import ROOT
from tests.suite import ON_SERVERS

TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".html", ".ts", ".css", ".svg", "", ".cfg"}
SECRETS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"),
    "an access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9]{32,})\b"),
}
MACHINE = re.compile(r"(?<![\w.])/(?:root|home/[a-z]+|work/(?:main|shared|plan))/")
LARGEST = 26 * 1024 * 1024  # the shipped model is at most 25 MB


def tracked() -> list[Path]:
    """The files that git knows; all files of a checkout without git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this checkout is not a git repository, so it is not known which files are its own")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def texts() -> list[tuple[str, str]]:
    """Each tracked text file's name and text, this file aside."""
    return [
        (path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8", errors="replace"))
        for path in tracked()
        if path.suffix in TEXT and path != Path(__file__) and path.name != "package-lock.json"
    ]


def test_no_secret_is_committed() -> None:
    found = [
        f"{name}: {what}" for name, text in texts() for what, shape in SECRETS.items() if shape.search(text)
    ]
    assert not found


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found = [f"{name}: {match.group()}" for name, text in texts() if (match := MACHINE.search(text))]
    assert not found


def test_nothing_large_or_generated_is_committed() -> None:
    names = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in tracked()}
    assert not {name: size for name, size in names.items() if size > LARGEST}
    generated = ("var/", ".venv/", "frontend/dist/", "frontend/node_modules/")
    assert not [name for name in names if name.startswith(generated) or "__pycache__" in name]
    assert not [name for name in names if Path(name).suffix in {".pt", ".pth", ".ckpt", ".bin", ".pkl"}]


def test_licence_and_notice() -> None:
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_the_notice_names_every_package_that_the_site_may_serve() -> None:
    notice = (ROOT / "NOTICE").read_text()
    lock = json.loads((ROOT / "frontend" / "package-lock.json").read_text())
    served = {
        f"{path.rpartition('node_modules/')[2]} {package['version']} ("
        for path, package in lock["packages"].items()
        if path and not package.get("dev") and not package.get("devOptional")
    }
    missing = sorted(package for package in served if f"  {package}" not in notice)
    assert not missing, "write anew what `node frontend/licences.ts` prints"
    for compiled in ("OpenJPEG", "CharLS", "libjpeg-turbo", "OpenJPH", "Independent JPEG Group"):
        assert compiled in notice


@pytest.mark.django_db
def test_the_migrations_are_complete() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


CATALOGS = {
    name: value for name, value in vars(catalog).items() if name.isupper() and hasattr(value, "items")
}


@pytest.mark.parametrize(
    ("shelf", "name"), [(shelf, name) for shelf, entries in CATALOGS.items() for name in entries]
)
def test_each_line_of_the_catalog_leads_to_something(shelf: str, name: str) -> None:
    entry = CATALOGS[shelf][name]
    assert entry.name == name
    assert entry.label
    loaded = entry.load()
    assert callable(loaded)
    assert loaded.__doc__


def test_the_catalog_has_shelves() -> None:
    assert "SAMPLERS" in CATALOGS


def test_ci_installs_what_the_tests_need_and_runs_them() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "exec make test" in script
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


def test_every_test_that_asks_for_postgresql_lies_where_it_is_looked_for() -> None:
    marked = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if path != Path(__file__) and re.search(r"\bmark\.(both|once)\b", path.read_text(encoding="utf-8"))
    ]
    assert marked
    assert not [name for name in marked if not name.startswith(tuple(f"{one}/" for one in ON_SERVERS))]


def test_make_help_lists_every_target() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in (
        "help",
        "run",
        "test",
        "lint",
        "types",
        "browser",
        "bench",
        "train-demo",
        "frontend",
        "screenshots",
    ):
        assert re.search(rf"^  make {target}\b", listed, re.MULTILINE), target
