"""What is trained for the evidence on ViCTr: every run with its recipe, in the order in which they matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.recipe import (
    ConsistencySettings,
    EpsilonSettings,
    EwcSettings,
    FlowSettings,
    Recipe,
    load_recipe,
)

MINUTES = 60.0  # of training that the recipes' steps take, all runs together, on one core
SEEDS = (1, 2, 3)
FIRST = SEEDS[0]  # of the rows that have one seed
RANKS = (4, 8, 16, 32)  # beside the recipe's 64
EWC_STRENGTH = 100.0
LINEAR: dict[str, Any] = {"kind": "linear", "beta_start": 1e-4, "beta_end": 0.02}  # Ho et al. 2020
LOSSES: dict[str, dict[str, float]] = {  # name of the row -> what it leaves out of stage 2's loss
    "flow": {"weight_consistency": 0.0, "weight_temporal": 0.0, "weight_spatial": 0.0},
    "flow-spatial": {"weight_consistency": 0.0, "weight_temporal": 0.0},
    "flow-consistency": {"weight_temporal": 0.0, "weight_spatial": 0.0},
    "flow-spatial-consistency": {"weight_temporal": 0.0},
    "flow-temporal": {"weight_consistency": 0.0, "weight_spatial": 0.0},
}
ORDER = (  # of the ablations that begin from stage 1: what answers most comes first
    *("flow", "whole-network", "flow-consistency", "flow-spatial", "rank-16", "rank-4"),
    *("flow-spatial-consistency", "rank-32", "flow-temporal", "rank-8", "ewc"),
)


@dataclass(frozen=True)
class Run:
    """One training: its recipe, the set it sees ("ct" or "mr"), and the run whose model it begins from."""

    name: str
    recipe: Recipe
    data: str
    after: str = ""


@dataclass(frozen=True)
class Recipes:
    """The three recipes that every run is a variation of."""

    anatomy: Recipe
    pathology: Recipe
    vanilla: Recipe

    @classmethod
    def shipped(cls) -> Recipes:
        """Those of training/recipes."""
        return cls(load_recipe("victr-anatomy"), load_recipe("victr-pathology"), load_recipe("victr-vanilla"))

    def scaled(self, minutes: float) -> Recipes:
        """The same with as many steps as `minutes` of training in all leave to each."""
        share = minutes / MINUTES
        stages = [
            replace(r, steps=max(1, round(r.steps * share)), optimiser=_warmed(r, share))
            for r in (self.anatomy, self.pathology)
        ]
        both = sum(stage.steps for stage in stages)
        return Recipes(
            stages[0], stages[1], replace(self.vanilla, steps=both, optimiser=_warmed(self.vanilla, share))
        )


def plan(recipes: Recipes, seeds: Sequence[int] = SEEDS) -> list[Run]:
    """Every run, those of the headline first; each begins only after the one that it needs."""
    runs = []
    for seed in seeds:
        runs += [
            Run(f"anatomy-{seed}", replace(recipes.anatomy, seed=seed), "ct"),
            Run(f"ours-{seed}", replace(recipes.pathology, seed=seed), "mr", f"anatomy-{seed}"),
            Run(f"vanilla-{seed}", replace(recipes.vanilla, seed=seed), "mr"),
        ]
    stage_1 = f"anatomy-{seeds[0]}"
    scratch = replace(
        recipes.vanilla, seed=seeds[0], objective=_flow(recipes.anatomy), title="Flow without stage 1"
    )
    runs.append(Run("flow-no-stage-1", scratch, "mr"))
    second = replace(recipes.pathology, seed=seeds[0])
    short = replace(scratch, steps=second.steps, optimiser=second.optimiser)
    runs.append(Run("flow-no-stage-1-short", short, "mr"))
    whole = replace(second, adapter=None, objective=_flow(recipes.anatomy))
    others = {name: replace(second, objective=_without(second, out)) for name, out in LOSSES.items()}
    for rank in RANKS:
        others[f"rank-{rank}"] = replace(second, adapter=_adapter(second, rank=rank, alpha=float(rank)))
    others["whole-network"] = whole
    others["ewc"] = replace(whole, objective=_ewc(recipes.anatomy))
    runs += [Run(name, others[name], "mr", stage_1) for name in ORDER]
    linear = EpsilonSettings(region_weights={}, **LINEAR)
    runs.append(Run("vanilla-linear", replace(recipes.vanilla, seed=seeds[0], objective=linear), "mr"))
    return runs


def placed(run: Run, folder: Path) -> Recipe:
    """The run's recipe with the model that it begins from, and the Fisher information, below `folder`."""
    recipe = replace(run.recipe, name=f"victr-{run.name}")
    if run.after:
        recipe = replace(recipe, init_from=str(folder / run.after / "model"))
    if isinstance(recipe.objective, EwcSettings):
        objective = replace(recipe.objective, fisher=str(folder / run.after / "fisher.safetensors"))
        recipe = replace(recipe, objective=objective)
    return recipe


def _flow(anatomy: Recipe) -> FlowSettings:
    return anatomy.objective


def _without(recipe: Recipe, left_out: dict[str, float]) -> ConsistencySettings:
    settings = recipe.objective
    if not isinstance(settings, ConsistencySettings):
        raise ValueError(f"{recipe.name}: expected the objective consistency, got {settings.name}")
    return replace(settings, **left_out)  # type: ignore[arg-type]


def _adapter(recipe: Recipe, **changes: Any) -> Any:
    if recipe.adapter is None:
        raise ValueError(f"{recipe.name}: expected an adapter")
    return replace(recipe.adapter, **changes)


def _ewc(anatomy: Recipe) -> EwcSettings:
    times = {
        name: getattr(anatomy.objective, name)
        for name in ("time_mean", "time_std", "time_uniform", "time_start", "region_weights")
    }
    return EwcSettings(fisher="fisher.safetensors", strength=EWC_STRENGTH, **times)


def _warmed(recipe: Recipe, share: float) -> Any:
    return replace(recipe.optimiser, warmup=max(1, round(recipe.optimiser.warmup * min(1.0, share))))
