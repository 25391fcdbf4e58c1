"""Recipes: read whole or refused by name."""

import pytest

from synthesis.backbones.unet import UNet
from training.recipe import RECIPES, load_recipe, recipe_from


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_can_be_read_and_fits_what_ships(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    if recipe.family == "unet":
        size = sum(p.numel() for p in UNet(recipe.backbone).parameters()) * 2
        assert size < 25e6  # bytes in fp16
    assert set(recipe.modalities) <= set(recipe.normalisation)
    assert path.read_text().startswith("# ")


def test_a_bare_name_finds_the_shipped_recipe():
    assert load_recipe("abdomen-2d").shape == (128, 128)


def test_unknown_and_missing_keys_are_named():
    with pytest.raises(ValueError, match="colour"):
        recipe_from({"name": "x", "colour": "red"})
    with pytest.raises(ValueError, match="wings"):
        recipe_from({"backbone": {"wings": 1}})
    with pytest.raises(ValueError, match="seed"):
        recipe_from({"name": "x"})
