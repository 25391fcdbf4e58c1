"""The published models at full size, without weights: every tensor of their files finds its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from synthesis.foreign_models.layouts import family_of, part_of, rearranged
from synthesis.foreign_models.names import fit_names
from synthesis.foreign_models.published import FOLDER, edition_of
from synthesis.foreign_models.settings import clean_config, network_of
from synthesis.packing import component_sizes
from tests.unit.synthesis.foreign_models.original import original

EDITIONS = sorted(path.stem for path in FOLDER.glob("*.json"))


class Parts:
    """The components of a published model as attributes, as pipelines have them."""

    def __init__(self, family: str, configs: dict[str, Any]) -> None:
        from synthesis.components import built

        with torch.device("meta"):
            for name, kind in network_of(family).classes.items():
                if name in configs:
                    setattr(self, name, built(kind, clean_config(kind, configs[name], name)))


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_tensor_finds_its_place(edition: str) -> None:
    published = json.loads((FOLDER / f"{edition}.json").read_text(encoding="utf-8"))
    family, configs = published["backbone"], published["components"]
    parts = Parts(family, configs)
    tensors = original(family, parts)
    assert (family_of(tensors), edition_of(family, tensors)) == (family, edition)
    seen = []
    for name in configs:
        part = part_of(family, name, tensors)
        if not part:
            continue
        wanted = getattr(parts, name).state_dict()
        fitted = fit_names(name, wanted, rearranged(family, name, part, configs[name]))
        assert {key: tensor.shape for key, tensor in fitted.items()} == {
            key: tensor.shape for key, tensor in wanted.items()
        }
        seen.append(name)
    trunk = network_of(family).trunk
    assert trunk in seen
    whole = {f"{trunk}.{k}": v for k, v in getattr(parts, trunk).state_dict().items()}
    print(edition, seen, component_sizes(whole, [trunk]))
