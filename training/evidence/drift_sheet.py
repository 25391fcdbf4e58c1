"""A contact sheet of what was drawn, the same noise in every row: synthetic pictures alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from training.evidence.drift_plan import BASIC, PLAIN, on_grid
from training.evidence.drift_sets import SIDE, TITLES
from training.evidence.drift_verdicts import Results, chosen

ACROSS = 12  # pictures in a row
HEADING = 14  # pixels


def write_sheet(results: Results, pictures: Path, path: Path) -> None:
    """Write a PNG of the first seed's rows on test patients, as far as they were drawn; none, no file."""
    rows = []
    for target, title in TITLES.items():
        delta = chosen(results, target)
        if delta is None:
            continue
        named = {
            f"{BASIC}-{PLAIN}": "without drift",
            f"{BASIC}-{on_grid(delta)}": f"noise {delta:+.2f}, fine-tuned and drawn",
            f"{BASIC}-init_only": "init_only, the best of the search",
            f"{BASIC}-init_only_terminal_snr": "init_only by terminal SNR, one number per channel",
        }
        for name, told in named.items():
            file = pictures / f"test-{target}-{name}-{results['about']['seeds'][0]}.npy"
            if file.is_file():
                rows.append((f"{title}: {told}", np.load(file)))
    if rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        paste(rows).save(path, optimize=True)


def paste(rows: list[tuple[str, npt.NDArray[np.float32]]]) -> Image.Image:
    """Rows of pictures [n, SIDE, SIDE], -1..1, evenly chosen, each under its heading."""
    height = HEADING + SIDE
    whole = Image.new("L", (ACROSS * SIDE, len(rows) * height), 255)
    pen = ImageDraw.Draw(whole)
    for number, (heading, pictures) in enumerate(rows):
        pen.text((2, number * height + 1), heading, fill=0)
        chosen_ones = np.linspace(0, len(pictures) - 1, ACROSS).astype(int)
        strip = np.concatenate([pictures[i] for i in chosen_ones], axis=1)
        grey = np.clip((strip + 1) * 127.5, 0, 255).astype(np.uint8)
        whole.paste(Image.fromarray(grey), (0, number * height + HEADING))
    return whole
