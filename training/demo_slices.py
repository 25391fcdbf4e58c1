"""Make the synthetic slices of the demo reader study: `python -m training.demo_slices` (seconds on a CPU).

The shipped model draws one CT slice from the mask of each of COUNT phantoms of the demo split, which no
training saw. The site holds no torch, so that it ships the slices: int16 HU, JPEG-LS, in one zip with
what was asked for.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import jpeg_ls
import numpy as np

from synthesis.checkpoints import load_model
from synthesis.generate import generate
from synthesis.imaging.storage import pixel_sha256, to_stored
from synthesis.phantoms import GRADES, abdomen, phantom_seed
from synthesis.request import Condition, SamplerOptions, SynthesisRequest

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "weights" / "abdomen-2d"
TARGET = ROOT / "webapp" / "readings" / "demo_slices.zip"
COUNT = 20
FROM = 1000  # of the demo split; the drawn phantoms of the study come before
SHAPE = (128, 128)
EPOCH = (1980, 1, 1, 0, 0, 0)


def main() -> int:
    """Make them all and write the zip; the same weights on the same machine give the same file."""
    model = load_model(MODEL)
    entries: dict[str, bytes] = {}
    slices = []
    for index in range(COUNT):
        phantom = abdomen(phantom_seed("demo", FROM + index), shape=SHAPE)
        asked = phantom.attributes
        condition = Condition(
            modality="CT",
            severity=GRADES[asked.severity_texture],
            steatosis=asked.steatosis,
            age=asked.age,
            sex=asked.sex,
        )
        row, column = (float(value) for value in phantom.spacing_mm)
        made = generate(
            model,
            SynthesisRequest(
                labels=phantom.labels,
                spacing_mm=(row, column),
                condition=condition,
                sampler=SamplerOptions(),
                seed=index,
            ),
        )
        stored = to_stored(made.images[0], "CT")
        name = f"{index:02d}.jls"
        entries[name] = _encoded(stored)
        slices.append(
            {
                "file": name,
                "phantom": FROM + index,
                "seed": index,
                "spacing_mm": [row, column],
                "condition": condition.to_json(),
                "pixel_sha256": pixel_sha256(stored),
            }
        )
    about = {
        "model": model.recipe["name"],
        "version": model.recipe["version"],
        "weights_sha256": model.weights_sha256,
        "rows": SHAPE[0],
        "columns": SHAPE[1],
        "offset": OFFSET,
        "slices": slices,
    }
    entries["slices.json"] = json.dumps(about, indent=1, sort_keys=True).encode()
    _write(entries)
    print(f"{COUNT} slices, {TARGET.stat().st_size / 1024:.0f} KiB, in {TARGET}")
    return 0


OFFSET = 1024  # added to HU, so that the codec sees unsigned numbers


def _encoded(stored: np.ndarray) -> bytes:
    """Lossless JPEG-LS of HU + OFFSET."""
    unsigned = (stored.astype(np.int32) + OFFSET).astype(np.uint16)
    encoded = jpeg_ls.encode_array(unsigned)
    return bytes(encoded)


def _write(entries: dict[str, bytes]) -> None:
    with zipfile.ZipFile(TARGET, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(entries.items()):
            archive.writestr(zipfile.ZipInfo(name, date_time=EPOCH), data)


if __name__ == "__main__":
    sys.exit(main())
