"""From one thing known of every item to columns of numbers that a test can rank, blind to the arms."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from webapp.readings.audit.auc import Float, midranks

METADATA, PIXELS = "metadata", "pixels"
FAMILIES = (METADATA, PIXELS)

MOST_LEVELS = 12  # different values that are tried one by one
PREFIXES = (1, 2, 4, 8, 16, 24)
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One way of looking at a feature: its numbers [n], and what holds where they are larger."""

    words: str
    numbers: Float


@dataclass(frozen=True, kw_only=True, eq=False)
class Feature:
    """One thing known of every item; `values` [n] as received, None where an item lacks it."""

    name: str
    family: str
    values: tuple[Any, ...]
    columns: tuple[Column, ...]


def feature(name: str, family: str, values: Sequence[Any], order: npt.NDArray[np.intp]) -> Feature | None:
    """The feature and its columns, or None where it is the same for every item.

    values: one per item, None where it is absent. order: the items in the reader's order, by
    which a running count (a score, a number left) betrays each item by its change.
    """
    known = tuple(values)
    if len({_key(value) for value in known}) < 2:
        return None
    columns = [column for column in _columns(known, family, order) if np.ptp(column.numbers) > 0]
    return Feature(name=name, family=family, values=known, columns=tuple(columns))


def as_number(value: Any) -> float | None:
    """A finite number, also where it is written as text; None for anything else."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float | np.integer | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str) and len(value) <= 32 and _NUMBER.fullmatch(value):
        number = float(value)
        return number if math.isfinite(number) else None
    return None


def _key(value: Any) -> str:
    return f"{type(value).__name__}:{value!r}"


def _columns(values: Sequence[Any], family: str, order: npt.NDArray[np.intp]) -> Iterator[Column]:
    present = np.array([value is not None for value in values])
    if not present.all():
        yield Column(words="is more often there", numbers=present.astype(np.float64))
    numbers = [as_number(value) for value in values]
    if all(number is not None for number, there in zip(numbers, present) if there):
        yield from _numeric(np.array([math.nan if n is None else n for n in numbers]), values, family, order)
        return
    texts = ["" if value is None else str(value) for value in values]
    yield from _levels(texts, values)
    yield from _texts(texts)


def _numeric(
    numbers: Float, values: Sequence[Any], family: str, order: npt.NDArray[np.intp]
) -> Iterator[Column]:
    """Larger, more extreme, rounder; and in metadata each value and each change."""
    filled = np.where(np.isnan(numbers), np.nanmedian(numbers), numbers)
    yield Column(words="is larger", numbers=filled)
    ranks = midranks(filled)
    if len(np.unique(filled)) > 2:
        yield Column(
            words="is more often unusually low or high", numbers=np.abs(ranks - (len(ranks) + 1) / 2)
        )
    if family != METADATA:
        return
    yield from _levels(["" if v is None else str(v) for v in values], values)
    yield Column(words="is written with more digits", numbers=np.array([float(_digits(v)) for v in values]))
    for factor in (2, 10, 16):
        whole = np.isclose(np.mod(filled, factor), 0)
        yield Column(words=f"is more often divisible by {factor}", numbers=whole.astype(np.float64))
    change = np.zeros(len(filled))
    change[order[1:]] = np.diff(filled[order])
    yield Column(words="rises more from the item before", numbers=change)
    ahead = np.zeros(len(filled))
    ahead[order[:-1]] = np.diff(filled[order])
    yield Column(words="rises more to the item after", numbers=ahead)


def _levels(texts: Sequence[str], values: Sequence[Any]) -> Iterator[Column]:
    """Whether it is each of the values that occur more than once, where they are few."""
    counts = Counter(text for text, value in zip(texts, values) if value is not None)
    repeated = [text for text, count in counts.most_common(MOST_LEVELS) if count > 1]
    if len(counts) > len(texts) / 2 and len(counts) > MOST_LEVELS:
        repeated = []
    for level in repeated if len(counts) > 1 else []:
        shown = level if len(level) <= 60 else level[:57] + "..."
        yield Column(
            words=f"is more often “{shown}”", numbers=np.array([float(text == level) for text in texts])
        )


def _texts(texts: Sequence[str]) -> Iterator[Column]:
    """Length, order, beginnings, parity and kinds of characters: what an identifier gives away."""
    yield Column(words="is longer", numbers=np.array([float(len(text)) for text in texts]))
    place = {text: rank for rank, text in enumerate(sorted(set(texts)))}
    yield Column(
        words="comes later in the alphabet", numbers=np.array([float(place[text]) for text in texts])
    )
    for name, sign in (("digits", str.isdigit), ("capitals", str.isupper)):
        share = [sum(map(sign, text)) / max(len(text), 1) for text in texts]
        yield Column(words=f"has more {name}", numbers=np.array(share))
    odd = [float(ord(text[-1]) % 2) if text else 0.0 for text in texts]
    yield Column(words="more often ends on an odd character", numbers=np.array(odd))
    for mark in ".-_/":
        yield Column(
            words=f"has more “{mark}”", numbers=np.array([float(text.count(mark)) for text in texts])
        )
    yield from _beginnings(texts)


def _beginnings(texts: Sequence[str]) -> Iterator[Column]:
    for length in PREFIXES:
        counts = Counter(text[:length] for text in texts if len(text) > length)
        for start, count in counts.most_common(4):
            if 1 < count < len(texts):
                begins = np.array([float(text.startswith(start)) for text in texts])
                yield Column(words=f"more often begins with “{start}”", numbers=begins)


def _digits(value: Any) -> int:
    """Digits after the point, as the value is written."""
    text = repr(value) if isinstance(value, float) else str(value)
    return len(text.partition(".")[2].rstrip("0")) if "." in text and "e" not in text.lower() else 0
