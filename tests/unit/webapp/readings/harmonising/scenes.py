"""Scenes in millimetres that can be sampled on any grid, and how they come out of each arm's machine."""

from __future__ import annotations

import numpy as np


def scene(
    rows: int,
    columns: int,
    spacing: tuple[float, float],
    *,
    seed: int = 0,
    noise: float = 10.0,
    frames: int = 1,
    air: float = -1000.0,
    table: bool = True,
    wide_mm: float = 300.0,
    off_mm: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """HU [frames, rows, columns] float32: a body of `wide_mm` with a spine, a liver and a table below."""
    y = (np.arange(rows) - (rows - 1) / 2)[:, None] * spacing[0] - off_mm[0]
    x = (np.arange(columns) - (columns - 1) / 2)[None, :] * spacing[1] - off_mm[1]
    radius = np.hypot(x / (wide_mm / 2), y / (wide_mm / 3))
    image = np.full((rows, columns), air)
    if table:
        image[np.broadcast_to((y > wide_mm / 3 + 12) & (y < wide_mm / 3 + 18), image.shape)] = -100
    rim = np.clip((1 - radius) * 40, 0, 1)
    image = image * (1 - rim) + rim * -90
    image = np.where(radius < 0.85, 50 + 10 * np.sin(x / 25) * np.cos(y / 25), image)
    image = np.where(np.hypot(x, y - wide_mm / 5) < 22, 600.0, image)
    rng = np.random.default_rng(seed)
    stack = np.stack([image] * frames) + rng.normal(0, noise, (frames, rows, columns)) * (noise > 0)
    return np.rint(stack).astype(np.float32)
