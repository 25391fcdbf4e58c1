"""How far a drift moves the start of a model, told from its recipe; free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt
from typing import Any

SCHEMES = ("noise", "prior", "init_only", "literal")  # synthesis/drift.py says what each of them does


def state_shape_of(recipe: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """[C, h, w] of the states that a model of this recipe works on; None where the recipe does not tell.

    Latents where the backbone has an autoencoder (each of its levels but the last halves the image), else
    the pixels themselves.
    """
    try:
        rows, columns = int(recipe["image"]["rows"]), int(recipe["image"]["columns"])
        configs = recipe["backbone"].get("components") or {}
        if "vae" not in configs:
            return (1, rows, columns)
        factor = 2 ** (len(configs["vae"]["block_out_channels"]) - 1)
        return (int(configs["vae"]["latent_channels"]), rows // factor, columns // factor)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def drift_dc_sigma_of(delta: float, recipe: Mapping[str, Any]) -> float | None:
    """|delta| sqrt(d) for one number over a state of d numbers (math.md section 4); None as above.

    How many standard deviations of its own the mean of the noise is moved by: what a scalar moves is the
    mean grey value. `synthesis.drift.drift_dc_sigma` is the same of a state that is there.
    """
    shape = state_shape_of(recipe)
    return None if shape is None else abs(delta) * sqrt(prod(shape))
