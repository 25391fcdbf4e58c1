"""Where a model from elsewhere comes from: a folder of diffusers, or a single file with its parts.

Both give the same: the family, and for each component its settings and its tensors, first as shapes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from synthesis.components import ENCODERS
from synthesis.control.text import padded_tokenizer
from synthesis.errors import SynthesisError
from synthesis.foreign_models.about import About
from synthesis.foreign_models.files import Weights, component_weights, metadata_of, open_weights, read_json
from synthesis.foreign_models.layouts import Tensors, family_of, part_of, rearranged, taken_channels
from synthesis.foreign_models.published import edition_of, published_config
from synthesis.foreign_models.settings import (
    REQUIRED,
    check_class,
    clean_config,
    family_of_pipeline,
    network_of,
    tokenizer_kind,
)
from synthesis.foreign_models.vocabularies import read_tokenizer

INDEX_FILE = "model_index.json"
CONFIG_FILE = "config.json"
LONGEST = 4096  # tokens of a prompt, for encoders that set no limit


@dataclass(frozen=True)
class Component:
    """One component: its settings, and its tensors under diffusers' names (without values, or mapped)."""

    config: Mapping[str, Any]
    empty: Callable[[], Tensors]
    read: Callable[[], Tensors]


@dataclass(frozen=True)
class Source:
    """A model from elsewhere, described and not yet read."""

    family: str
    components: Mapping[str, Component]
    scheduler: Mapping[str, Any]
    tokenizers: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the pipeline as a whole
    notes: tuple[str, ...] = ()


def is_foreign(path: Path) -> bool:
    """Whether this is a folder of diffusers, or a safetensors file that carries no recipe of ours."""
    if path.is_dir():
        return (path / INDEX_FILE).is_file() and not (path / "model.safetensors").is_file()
    return path.suffix == ".safetensors" and path.is_file() and "recipe" not in metadata_of(path)


def open_folder(folder: Path, about: About) -> Source:
    """A folder as diffusers' `save_pretrained` writes it."""
    index = read_json(folder, INDEX_FILE)
    family = family_of_pipeline(index)
    network = network_of(family)
    components: dict[str, Component] = {}
    for name in network.classes:
        if name in index and check_class(family, name, index[name]):
            components[name] = _of_folder(folder, name, family, about)
    if "controlnet" in network.classes and "controlnet" not in components:
        components |= _beside(folder, family, about)
    _complete(family, set(components), "The folder")
    scheduler = "scheduler/scheduler_config.json"
    ignored = [n for n in ("safety_checker", "image_encoder") if _there(index.get(n))]
    return Source(
        family=family,
        components=components,
        scheduler=read_json(folder, scheduler) if (folder / scheduler).is_file() else {},
        tokenizers=_tokenizers(family, components, folder, about),
        settings={k: v for k, v in index.items() if isinstance(v, bool)},
        notes=tuple(f"Its {name.replace('_', ' ')} was left out." for name in ignored),
    )


def open_file(path: Path, about: About) -> Source:
    """A single safetensors file, with what it lacks from the folders or files that `parts` names."""
    weights = open_weights(path)
    family = str(about.get("family") or family_of(weights.shapes) or "")
    if not family:
        raise SynthesisError(
            f"The weights in {path.name} are in no layout that is known here: neither that of Stable "
            "Diffusion, SDXL, SD3, PixArt nor Flux. Where they are of one of these, name it as “family” in "
            "the about-file."
        )
    network = network_of(family)
    named = about.get("parts", {})
    parts = {"folder": named} if isinstance(named, str) else dict(named)
    folder = about.place(str(parts["folder"])) if "folder" in parts else None
    components: dict[str, Component] = {}
    for name in network.classes:
        if name == "controlnet":
            components |= _beside(path.parent, family, about)
        elif name in parts:
            components[name] = _of_part(about.place(str(parts[name])), name, family, about)
        elif part_of(family, name, weights.empty()):
            components[name] = _of_file(weights, name, family, folder)
        elif folder is not None and (folder / name).is_dir():
            components[name] = _of_folder(folder, name, family, about)
    _complete(family, set(components), path.name)
    scheduler = "scheduler/scheduler_config.json"
    given = folder is not None and (folder / scheduler).is_file()
    return Source(
        family=family,
        components=components,
        scheduler=read_json(folder, scheduler) if folder is not None and given else {},
        tokenizers=_tokenizers(family, components, folder or path.parent, about),
    )


def _of_folder(folder: Path, name: str, family: str, about: About) -> Component:
    kind = network_of(family).classes[name]
    config = clean_config(kind, read_json(folder, f"{name}/{CONFIG_FILE}"), name)
    weights = component_weights(folder, name, str(about.get("variant", "")))
    return Component(config, weights.empty, weights.tensors)


def _of_part(place: Path, name: str, family: str, about: About) -> Component:
    """A component's own folder, or a file of its weights in the published configuration."""
    kind = network_of(family).classes[name]
    if place.is_dir():
        config = clean_config(kind, read_json(place, CONFIG_FILE), name)
        weights = component_weights(place, "", str(about.get("variant", "")))
        return Component(config, weights.empty, weights.tensors)
    if not place.is_file():
        raise SynthesisError(f"The about-file names {place} for the {name}, but there is nothing there.")
    config = clean_config(kind, published_config(family, name), name)
    return _laid_out(open_weights(place), config, family, name, lambda tensors: dict(tensors))


def _of_file(weights: Weights, name: str, family: str, folder: Path | None) -> Component:
    """A component inside the single file; its settings from the parts' folder, else as published."""
    own = folder is not None and (folder / name / CONFIG_FILE).is_file()
    edition = edition_of(family, weights.shapes)
    values = read_json(folder, f"{name}/{CONFIG_FILE}") if folder and own else published_config(edition, name)
    config = clean_config(network_of(family).classes[name], values, name)
    if not own and (family, name) == ("stable_diffusion", "unet"):
        config["in_channels"] = taken_channels(weights.empty())
    return _laid_out(weights, config, family, name, lambda tensors: part_of(family, name, tensors))


def _laid_out(
    weights: Weights,
    config: Mapping[str, Any],
    family: str,
    name: str,
    part: Callable[[Mapping[str, Tensor]], Tensors],
) -> Component:
    def arranged(tensors: Mapping[str, Tensor]) -> Tensors:
        return rearranged(family, name, part(tensors), config)

    return Component(config, lambda: arranged(weights.empty()), lambda: arranged(weights.tensors()))


def _beside(folder: Path, family: str, about: About) -> dict[str, Component]:
    """The ControlNet that the about-file names, else the one in a folder of that name; none otherwise."""
    named = about.get("controlnet")
    place = about.place(str(named)) if named else folder / "controlnet"
    if not (place / CONFIG_FILE).is_file():
        if named:
            raise SynthesisError(f"The about-file names {place} as ControlNet, but it has no {CONFIG_FILE}.")
        return {}
    config = clean_config(
        network_of(family).classes["controlnet"], read_json(place, CONFIG_FILE), "controlnet"
    )
    weights = component_weights(place, "", str(about.get("variant", "")))
    return {"controlnet": Component(config, weights.empty, weights.tensors)}


def _complete(family: str, present: set[str], where: str) -> None:
    network = network_of(family)
    missing = [name for name in (network.trunk, "vae", *REQUIRED[family]) if name not in present]
    if missing:
        raise SynthesisError(
            f"{where} holds no {', no '.join(missing)}. Name what is missing under “parts” in the "
            "about-file: a folder of diffusers, or for each a folder or a safetensors file."
        )


def _tokenizers(
    family: str, components: Mapping[str, Component], folder: Path, about: About
) -> dict[str, str]:
    """The tokenizer of each text encoder, cut and padded to the family's length."""
    network = network_of(family)
    named = about.get("tokenizers", {})
    found = {}
    for component, name in ENCODERS.items():
        if component not in components:
            continue
        kind = tokenizer_kind(network, component)
        places = int(components[component].config.get("max_position_embeddings", LONGEST))
        place = (about.place(str(named[name])), "") if name in named else (folder, name)
        text, pad = read_tokenizer(*place, kind)
        try:
            found[name] = padded_tokenizer(text, length=min(network.token_lengths[name], places), pad=pad)
        except ValueError as problem:
            raise SynthesisError(f"The {name} cannot be used: {problem}") from problem
    return found


def _there(named: Any) -> bool:
    return isinstance(named, list) and named != [None, None]
