"""A contact sheet, phantoms beside generated images: `python -m training.sheet abdomen-2d --out FILE`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.phantoms import WINDOWS
from synthesis.phantoms.labels import LABEL_SET
from training.data import only_liver
from training.evaluate import FLOW, MANY, find_model, main_setting
from training.held_out import Case, Setting, held_out, make

TITLE = 14  # height of a heading, pixels
Tile = npt.NDArray[np.uint8]
SAMPLERS = {"rft": "rft", "euler": "Euler", "shortcut": "shortcut"}


def columns(model: LoadedModel) -> list[tuple[str, Setting | None]]:
    """Headings, and how each column's images are made: the model's main setting beside others."""
    main = main_setting(model)
    other = Setting(sampler="euler", calls=4) if main == FLOW else replace(main, calls=1)
    return [
        ("phantom", None),
        ("mask", None),
        *((_heading(s), s) for s in (main, other, MANY)),
        ("liver alone given", None),
        (_heading(main), replace(main, masks="liver")),
    ]


def _heading(setting: Setting) -> str:
    return f"{SAMPLERS[setting.sampler]}, {setting.calls} call{'s' if setting.calls > 1 else ''}"


def sheet(model: LoadedModel, *, per_modality: int = 3, zoom: int = 1) -> Image.Image:
    """Held-out phantoms by row, settings by column; below, one mask under all four severities."""
    shape = (int(model.recipe["image"]["rows"]), int(model.recipe["image"]["columns"]))
    pool = held_out("test", 12 * per_modality, shape)
    settings = columns(model)
    rows: list[list[Tile]] = []
    for modality in ("CT", "T1", "T2"):
        for case in [c for c in pool if c.condition.modality == modality][:per_modality]:
            rows.append([_tile(model, case, title, setting) for title, setting in settings])
    main = _paste(rows, [title for title, _ in settings], zoom)
    fixed = []
    for modality in ("CT", "T1", "T2"):
        number = next(
            i for i, c in enumerate(pool) if c.condition.modality == modality and (c.labels == 6).sum() > 1200
        )
        cases = [held_out("test", number + 1, shape, texture=g)[number] for g in range(4)]
        real = [_window(c.image, modality) for c in cases]
        images = make(model, cases, main_setting(model), [number] * 4)
        fixed.append(
            real[:1] + [_window(model.denormalise(i, modality), modality) for i in images] + [real[3]]
        )
    titles = ["phantom, none", "none", "low", "mild", "severe", "phantom, severe"]
    below = _paste(fixed, [f"{t}" for t in titles], zoom)
    out = Image.new("RGB", (max(main.width, below.width), main.height + below.height))
    out.paste(main, (0, 0))
    out.paste(below, (0, main.height))
    return out


def _tile(model: LoadedModel, case: Case, title: str, setting: Setting | None) -> Tile:
    modality = case.condition.modality
    if title == "phantom":
        return _window(case.image, modality)
    if setting is None:
        return _colours(case.labels if title == "mask" else only_liver(case.stored))
    return _window(model.denormalise(make(model, [case], setting, [0])[0], modality), modality)


def _window(image: npt.NDArray[np.float32], modality: str) -> Tile:
    low, high = WINDOWS[modality]
    grey = np.clip((image - low) / (high - low), 0, 1) * 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def _colours(labels: npt.NDArray[np.uint8]) -> Tile:
    palette = np.array([[int(e.color[i : i + 2], 16) for i in (1, 3, 5)] for e in LABEL_SET], np.uint8)
    out: Tile = palette[labels]
    return out


def _paste(rows: Sequence[Sequence[Tile]], titles: Sequence[str], zoom: int) -> Image.Image:
    height, width = (s * zoom for s in rows[0][0].shape[:2])
    out = Image.new("RGB", (width * len(titles), TITLE + height * len(rows)))
    draw = ImageDraw.Draw(out)
    for column, title in enumerate(titles):
        draw.text((column * width + 3, 1), title, fill="white")
        for row, tiles in enumerate(rows):
            tile = Image.fromarray(tiles[column]).resize((width, height), Image.Resampling.NEAREST)
            out.paste(tile, (column * width, TITLE + row * height))
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--out", type=Path, default=Path("docs/images/abdomen-2d.png"))
    parser.add_argument("--rows", type=int, default=3, help="phantoms per modality")
    parser.add_argument("--zoom", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(find_model(options.model))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet(model, per_modality=options.rows, zoom=options.zoom).save(options.out, optimize=True)
    print(options.out)


if __name__ == "__main__":
    main()
