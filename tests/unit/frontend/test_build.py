"""The front end's own checks (types, unit tests) and its build script."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
FRONTEND = REPOSITORY / "frontend"


def build(*arguments):
    return subprocess.run(
        [sys.executable, str(FRONTEND / "build.py"), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("script", ["types", "test"])
def test_the_front_ends_own_checks_pass(script):
    done = build(script)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_second_build_does_nothing():
    first = build()
    assert first.returncode == 0, first.stdout + first.stderr
    assert "up to date" in build().stdout
    assert build("--check").returncode == 0


def test_every_package_is_pinned_and_locked():
    package = json.loads((FRONTEND / "package.json").read_text())
    locked = json.loads((FRONTEND / "package-lock.json").read_text())["packages"]
    for name, version in (package["dependencies"] | package["devDependencies"]).items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{name} is not pinned: {version}"
        assert locked[f"node_modules/{name}"]["version"] == version
    registry = [
        one for path, one in locked.items() if path.startswith("node_modules/") and not one.get("link")
    ]
    assert all("integrity" in one for one in registry)


def test_every_icon_that_a_page_or_script_names_is_in_the_sprite():
    known = set(json.loads((FRONTEND / "icons.json").read_text()))
    named: dict[str, str] = {}
    for path in (REPOSITORY / "webapp").rglob("*.html"):
        named |= dict.fromkeys(re.findall(r'{% icon ["\']([a-z0-9-]+)["\']', path.read_text()), path.name)
    for path in (FRONTEND / "src").rglob("*.ts"):
        named |= dict.fromkeys(re.findall(r"\bicon\('([a-z0-9-]+)'\)", path.read_text()), path.name)
    assert len(named) > 10
    assert {name: place for name, place in named.items() if name not in known} == {}


def test_only_api_ts_calls_the_server():
    callers = [
        path.name
        for path in (FRONTEND / "src").rglob("*.ts")
        if re.search(r"\bfetch\(|XMLHttpRequest\(\)", path.read_text())
    ]
    assert callers == ["api.ts"]
