"""A contact sheet of phantoms: `python -m synthesis.phantoms.sheet docs/images/phantoms.png`."""

import struct
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synthesis.phantoms.attributes import Attributes
from synthesis.phantoms.labels import LABEL_SET
from synthesis.phantoms.phantom import Phantom, abdomen
from synthesis.phantoms.splits import phantom_seed

__all__ = ["colours", "contact_sheet", "grey", "png"]

Picture = NDArray[np.uint8]
SHOWN: Final[dict[str, tuple[float, float]]] = {
    "CT": (-160.0, 240.0),
    "T1": (0.0, 900.0),
    "T2": (0.0, 1200.0),
}
GAP: Final = 2
FRAME: Final = 40


def grey(phantom: Phantom) -> Picture:
    """The image in the usual window of its modality, uint8 [rows, cols, 3]."""
    low, high = SHOWN[phantom.modality]
    level = np.clip((phantom.image - low) / (high - low), 0.0, 1.0)
    return np.repeat((255 * level).astype(np.uint8)[..., None], 3, axis=-1)


def colours(labels: NDArray[np.uint8]) -> Picture:
    """The label map in the label set's colours, uint8 [rows, cols, 3]."""
    table = np.array([tuple(bytes.fromhex(label.color[1:])) for label in LABEL_SET], dtype=np.uint8)
    painted: Picture = table[labels]
    return painted


def contact_sheet() -> Picture:
    """Rows: CT, T1, T2 and labels of six persons; severity at a fixed mask in CT, T1 and T2; the
    shape of cirrhosis; steatosis; age and sex. uint8 [rows, cols, 3]."""
    seeds = [phantom_seed("demo", 100 + i) for i in range(6)]
    size = (192, 192)
    rows: list[list[Picture]] = [
        [grey(abdomen(seed, shape=size, modality=modality)) for seed in seeds]
        for modality in ("CT", "T1", "T2")
    ]
    rows.append([colours(abdomen(seed, shape=size).labels) for seed in seeds])
    base = Attributes(age=50.0, sex="M")
    texture = [replace(base, severity_texture=grade) for grade in range(4)]
    shape = [replace(grown, severity_shape=grade) for grade, grown in enumerate(texture)]
    fatty = [replace(base, steatosis=grade) for grade in range(4)]
    people = [replace(base, age=age, sex=sex) for sex in ("F", "M") for age in (25.0, 85.0)]
    for modality, attributes in (
        ("CT", texture), ("T1", texture), ("T2", texture), ("CT", shape), ("CT", fatty), ("CT", people),
    ):  # fmt: skip
        seed = phantom_seed("demo", 100)
        changed = [grey(abdomen(seed, shape=size, modality=modality, attributes=a)) for a in attributes]
        first = changed[0].astype(np.int16)
        # What the change did, twice as strong, around grey: the first against the last two.
        change = [
            np.clip(128 + 2 * (p.astype(np.int16) - first), 0, 255).astype(np.uint8) for p in changed[-2:]
        ]
        rows.append(changed + change)
    return _tile(rows)


def _tile(rows: list[list[Picture]]) -> Picture:
    height, width = rows[0][0].shape[:2]
    tall, wide = len(rows), max(len(row) for row in rows)
    out = np.full((tall * (height + GAP) - GAP, wide * (width + GAP) - GAP, 3), FRAME, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            out[i * (height + GAP) :, j * (width + GAP) :][:height, :width] = picture
    return out


def png(picture: Picture) -> bytes:
    """Encode uint8 [rows, cols, 3] as PNG (W3C Portable Network Graphics, colour type 2)."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"expected uint8 [rows, cols, 3], got {picture.dtype} {picture.shape}")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = picture.shape[:2]
    lines = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            chunk(b"IEND", b""),
        )
    )


def main(arguments: list[str]) -> int:
    """Write the sheet to the path given."""
    if len(arguments) != 1:
        print("usage: python -m synthesis.phantoms.sheet FILE.png", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(contact_sheet()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
