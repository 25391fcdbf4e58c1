"""The recipes for backbones as they ship, run at tiny size: from a model of diffusers to a trained one."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from synthesis.adapters import load_adapter
from synthesis.checkpoints import empty_network, load_model, save_model
from synthesis.errors import SynthesisError
from synthesis.foreign_models.published import FOLDER
from tests.unit.synthesis.foreign_models.folders import ABOUT, own_pipeline
from tests.unit.synthesis.tiny_backbones import SIDE, stir
from tests.unit.training.tiny_training import (
    latent_recipe,
    people_with_latents,
    phantoms_with_latents,
    tiny_base,
)
from training import fit_fisher, pack
from training.backbones import starting_backbone
from training.export import export
from training.fisher import load_fisher
from training.recipe import (
    RECIPES,
    ConsistencySettings,
    EwcSettings,
    OptimiserSettings,
    PriorSettings,
    load_recipe,
)
from training.train import CHECKPOINT, train

SHIPPED = sorted(path for path in RECIPES.glob("*.yaml") if load_recipe(path).family != "unet")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(recipe, base):
    """The recipe with everything but its size as it ships."""
    objective, prompts = recipe.objective, recipe.prompts
    if isinstance(objective, PriorSettings):
        objective = replace(objective, prior_images=2, prior_steps=2)
    if prompts:  # the tiny tokenizer knows no heart
        word = "liver" if prompts.token_from else ""
        prompts = replace(prompts, token_from=word, diagnoses={"C": "severe liver cirrhosis"})
    changes = {
        "objective": objective, "prompts": prompts,
        "init_from": str(base), "steps": 2, "batch": 2, "precision": "no", "frozen": "float32",
        "image": dict(recipe.image) | {"rows": SIDE, "columns": SIDE}, "ema_exponent": 0.0,
        "optimiser": OptimiserSettings(rate=1e-2, warmup=1),
    }  # fmt: skip
    return replace(recipe, **changes)


def test_there_is_one_for_each_family_and_a_controlnet_for_two():
    names = {path.stem for path in SHIPPED}
    families = {"stable-diffusion", "sdxl", "sd3", "pixart", "flux"}
    fine_tuned = {
        f"sd-{method}" for method in ("basic", "textual-inversion", "dreambooth", "custom-diffusion")
    }
    controlled = {"stable-diffusion-controlnet", "sd3-controlnet"}
    assert names == {f"{one}-lora" for one in families} | controlled | fine_tuned
    for path in SHIPPED:
        first = path.read_text().splitlines()[0]
        assert first.startswith(f"# python -m training.train {path.stem}  (")
        assert "UNKNOWN" in first


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_it_trains_and_what_comes_of_it_is_used(path: Path, tmp_path: Path):
    shipped = load_recipe(path)
    base = tiny_base(shipped.family, tmp_path / "base")
    recipe = tiny(shipped, base)
    prepared = people_with_latents if recipe.prompts else phantoms_with_latents
    data = prepared(recipe, tmp_path / "data")
    train(recipe, data, tmp_path / "run")
    export(recipe, tmp_path / "run", data, tmp_path / "out")
    model = load_model(base)
    if recipe.prompts:
        made = load_model(tmp_path / "out")
        assert made.recipe["drift"] == {"delta": 0.1, "scheme": "noise"}
        assert made.network.prompts == recipe.prompts
        assert made.recipe["licence"] == model.recipe["licence"]
    elif recipe.adapter:
        about = load_adapter(model, tmp_path / "out", "one")
        assert about["training"]["adapter"]["rank"] == 64
        assert about["licence"]
    else:
        made = load_model(tmp_path / "out")
        assert made.recipe["mask_trained"] is True
        assert made.recipe["licence"] == model.recipe["licence"]


@pytest.mark.parametrize("path", [p for p in SHIPPED if p.stem.endswith("-lora")], ids=lambda path: path.stem)
def test_the_layer_that_it_proposes_is_one_of_the_published_network(path: Path):
    """The feature term is off in these recipes; the comment that says where to begin must be right."""
    recipe = load_recipe(path)
    assert isinstance(recipe.objective, ConsistencySettings)
    (line,) = [one for one in path.read_text().splitlines() if one.endswith("is a layer to begin with.")]
    layer = line.split()[1]
    published = json.loads((FOLDER / f"{recipe.family}.json").read_text())
    backbone = {"name": recipe.family, "components": published["components"]}
    network = empty_network({"backbone": backbone})
    network.get_submodule(layer)
    fitting = [name for name, _ in network.named_modules() if name.endswith("to_q")]
    assert len(fitting) > 10


def test_a_model_of_diffusers_is_packed_to_start_from(tmp_path: Path, capsys, monkeypatch):
    own_pipeline("sd3").save_pretrained(tmp_path / "pipe")
    monkeypatch.setattr(sys, "argv", ["pack", str(tmp_path / "pipe"), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=r"There is no .*semblance.yaml to say"):
        pack.main()
    (tmp_path / "pipe" / "semblance.yaml").write_text(ABOUT)
    pack.main()
    assert "sd3 in" in capsys.readouterr().out
    network = starting_backbone(latent_recipe("sd3", tmp_path / "out", train="controlnet"))
    assert network.options.control == "planes"
    with pytest.raises(SynthesisError, match="holds a model already"):
        pack.pack(tmp_path / "pipe", tmp_path / "out")


def test_an_adapter_draws_as_large_as_its_network(tmp_path: Path):
    base = tiny_base("sd3", tmp_path)
    recipe = latent_recipe("sd3", base, adapter={"rank": 2})
    larger = replace(recipe, image=dict(recipe.image) | {"rows": 64, "columns": 64})
    with pytest.raises(ValueError, match="32 x 32 pixels, not 64 x 64"):
        starting_backbone(larger)


def test_a_backbone_is_held_by_its_fisher_information(tmp_path: Path, monkeypatch):
    """Stage 1's hold on a network in latents: F of all that trains, and a selection by rank."""
    base = tiny_base("stable_diffusion", tmp_path / "base")
    plain = latent_recipe("stable_diffusion", base, steps=2)
    data, fisher = phantoms_with_latents(plain, tmp_path / "data"), tmp_path / "fisher.safetensors"
    monkeypatch.setattr(fit_fisher, "load_recipe", lambda name: plain)
    monkeypatch.setattr(
        sys, "argv",
        ["fit_fisher", str(base), "--out", str(fisher), "--samples", "8", "--phantoms", str(data)],
    )  # fmt: skip
    fit_fisher.main()
    found = load_fisher(fisher)
    assert {name.split(".")[0] for name in found} == {"unet", "ordinal"}
    objective = EwcSettings(
        fisher=str(fisher), strength=10.0, selection="unfreeze_top", share=0.1, weight_l2=0.5, weight_ssim=0.1
    )
    train(replace(plain, objective=objective), data, tmp_path / "run")
    trained = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["network"]
    assert len(trained) == round(0.1 * len(found))
    least = min(found[name].mean().item() for name in trained)
    assert all(found[name].mean().item() <= least for name in set(found) - set(trained))


def test_stirred_control_is_what_a_second_training_goes_on_from(tmp_path: Path):
    base = tiny_base("sd3", tmp_path / "base")
    first = starting_backbone(latent_recipe("sd3", base, train="controlnet"))
    stir(first.controlnet)
    save_model(tmp_path / "second", first, load_model(base).recipe)
    again = starting_backbone(latent_recipe("sd3", tmp_path / "second", train="controlnet"))
    for key, weight in first.controlnet.state_dict().items():
        assert torch.equal(again.controlnet.state_dict()[key], weight), key
