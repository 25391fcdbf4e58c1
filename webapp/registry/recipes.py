"""What a model must say about itself before it can be offered to anybody: the checks on its recipe."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthesis.imaging.adapted import adapted_recipe
from webapp.registry.weights import NotAModel

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}\Z")
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}\Z")
COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")
LICENCE_LINE = re.compile(r"^\W*licen[cs]e\W*[:|]\W*(.+?)[\s|*]*$", re.IGNORECASE | re.MULTILINE)
LARGEST_LABEL = 255
RESERVED = {"new"}


@dataclass(frozen=True)
class Description:
    """What the site keeps of a recipe and a card, checked."""

    name: str
    version: str
    title: str
    method: str
    backbone: str
    summary: str
    licence: str
    label_set: list[dict[str, Any]]
    field: dict[str, Any]
    measures: dict[str, Any]


def describe(recipe: Mapping[str, Any], card: str) -> Description:
    """The description in a recipe and the card beside it.

    Raises:
        NotAModel: naming the first thing that is missing or makes no sense.
    """
    name, version = _name(recipe), _version(recipe)
    modalities = recipe.get("modalities")
    if not isinstance(modalities, list) or not modalities or not all(isinstance(m, str) for m in modalities):
        raise NotAModel("The recipe names no modalities that the model can make.")
    return Description(
        name=name,
        version=version,
        title=_text(recipe, "title")[:200],
        method=_text(recipe, "method")[:80],
        backbone=_backbone(recipe),
        summary=str(recipe.get("summary") or first_paragraph(card))[:2000],
        licence=_licence(recipe, card),
        label_set=_label_set(recipe),
        field=_field(recipe),
        measures=recipe["measures"] if isinstance(recipe.get("measures"), dict) else {},
    )


def first_paragraph(card: str) -> str:
    """The first plain paragraph of a Markdown card, on one line."""
    for block in re.split(r"\n\s*\n", card):
        text = " ".join(block.split())
        if text and text[0] not in "#|!<->`*" and not text.startswith("---"):
            return text
    return ""


def _name(recipe: Mapping[str, Any]) -> str:
    name = _text(recipe, "name")
    if not NAME.match(name):
        raise NotAModel(
            f"The recipe's name {name[:80]!r} must be short: lower-case letters, digits and dashes."
        )
    if name in RESERVED:
        raise NotAModel(f"A model cannot be called {name!r}, which is an address of the site.")
    return name


def _version(recipe: Mapping[str, Any]) -> str:
    version = _text(recipe, "version")
    if not VERSION.match(version):
        raise NotAModel(f"The recipe's version {version[:40]!r} must be letters, digits, dots and dashes.")
    return version


def _text(recipe: Mapping[str, Any], key: str) -> str:
    value = recipe.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise NotAModel(f"The recipe does not say the model's {key}.")
    return value.strip()


def _backbone(recipe: Mapping[str, Any]) -> str:
    backbone = recipe.get("backbone")
    name = backbone.get("name") if isinstance(backbone, dict) else backbone
    if not isinstance(name, str) or not name.strip():
        raise NotAModel("The recipe does not say which backbone the weights are for.")
    return name.strip()[:80]


def _licence(recipe: Mapping[str, Any], card: str) -> str:
    licence = recipe.get("licence") or recipe.get("license")
    if not licence and (found := LICENCE_LINE.search(card)):
        licence = found.group(1)
    if not isinstance(licence, str) or not licence.strip():
        raise NotAModel(
            "Neither the recipe nor the card states a licence, so it is not known who may use the model."
        )
    return licence.strip()[:120]


def _label_set(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    labels = recipe.get("label_set")
    if not isinstance(labels, list) or not labels:
        raise NotAModel("The recipe has no label set, so no mask can be matched to the model.")
    kept: list[dict[str, Any]] = []
    seen: set[int] = set()
    for label in labels:
        value = label.get("value") if isinstance(label, dict) else None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_LABEL:
            raise NotAModel(
                f"A label of the recipe has the value {value!r}; it must be 0 to {LARGEST_LABEL}."
            )
        if value in seen:
            raise NotAModel(f"The recipe's label set names the value {value} twice.")
        colour = str(label.get("color", ""))
        if not str(label.get("name", "")).strip() or not COLOUR.match(colour):
            raise NotAModel(f"Label {value} of the recipe needs a name and a colour such as #b5651d.")
        seen.add(value)
        kept.append({**label, "name": str(label["name"]).strip()[:80], "color": colour.lower()})
    return kept


def _field(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Matrix size, and the ranges of spacing and field of view in mm; empty, none is known."""
    image = recipe.get("image")
    rows, columns = (image.get("rows"), image.get("columns")) if isinstance(image, dict) else (None, None)
    if not all(isinstance(n, int) and 1 <= n <= 8192 for n in (rows, columns)):
        raise NotAModel("The recipe does not say how many rows and columns the model's images have.")
    stated = recipe.get("field")
    if not isinstance(stated, dict):
        raise NotAModel("The recipe does not say for which spacings and fields of view the model is valid.")
    field = dict(stated)
    if not stated:  # trained on images that do not say how large their pixels are
        return {"rows": rows, "columns": columns}
    for key in ("spacing_mm", "fov_mm"):
        ends = stated.get(key)
        if not isinstance(ends, list) or len(ends) != 2 or not all(_is_length(end) for end in ends):
            raise NotAModel(f"The recipe's field.{key} must be two lengths in mm, smallest and largest.")
        if ends[0] > ends[1]:
            raise NotAModel(f"The recipe's field.{key} must rise; it is {ends[0]} to {ends[1]}.")
        field[key] = [float(end) for end in ends]
    return {**field, "rows": rows, "columns": columns}


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6


@dataclass(frozen=True)
class AdapterDescription:
    """What the site keeps of an adapter's recipe and card, checked."""

    name: str
    version: str
    title: str
    method: str
    summary: str
    licence: str
    label_set: list[dict[str, Any]]
    measures: dict[str, Any]


def describe_adapter(recipe: Mapping[str, Any], card: str, *, base: Mapping[str, Any]) -> AdapterDescription:
    """The description in an adapter's recipe and the card beside it; `base` is its model's recipe.

    Raises:
        NotAModel: naming the first thing that is missing or makes no sense.
    """
    name, version = _name(recipe), _version(recipe)
    whole = adapted_recipe(base, recipe)
    if not isinstance(whole["modalities"], list) or not all(isinstance(m, str) for m in whole["modalities"]):
        raise NotAModel("The recipe's modalities must be a list of names, such as CT.")
    if any(image != base["image"].get(key) for key, image in _size(recipe).items()):
        size = " × ".join(str(base["image"][key]) for key in ("rows", "columns"))
        raise NotAModel(f"The adapter is for images of another size than its model's, which has {size}.")
    _field(whole)
    labels = _label_set(whole) if recipe.get("label_set") else []
    return AdapterDescription(
        name=name,
        version=version,
        title=_text(recipe, "title")[:200],
        method=str(recipe.get("method") or "LoRA")[:80],
        summary=str(recipe.get("summary") or first_paragraph(card))[:2000],
        licence=_licence(recipe, card),
        label_set=labels if labels != _label_set(base) else [],
        measures=recipe["measures"] if isinstance(recipe.get("measures"), dict) else {},
    )


def _size(recipe: Mapping[str, Any]) -> dict[str, Any]:
    image = recipe.get("image")
    return {k: image[k] for k in ("rows", "columns") if k in image} if isinstance(image, dict) else {}
