"""What a worker asks again of a change, and what it says of a full disk."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthesis.edit_request import CounterfactualRequest, EditOptions, passes_of
from synthesis.errors import SynthesisError
from synthesis.request import Condition, Step
from workers.series import as_recorded, plain_disk_errors, room_in, way_words


def wish(**options: object) -> CounterfactualRequest:
    shown = Condition(modality="CT", severity="none")
    return CounterfactualRequest(
        image=np.zeros((8, 8), np.float32),
        labels=np.zeros((8, 8), np.uint8),
        spacing_mm=(1.0, 1.0),
        before=shown,
        after=shown,
        options=EditOptions(**options),  # type: ignore[arg-type]
    )


def test_what_was_left_to_the_change_is_asked_again_as_it_was_decided() -> None:
    once = as_recorded(wish(undo=True, steps=5), {"options": {"strength": 0.5, "contrast": 1.25}})
    assert once.options == EditOptions(strength=0.5, contrast=1.25, steps=5)


def test_what_a_method_does_not_have_stays_open() -> None:
    once = as_recorded(wish(method="guided"), {"options": {"strength": None, "weight": 16.0}})
    assert once.options == EditOptions(method="guided")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(*_: object) -> None:
        raise OSError(number, "no room")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SynthesisError, match=r"not enough room .* Nothing was saved"), plain_disk_errors():
        room_in(tmp_path)((2, 8, 8), np.int16)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_disk_are_not_taken_for_a_full_one() -> None:
    with pytest.raises(PermissionError), plain_disk_errors():
        raise PermissionError(errno.EACCES, "not allowed")


@pytest.mark.parametrize(
    ("method", "firsts"),
    [("flow_inversion", (1, 17, 25)), ("pix2pix_zero", (1, 17, 33)), ("guided", (1, 9, 17))],
)
def test_the_words_of_a_step_follow_what_the_method_is_run_for(method: str, firsts: tuple[int, ...]) -> None:
    options = EditOptions(method=method, steps=8, undo=True)
    steps = 8 * sum(passes_of(options))
    said = [way_words(options, Step(1, 1, number, steps)) for number in range(1, steps + 1)]
    assert [said.index(words) + 1 for words in dict.fromkeys(said)] == list(firsts)
    assert list(dict.fromkeys(said)) == ["making the change", "asking for no change", "undoing the change"]
    once = replace(options, undo=False)
    assert way_words(once, Step(1, 1, 16, 16)) == "making the change"
