"""Simulated studies whose arms are of one law in everything, to hold the audit to what it promises."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import ndimage

from webapp.readings.audit.observation import Exchange, Observation

SIDE = 40
PADDING, AIR, FAT, LIVER, BONE = -2000, -1000, -90, 60, 1300


@dataclass
class Item:
    """One item before it becomes an observation; a leak changes what it likes."""

    number: int
    arm: str
    position: int
    uploaded: int
    rng: np.random.Generator
    pixels: np.ndarray
    token: str
    metadata: dict[str, Any]
    headers: list[tuple[str, str]]
    extra_headers: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    reply: dict[str, Any] = field(default_factory=lambda: {"outcome": "stored", "feedback": ""})
    page: str = "<main><p>Real or synthetic?</p></main>"
    address: str = "/take/8d1f/items/{token}/dicomweb/{what}"
    frame_type: str = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    frame_bytes: int | None = None
    slow: float = 1.0
    cold: float = 1.0

    @property
    def leaks(self) -> bool:
        """Whether a planted leak touches it."""
        return self.arm == "synthetic"


Leak = Callable[[Item], None]


def picture(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """int16 [1, side, side] like a CT slice: a padded circle of air, a table, a body with bone, noise."""
    row, column = np.mgrid[:side, :side] / side - 0.5
    image = np.full((side, side), float(AIR))
    wide, deep = rng.uniform(0.30, 0.36), rng.uniform(0.22, 0.27)
    image[(row - 0.36) ** 2 + (column / 4) ** 2 < 0.0006] = -200  # the table
    shape = (column / wide) ** 2 + (row / deep) ** 2
    image[shape < 1] = FAT
    image[shape < 0.75] = rng.normal(LIVER, 8)
    place = rng.uniform(-0.02, 0.02, 2)
    image[(row - 0.12 - place[0]) ** 2 + (column - place[1]) ** 2 < 0.002] = BONE + rng.normal(0, 60)
    image = ndimage.gaussian_filter(image, 0.5)
    image += ndimage.gaussian_filter(rng.normal(0, 40, image.shape), 0.6)
    image[np.hypot(row, column) > 0.49] = PADDING
    return np.rint(image)[None].astype(np.int16)


def uid(rng: np.random.Generator) -> str:
    """A random UID of always the same length."""
    return "2.25." + str(int(rng.integers(10**17, 10**18)) * 10**18 + int(rng.integers(10**17, 10**18)))


def attributes(rng: np.random.Generator) -> dict[str, Any]:
    """DICOM JSON of one item, with spacings, positions and UIDs of one law."""
    spacing = round(float(rng.uniform(0.6, 0.95)), 6)
    return {
        "00080018": {"vr": "UI", "Value": [uid(rng)]},
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00200032": {"vr": "DS", "Value": [round(float(v), 4) for v in rng.uniform(-300, -100, 3)]},
        "00200037": {"vr": "DS", "Value": [1, 0, 0, 0, 1, 0]},
        "00280008": {"vr": "IS", "Value": [1]},
        "00280010": {"vr": "US", "Value": [512]},
        "00280011": {"vr": "US", "Value": [512]},
        "00280030": {"vr": "DS", "Value": [spacing, spacing]},
    }


def items(count: int, seed: int, *, pictures: bool = True) -> list[Item]:
    """`count` items, half of each arm, everything drawn from one law."""
    rng = np.random.default_rng(seed)
    arms = rng.permutation(["real", "synthetic"] * (count // 2))
    order, uploads = rng.permutation(count), rng.permutation(count)
    made = []
    for number in range(count):
        own = np.random.default_rng([seed, number])
        made.append(
            Item(
                number=number,
                arm=str(arms[number]),
                position=int(order[number]),
                uploaded=int(uploads[number]),
                rng=own,
                pixels=picture(own) if pictures else np.zeros((1, 2, 2), np.int16),
                token=own.bytes(16).hex(),
                metadata=attributes(own),
                headers=[("Cache-Control", "no-store"), ("X-Frame-Options", "DENY"), ("Vary", "Cookie")],
                state={"position": int(order[number]), "total": count, "done": int(order[number])},
            )
        )
    return made


def observed(item: Item, *, pixels: bool = True) -> Observation:
    """The item as the collector would hand it over."""
    size = item.frame_bytes or item.pixels.nbytes + 300
    pieces = {
        "page": ("text/html; charset=utf-8", 4000, item.page),
        "state": ("application/json", 300, item.state),
        "metadata": ("application/dicom+json", 2048, [item.metadata]),
        "frame": (item.frame_type, size, None),
        "answer": ("application/json", 360, item.reply),
    }
    frames = int(item.metadata["00280008"]["Value"][0])
    exchanges = []
    for kind, (sort, length, body) in pieces.items():
        for number in range(frames if kind == "frame" else 1):
            times = item.rng.gamma(50, 0.0002, 9) * item.slow
            times[0] *= 2 * item.cold
            exchanges.append(
                Exchange(
                    kind=kind,
                    url="https://site.example"
                    + item.address.format(token=item.token, what=f"{kind}/{number}"),
                    status=200,
                    headers=(
                        ("Content-Type", sort),
                        *item.headers,
                        ("Content-Length", str(length)),
                        *item.extra_headers.get(kind, []),
                    ),
                    length=length,
                    body=copy.deepcopy(body),
                    seconds=tuple(times),
                    begun=1_763_600_000.0,
                )
            )
    return Observation(
        item=f"item {item.number}",
        arm=item.arm,
        cluster=f"patient {item.number}",
        position=item.position,
        exchanges=exchanges,
        pixels=item.pixels if pixels else None,
    )


def study(count: int, seed: int, leak: Leak | None = None) -> list[Observation]:
    """Observations of a study of `count` items into whose synthetic arm a leak is planted.

    A leak sees the real items as well and may change these too (`item.leaks` says which arm it is).
    """
    made = items(count, seed)
    for item in made:
        if leak is not None:
            leak(item)
    return [observed(item) for item in made]


def moved(observations: list[Observation], positions: list[int]) -> list[Observation]:
    """The same items in another order."""
    return [replace(one, position=place) for one, place in zip(observations, positions, strict=True)]
