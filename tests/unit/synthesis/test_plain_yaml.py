"""YAML from outside: what is read from it, and what would be too much to read."""

from __future__ import annotations

import pytest

from synthesis.plain_yaml import read_plain_yaml

# Nine levels of nine: 9**9 values, three gigabytes of text, in 300 characters.
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


def test_values_are_those_of_json() -> None:
    text = 'name: x\nversion: 1.0\nday: 2026-01-02\nCT: [-1000, 1000]\n1: a\ntitle: "a *star* & more"\n'
    assert read_plain_yaml(text) == {
        "name": "x",
        "version": 1.0,
        "day": "2026-01-02",
        "CT": [-1000, 1000],
        "1": "a",
        "title": "a *star* & more",
    }
    assert read_plain_yaml("") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "Aliases"),
        ("a: &a [*a]", "Aliases"),
        ("base: &b {x: 1}\nmore:\n  <<: *b\n", "Aliases"),
        ("a: [", "not YAML"),
        ("a: !!python/object/apply:os.system ['true']", "not YAML"),
        ("a: .inf", "not YAML"),
        ("a: .nan", "not YAML"),
        ("? 2026-01-01\n: x", "not YAML"),
        ("[" * 5000 + "]" * 5000, "not YAML"),
        ("a: " + "9" * 5000, "not YAML"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_plain_yaml(text)
