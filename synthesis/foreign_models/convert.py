"""A model from elsewhere becomes one file of this project's: planned on shapes alone, then written at once.

First every tensor is placed on the meta device, so that whatever does not fit is said before anything is
read; then tensors go from file to file, mapped and not kept. Only what a layout asks to be rearranged lies
in memory for a while, at most one component of a single file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from torch import Tensor

from synthesis.catalog import BACKBONES
from synthesis.checkpoints import empty_network
from synthesis.components import FLOW
from synthesis.control.ordinal import OrdinalEmbedding
from synthesis.control.painting import PLANES
from synthesis.errors import SynthesisError
from synthesis.foreign_models.about import About, card_of
from synthesis.foreign_models.names import fit_names
from synthesis.foreign_models.sources import Source, open_file, open_folder
from synthesis.latents import LatentNetwork
from synthesis.packing import component_sizes, write_packed

CARD_FILE = "card.md"
BETAS = (
    *("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "trained_betas"),
    "rescale_betas_zero_snr",
)
TOKENS = {"base_image_seq_len": "base_tokens", "max_image_seq_len": "max_tokens"}  # diffusers' words: ours
PUBLISHED_EDIT = {"guidance": 7.5, "image_guidance": 1.5}  # of InstructPix2Pix
STEPS = 30  # what a flow is integrated in where nothing is calibrated
OnPart = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Converted:
    """What came of it: the folder with model.safetensors and card.md, its digest, and what was left out."""

    folder: Path
    digest: str
    family: str
    notes: tuple[str, ...]


def convert(path: Path, target: Path, about: About, *, on_part: OnPart | None = None) -> Converted:
    """Write the model at `path` into the folder `target`, which is made; `on_part` hears of each component.

    Raises SynthesisError, in a plain sentence, for whatever cannot be brought in; `target` is then left
    without a model.
    """
    _offline()
    source = open_folder(path, about) if path.is_dir() else open_file(path, about)
    backbone = _backbone(source, about)
    try:
        network = empty_network({"backbone": backbone})
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, ZeroDivisionError) as problem:
        raise SynthesisError(
            f"No {source.family} network can be built from these settings ({str(problem)[:200]})."
        ) from problem
    if not isinstance(network, LatentNetwork):
        raise SynthesisError(f"The family {source.family} is not one that is brought in from elsewhere.")
    network.state_shape(int(about.get("rows")), int(about.get("columns")))
    try:
        network.use_tokenizers(source.tokenizers)
    except ValueError as problem:
        raise SynthesisError(f"The tokenizers do not fit the text encoders ({problem}).") from problem
    wanted = network.state_dict(keep_vars=True)
    for name, component in source.components.items():
        fit_names(name, _below(wanted, name), component.empty())
    tensors: dict[str, Tensor] = {}
    for number, (name, component) in enumerate(source.components.items(), start=1):
        if on_part is not None:
            on_part(number, len(source.components), name)
        fitted = fit_names(name, _below(wanted, name), component.read())
        tensors |= {f"{name}.{key}": tensor for key, tensor in fitted.items()}
    tensors |= _fresh(network)
    recipe = _recipe(source, about, backbone, tensors)
    notes = (*source.notes, *_said_of_mask(recipe))
    digest = write_packed(target, tensors, recipe, source.tokenizers)
    card = card_of(about, family=BACKBONES[source.family].label, source=path.name, notes=list(notes))
    (target / CARD_FILE).write_text(card, encoding="utf-8")
    return Converted(target, digest, source.family, notes)


def _offline() -> None:
    """Nothing here asks the network; should a library still try, it is refused."""
    constants.HF_HUB_OFFLINE = True


def _backbone(source: Source, about: About) -> dict[str, Any]:
    """The recipe's "backbone": configs, and what the family's options take of scheduler and about-file."""
    known = {one.name for one in fields(BACKBONES[source.family].load_options())}
    scheduler = {TOKENS.get(key, key): value for key, value in source.scheduler.items()}
    if "use_dynamic_shifting" in scheduler and not scheduler["use_dynamic_shifting"]:
        scheduler["static_shift"] = scheduler.get("shift")
    said: dict[str, Any] = {"components": {n: dict(c.config) for n, c in source.components.items()}}
    said["control"] = _control(source, about)
    if "takes_image" in known and _takes_image(source):
        said["takes_image"] = True
    if about.get("palette"):
        said["palette"] = list(about.get("palette"))
    if "schedule" in known and "beta_start" in scheduler:
        said["schedule"] = {key: scheduler[key] for key in BETAS if scheduler.get(key) is not None}
    said["prediction"] = about.get("prediction") or scheduler.get("prediction_type")
    for key, value in (*scheduler.items(), *source.settings.items()):
        if key in known and key not in said and isinstance(value, bool | int | float):
            said[key] = value
    kept = {key: value for key, value in said.items() if key in known and value not in (None, "")}
    return {"name": source.family, **kept}


def _takes_image(source: Source) -> bool:
    """Whether the U-Net takes the latents of an image to be changed beside its own, as InstructPix2Pix."""
    channels = int(source.components["vae"].config.get("latent_channels") or 0)
    return source.components["unet"].config.get("in_channels") == 2 * channels > 0


def _control(source: Source, about: About) -> str:
    if "controlnet" not in source.components:
        return ""
    if about.get("control"):
        return str(about.get("control"))
    config = source.components["controlnet"].config
    channels = config.get("conditioning_channels")  # of a U-Net's; a transformer's adds some to its own
    if source.family == "sd3":
        channels = int(config.get("in_channels") or 0) + int(config.get("extra_conditioning_channels") or 0)
    return "planes" if channels == PLANES else "picture"


def _below(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(name + "."): v for k, v in tensors.items() if k.startswith(name + ".")}


def _fresh(network: LatentNetwork) -> dict[str, Tensor]:
    """The parts of our own, which change nothing until they are trained; the same for every conversion."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ordinal = OrdinalEmbedding(network.token_width)
    return {f"ordinal.{name}": tensor for name, tensor in ordinal.state_dict().items()}


def _recipe(
    source: Source, about: About, backbone: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> dict[str, Any]:
    flow = backbone.get("prediction", FLOW) == FLOW
    return {
        **about.recipe(),
        "method": "rectified flow" if flow else f"diffusion ({backbone['prediction']})",
        "backbone": dict(backbone),
        "components": component_sizes(tensors, source.components),
        "mask_trained": bool(about.get("mask_trained", False)) and bool(backbone.get("control")),
        "sampler": {"name": "euler", "steps": int(about.get("steps", STEPS))},
        **_guidance(about, edits=bool(backbone.get("takes_image"))),
        "measures": {},
        "converted": {"layout": source.family, "diffusers": _version()},
    }


def _guidance(about: About, *, edits: bool) -> dict[str, Any]:
    """How firmly it is guided where nobody says; a model that changes images by both of its weights."""
    told = about.get("guidance")
    if edits:
        return {"edit": PUBLISHED_EDIT | ({"guidance": float(told)} if told else {})}
    return {"guidance": float(told)} if told else {}


def _said_of_mask(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    if recipe["backbone"].get("takes_image"):
        return ("It changes images as the new condition says, and draws none from nothing.",)
    if not recipe["backbone"].get("control"):
        return ("It was not trained to obey masks: its images show no anatomy that was asked for.",)
    if not recipe["mask_trained"]:
        return ("It takes masks, but nobody said that it was trained on these labels.",)
    return ()


def _version() -> str:
    from importlib.metadata import version

    return version("diffusers")
