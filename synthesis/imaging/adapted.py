"""What a model draws while an adapter lies on it: its recipe, with what the adapter says instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ADAPTED = (
    "modalities",
    "image",
    "label_set",
    "field",
    "attributes",
    "calibration",
    "sampler",
    "mask_trained",
)
TOLD = ("drift", "prompts")  # of these an adapter may say that it was trained with none


def adapted_recipe(base: Mapping[str, Any], adapter: Mapping[str, Any]) -> dict[str, Any]:
    """The base's recipe with the adapter's modalities, images, labels, field, calibration, drift and prompts.

    What the adapter leaves out, or leaves empty, stays as the base has it; rows and columns stay in any
    case, since the network decides them. Name, version and digest stay the base's.
    """
    changed = {key: adapter[key] for key in ADAPTED if adapter.get(key) not in (None, {}, [], "")}
    recipe = {**base, **changed, **{key: adapter[key] for key in TOLD if key in adapter}}
    if isinstance(changed.get("image"), Mapping):
        kept = {key: base["image"][key] for key in ("rows", "columns")}
        recipe["image"] = {**base["image"], **changed["image"], **kept}
    return recipe
