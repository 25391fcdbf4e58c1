"""What a reader's browser receives for one item: the exchanges, word for word, and the pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

ARMS = ("real", "synthetic")

Pixels = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and its answer, repeated `len(seconds)` times.

    kind: which step it is ("page", "state", "metadata", "frame", "answer", ...); every item has the
    same kinds, and exchanges are compared within a kind. headers: (name, value) in the order sent,
    of the first visit. length: bytes of the body as sent. body: parsed JSON, or the text of a page;
    None where the body is pixels (they are in `Observation.pixels`). seconds: how long each visit's
    answer took, the first (cold) visit first; visits to the items must be interleaved in a new random
    order each round, so that a machine that slows down slows both arms. begun: Unix time of the first
    visit, so that the server's clock is not taken for an item's date; 0 where it was not noted.
    """

    kind: str
    method: str = "GET"
    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    length: int
    body: Any = None
    seconds: tuple[float, ...] = ()
    begun: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """One item as one reader's browser receives it, with the truth that the browser does not have.

    item: the lead's name for it (never sent). arm: "real" or "synthetic". cluster: items that are not
    independent of each other (one patient, one source mask). position: place in the reader's order,
    from 0. exchanges: in the order in which the browser makes them. pixels: [frames, rows, columns]
    int16 as delivered. extras: anything else that reaches the reader and is in no exchange.
    """

    item: str
    arm: str
    cluster: str
    position: int
    exchanges: Sequence[Exchange] = ()
    pixels: Pixels | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.arm not in ARMS:
            raise ValueError(f"arm: expected one of {', '.join(ARMS)}, got {self.arm!r}.")
        if self.pixels is not None and (self.pixels.ndim != 3 or self.pixels.dtype != np.int16):
            raise ValueError(
                "pixels: expected int16 [frames, rows, columns], "
                f"got {self.pixels.dtype} with {self.pixels.ndim} axes."
            )
