"""How long the launcher waits for its programs, and what it says meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from webapp.launch import __main__ as launcher
from webapp.launch.programs import Group, Program
from webapp.launch.steps import Failed


def _group(tmp_path: Path) -> Group:
    """A program that was never started, so that nothing of it can fall."""
    return Group([Program("site", ["true"], tmp_path / "site.log", {}, tmp_path)])


def test_a_slow_start_is_waited_for_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([{}, {"database": "ok", "compute": "down"}, {"database": "ok", "compute": "ok"}])
    monkeypatch.setattr(launcher, "WAITING_SECONDS", 0.0)
    monkeypatch.setattr(launcher, "_health", lambda _host, _port: next(answers))
    launcher._wait_until_ready(_group(tmp_path), "127.0.0.1", 0)
    said = capsys.readouterr().out
    assert "the site is not there yet" in said
    assert "compute is not there yet" in said


def test_what_never_comes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "READY_SECONDS", 0.5)
    monkeypatch.setattr(launcher, "_health", lambda _host, _port: {"database": "ok", "compute": "down"})
    with pytest.raises(Failed, match=r"within 0 s; not working: compute\. What the programs said is in"):
        launcher._wait_until_ready(_group(tmp_path), "127.0.0.1", 0)
