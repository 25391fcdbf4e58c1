"""The configurations in which the five families were published: facts for files that carry none.

`python -m synthesis.foreign_models.published` prints what each takes of a device's memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from synthesis.catalog import BACKBONES
from synthesis.checkpoints import build_network
from synthesis.errors import SynthesisError
from synthesis.footprint import PLANS, WHOLE, footprint, in_gigabytes
from synthesis.latents import LatentNetwork
from synthesis.networks import Network
from synthesis.packing import component_sizes

FOLDER = Path(__file__).resolve().parent.parent / "backbones" / "published"


def edition_of(family: str, names: Iterable[str]) -> str:
    """Which of a family's published configurations a file's tensors are of.

    PixArt's for 1024 pixels is also told the image's size; the one for 512 is not.
    """
    told_size = any("csize_embedder." in name for name in names)
    return "pixart_512" if family == "pixart" and not told_size else family


def published_config(edition: str, component: str) -> dict[str, Any]:
    """The settings of a component as the family's makers published it.

    Raises SynthesisError for a component that it was not published with.
    """
    path = FOLDER / f"{edition}.json"
    values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = values.get("components", {}).get(component)
    if not isinstance(found, dict):
        raise SynthesisError(
            f"The settings of the {component} are not known. Name a folder with its config.json under "
            "“parts” in the about-file."
        )
    return found


def memory_table() -> str:
    """What each published model takes, counted on the meta device, as a table in Markdown."""
    lines = [
        "| model | image | mask control | parameters | 16-bit file | whole | by stages | by layers "
        "| CPU, float32 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(FOLDER.glob("*.json")):
        published = json.loads(path.read_text(encoding="utf-8"))
        with torch.device("meta"):
            plain = build_network({"backbone": _backbone(published)})
            controlled = plain.with_control() if isinstance(plain, LatentNetwork) else plain
        for words, network in (("no", plain), ("yes", controlled)):
            lines.append(_row(published, words, network))
    return "\n".join(lines)


def _backbone(published: Mapping[str, Any]) -> dict[str, Any]:
    known = {one.name for one in fields(BACKBONES[published["backbone"]].load_options())}
    return {"name": published["backbone"], **{k: v for k, v in published.items() if k in known}}


def _row(published: Mapping[str, Any], control: str, network: Network) -> str:
    rows, columns = published["image"]
    backbone = network.recipe()
    sizes = component_sizes(network.state_dict(keep_vars=True), backbone["components"])
    image = {"rows": rows, "columns": columns}
    need = footprint({"backbone": backbone, "components": sizes, "image": image})
    if need is None:
        raise ValueError(f"{published['title']}: its configuration does not tell what it takes.")
    parameters = sum(size["parameters"] for size in sizes.values())
    numbers = [need.need(plan, 2) for plan in PLANS] + [need.need(WHOLE, 4)]
    cells = [published["title"], f"{rows} x {columns}", control, f"{parameters / 1e9:.2f} G"]
    return f"| {' | '.join([*cells, *map(in_gigabytes, [2 * parameters, *numbers])])} |"


if __name__ == "__main__":
    print(memory_table())
