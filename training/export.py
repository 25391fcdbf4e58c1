"""Turn a training checkpoint into a model that ships: `python -m training.export abdomen-2d`.

The averaged weights go into weights/<name>/model.safetensors as fp16 with the whole recipe inside. Of a
recipe with an adapter only the adapter is written, in peft's format (synthesis/adapters.py).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthesis.adapters import save_adapter, share_of, with_adapter
from synthesis.backbones.unet import UNet
from synthesis.checkpoints import WEIGHTS_FILE, load_model, read_recipe, save_model
from synthesis.control.patient_prompts import PatientPrompts
from synthesis.phantoms.labels import LABEL_SET
from training.backbones import finished_backbone
from training.data import PhantomShards
from training.pairs import PairShards
from training.recipe import Recipe, ShortcutSettings, load_recipe
from training.tokens import settle_tokens, write_learned
from training.train import CHECKPOINT


def export(recipe: Recipe, run: Path, data: Path, folder: Path) -> str:
    """Write the averaged weights of a run to `folder`, or its adapter alone; returns the file's SHA-256.

    What an earlier export in that folder knew of calibration is not carried over: it belonged to
    other weights.
    """
    state: dict[str, Any] = torch.load(run / CHECKPOINT, map_location="cpu", weights_only=True)
    if recipe.family != "unet":
        return export_backbone(recipe, state, shards_of(recipe, data), folder)
    card = card_of(recipe, shards_of(recipe, data), int(state["step"]))
    if recipe.adapter:
        base = load_model(Path(recipe.init_from))
        adapted = with_adapter(base.network, recipe.adapter)
        adapted.load_state_dict(state["ema"])
        card["training"] |= {
            "adapter": asdict(recipe.adapter),
            "share_of_network": round(share_of(adapted), 4),
        }
        return save_adapter(folder, adapted, {"drift": None, "prompts": None} | card, base)
    network = UNet(recipe.backbone)
    network.load_state_dict(state["ema"])
    return save_model(folder, network, card)


def shards_of(recipe: Recipe, data: Path) -> PhantomShards | PairShards:
    """What the recipe trained on."""
    return PairShards(data) if recipe.is_paired else PhantomShards(data)


def export_backbone(
    recipe: Recipe, state: Mapping[str, Any], shards: PhantomShards | PairShards, folder: Path
) -> str:
    """Write a trained network in latents whole, or its adapter alone; returns the file's SHA-256.

    What the base's recipe says (licence, label set) holds until this one says otherwise; what it knew of
    calibration and measures is not carried over.
    """
    weights: Mapping[str, Tensor] = state["ema"]
    card = card_of(recipe, shards, int(state["step"]))
    card["training"] |= {"trained": recipe.trained, "latents": recipe.latents}
    if recipe.adapter:
        base = load_model(Path(recipe.init_from), dtype=None)
        adapted = with_adapter(base.network, recipe.adapter)
        adapted.load_state_dict(weights, strict=False)
        card["training"] |= {
            "adapter": asdict(recipe.adapter),
            "share_of_network": round(share_of(adapted), 4),
        }
        return save_adapter(folder, adapted, {"drift": None, "prompts": None} | card, base)
    network, base = finished_backbone(recipe, weights)
    learned = settle_tokens(network)
    card["base"] = {"name": base.recipe.get("name", ""), "weights_sha256": base.weights_sha256}
    if network.options.control:
        card["mask_trained"] = True
    kept = {key: value for key, value in base.recipe.items() if key not in ("drift", "prompts")}
    digest = save_model(folder, network, kept | card)
    write_learned(folder, learned)
    return digest


def card_of(recipe: Recipe, shards: PhantomShards | PairShards, step: int) -> dict[str, Any]:
    """The recipe as the checkpoint carries it: all that is needed to run the model and to judge it."""
    return {
        "name": recipe.name,
        "version": recipe.version,
        "title": recipe.title,
        "method": recipe.objective.name,
        "modalities": list(recipe.modalities),
        "image": dict(recipe.image),
        "label_set": [{"value": e.value, "name": e.name, "color": e.color} for e in LABEL_SET],
        "field": field_of(recipe, shards),
        "calibration": {},
        "training": {
            "seed": recipe.seed,
            "steps": step,
            "batch": recipe.batch,
            "images_seen": step * recipe.batch,
            "phantoms": len(shards),
            "precision": recipe.precision,
            "objective": asdict(recipe.objective),
            "mask_dropout": asdict(recipe.mask_dropout),
            "optimiser": asdict(recipe.optimiser),
            "ema_exponent": recipe.ema_exponent,
        },
        "measures": {},
        **steps_of(recipe),
        **({"drift": recipe.drift.to_json()} if recipe.drift else {}),
        **({"prompts": prompts_of(recipe.prompts, shards)} if recipe.prompts else {}),
    } | dict(recipe.extra)


def field_of(recipe: Recipe, shards: PhantomShards | PairShards) -> dict[str, list[float]]:
    """The sizes of pixels and images that it was trained on, in mm; empty where no image says its own."""
    spacing = shards.column("spacing_mm") if len(shards) else np.array([2.5, 4.0])
    spacing = spacing[np.isfinite(spacing)]
    if not len(spacing):
        return {}
    low, high = (round(float(v), 2) for v in (spacing.min(), spacing.max()))
    columns = recipe.shape[1]
    return {"spacing_mm": [low, high], "fov_mm": [round(low * columns, 1), round(high * columns, 1)]}


def prompts_of(prompts: PatientPrompts, shards: PhantomShards | PairShards) -> dict[str, Any]:
    """The recipe's prompts with every diagnosis that they can say: its own, or else the data's words."""
    if prompts.diagnoses or not any("{finding}" in one for one in prompts.templates):
        return prompts.to_json()
    return replace(prompts, diagnoses={word: word for word in shards.known_diagnoses()}).to_json()


def steps_of(recipe: Recipe) -> dict[str, Any]:
    """What a shortcut model learned of steps (`synthesis.checkpoints.learned_grid`); nothing for others.

    Its velocity is that of its origin, where it learned from one, and so is its calibration.
    """
    objective = recipe.objective
    if not isinstance(objective, ShortcutSettings):
        return {}
    origin = read_recipe(Path(recipe.init_from)) if objective.from_origin else {}
    return {
        "shortcut": {"segments": objective.segments, "shift": objective.shift},
        "sampler": {"name": "shortcut", "steps": 2},
        "calibration": origin.get("calibration", {}),
    }


def rewrite(folder: Path, **changes: Any) -> str:
    """Put new values (calibration, measures) into the recipe of a saved model; the weights stay."""
    model = load_model(folder)
    return save_model(folder, model.network, read_recipe(folder / WEIGHTS_FILE) | changes)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--measures", type=Path, help="a report of training.evaluate to store in the model instead"
    )
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    folder = options.out or Path("weights") / recipe.name
    if options.measures:
        report = json.loads(options.measures.read_text(encoding="utf-8"))
        measures = {
            row["measure"]: {k: row[k] for k in ("value", "goal", "reached")} for row in report["goals"]
        }
        print(rewrite(folder, measures=measures))
        return
    print(export(recipe, options.run or recipe.run_folder, options.data or recipe.data_folder, folder))


if __name__ == "__main__":
    main()
