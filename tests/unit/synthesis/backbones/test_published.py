"""The published models at full size, without weights: their configurations give the published numbers."""

import json
from pathlib import Path

import pytest
import torch

import synthesis.backbones
from synthesis.catalog import BACKBONES
from synthesis.checkpoints import build_network
from synthesis.components import ENCODERS
from synthesis.control.painting import PLANES

FOLDER = Path(synthesis.backbones.__file__).parent / "published"
MODELS = sorted(path.stem for path in FOLDER.glob("*.json"))

# What their makers print of them, in billions of parameters, with the digits that they print.
PRINTED = {
    ("sdxl", "unet"): "2.6",  # Podell et al. 2024, table 1
    ("sdxl", "text encoders"): "0.817",  # the same
    ("stable_diffusion", "unet"): "0.860",  # model card of Stable Diffusion 1.5
    ("stable_diffusion", "text_encoder"): "0.123",  # the same
    ("sd3", "transformer"): "2",  # Esser et al. 2024: SD3 Medium
    ("pixart", "transformer"): "0.6",  # Chen et al. 2024
    ("pixart_512", "transformer"): "0.6",  # the same
    ("flux", "transformer"): "12",  # model card of Flux.1 [dev]
}


def published(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def backbone(model):
    kept = ("components", "prediction", "schedule", "shift", "guidance", "force_zeros_for_empty_prompt")
    return {"name": model["backbone"]} | {key: model[key] for key in kept if key in model}


def full_size(name):
    with torch.device("meta"):
        return build_network({"backbone": backbone(published(name))})


def count(module):
    return sum(weight.numel() for weight in module.parameters())


def test_every_family_is_published():
    assert {published(name)["backbone"] for name in MODELS} == set(BACKBONES) - {"unet"}


@pytest.mark.parametrize("name", MODELS)
def test_the_parameters_of_every_component_are_as_many_as_published(name):
    model, network = published(name), full_size(name)
    found = {key: count(network.get_submodule(key)) for key in model["components"]}
    assert found == model["parameters"]
    found["text encoders"] = sum(n for key, n in found.items() if key in ENCODERS)
    for (_, part), printed in ((k, v) for k, v in PRINTED.items() if k[0] == name):
        unit = 10.0 ** -len(printed.partition(".")[2])  # some round, some cut off
        assert abs(found[part] / 1e9 - float(printed)) < unit


@pytest.mark.parametrize("name", MODELS)
def test_states_and_tokens_have_the_published_shapes(name):
    model, network = published(name), full_size(name)
    rows, columns = model["image"]
    channels = 16 if name in ("sd3", "flux") else 4
    assert network.state_shape(rows, columns) == (channels, rows // 8, columns // 8)
    assert network.token_width == {"stable_diffusion": 768, "sdxl": 2048}.get(name, 4096)
    assert set(model["tokenizers"]) == set(network.token_lengths)
    start = {"sd3": 0.0, "flux": 0.0}.get(name, 0.0063 if name.startswith("pixart") else 0.0640)
    assert network.start == pytest.approx(start, abs=5e-5)
    shift = {"sd3": 3.0, "flux": 2.718281828**1.15}.get(name, 1.0)  # Flux at 1024 x 1024: mu = 1.15
    assert network.shift(rows, columns) == pytest.approx(shift)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stable_diffusion", 361_279_120),  # the published ControlNets, which take three channels
        ("sdxl", 1_251_014_160),
    ],
)
def test_a_controlnet_for_planes_is_the_published_one_but_for_its_first_layer(name, expected):
    network = full_size(name)
    with torch.device("meta"):
        controlled = network.with_control()
    assert count(controlled.controlnet) == expected + (PLANES - 3) * 16 * 9


@pytest.mark.parametrize("name", ["sd3", "pixart", "flux"])
def test_mask_control_fits_the_full_size(name):
    network = full_size(name)
    with torch.device("meta"):
        controlled = network.with_control()
    added = {part for part, _ in controlled.named_children()} - {part for part, _ in network.named_children()}
    assert added == {"sd3": {"controlnet"}, "pixart": {"mask_embedding"}}.get(
        name, {"controlnet", "mask_embedding"}
    )
    share = sum(count(controlled.get_submodule(part)) for part in added) / count(
        network.get_submodule("transformer")
    )
    assert 0 < share < 0.6
