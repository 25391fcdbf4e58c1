"""ViCTr (Susladkar et al., ICCV 2025) at phantom scale: train, measure, and write docs/evidence/victr.md.

Stage 1 learns anatomy from CT phantoms, stage 2 adapts it by LoRA to T1 and T2 phantoms with graded
cirrhosis; beside them stand plain diffusion and every part left out in turn. Each figure is kept as soon as
it is there, so a run that was stopped goes on. The tables come from docs/evidence/victr.json alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.metrics.judges import Judges, load_judges
from training.calibrate import generate
from training.evidence.victr_measures import (
    LEVELS,
    Sizes,
    calibrated,
    kid_gap,
    phantoms,
    quick_row,
    real_row,
    real_sweep,
    row,
    severity_sweep,
    wide_cases,
)
from training.evidence.victr_plan import SEEDS, Recipes, Run, plan
from training.evidence.victr_runs import SETS, finish, gather, opened, with_kappa
from training.evidence.victr_tables import document
from training.held_out import Case, Setting
from training.measures import Truth, measure, truth_of
from training.recipe import STATE

FOLDER = STATE / "victr"
PHANTOMS = STATE / "abdomen-2d" / "phantoms"
DOC = Path("docs/evidence/victr.md")
SHIPPED = Path("weights/abdomen-2d")
RESULTS = "results.json"
OURS = Setting(sampler="rft", calls=4)
VANILLA = tuple(Setting(sampler="ddim", calls=n) for n in (30, 50, 4))
LADDER = (1, 2, 3, 4, 8, 15, 30)
SAMPLERS = ("rft", "euler", "heun", "dpmpp", "unipc", "victr_literal")
CALIBRATED = (2, 4, 8, 30)  # numbers of calls of the table of samplers; kappa between is interpolated
SIZES = Sizes()
Results = dict[str, Any]


def evidence(
    minutes: float,
    *,
    folder: Path = FOLDER,
    source: Path = PHANTOMS,
    doc: Path = DOC,
    judges: Path = Path("weights/judges"),
    recipes: Recipes | None = None,
    seeds: Sequence[int] = SEEDS,
    sizes: Sizes = SIZES,
    ladder: Sequence[int] = LADDER,
    training: bool = True,
) -> Results:
    """Train and measure what is missing, and write the document after each step; the results are returned.

    Without `training` only what is trained already is measured. Raises ValueError where `folder` holds a run
    of another length.
    """
    torch.set_num_threads(1)
    chosen = (recipes or Recipes.shipped()).scaled(minutes)
    runs = plan(chosen, seeds)
    about = {"minutes": minutes, "seeds": list(seeds), "sizes": asdict(sizes)}
    results = _read(folder / RESULTS, about)
    sets = {
        name: gather(source, folder, r, name)
        for name, r in (("ct", chosen.anatomy), ("mr", chosen.pathology))
    }
    bench = Bench(folder, load_judges(judges), chosen.anatomy.shape, sizes, seeds[0])
    for run in runs:
        if run.name not in results["runs"] and not training:
            continue
        if run.name not in results["runs"]:
            print(f"== {run.name}", flush=True)
            results["runs"][run.name] = finish(run, folder, sets)
            _write(results, folder / RESULTS, doc)
        bench.measure(run, results)
        _write(results, folder / RESULTS, doc)
    bench.climb(runs[1], results, ladder, lambda: _write(results, folder / RESULTS, doc))
    bench.forget(runs, results)
    bench.grade_shipped(results)
    _write(results, folder / RESULTS, doc)
    return results


class Bench:
    """The held-out phantoms, read once, and the measuring of one run after another."""

    def __init__(
        self, folder: Path, judges: Judges, shape: tuple[int, int], sizes: Sizes, first: int
    ) -> None:
        self.folder = folder
        self.first = first  # the seed whose model has every row
        self.judges = judges
        self.shape = shape
        self.sizes = sizes
        self.tests = phantoms("test", sizes.cases, shape, SETS["mr"])
        self.validation = phantoms("validation", sizes.validation, shape, SETS["mr"])
        self.masks = wide_cases(sizes.masks, shape)
        self._truth: Truth | None = None

    def truth(self, model: LoadedModel) -> Truth:
        """The test phantoms as the judges see them; every model here has one intensity scale."""
        if self._truth is None:
            self._truth = truth_of(self.tests, model, self.judges)
        return self._truth

    def measure(self, run: Run, results: Results) -> None:
        """The rows of one run that are still missing."""
        if run.data == "ct":
            return
        model = opened(run, self.folder)
        truth = self.truth(model)
        if "real" not in results["rows"]:
            others = phantoms("test", self.sizes.cases, self.shape, SETS["mr"], skip=self.sizes.cases)
            results["rows"]["real"] = real_row(truth, others, model, self.judges)
            results["severity"]["real"] = real_sweep(self.sizes.masks, self.shape, model, self.judges)
        vanilla = run.name.startswith("vanilla")
        if not vanilla and run.name not in results["kappa"]:
            results["kappa"][run.name] = calibrated(model, self.judges, self.validation, (4,))
        if not vanilla:
            model = with_kappa(model, results["kappa"][run.name])
        for setting in VANILLA if vanilla else self.settings(run):
            name = f"{run.name}/{setting.name}"
            if name in results["rows"]:
                continue
            print(f"-- {name}", flush=True)
            figures, features = row(model, setting, truth, self.judges)
            self.features(name).parent.mkdir(parents=True, exist_ok=True)
            np.save(self.features(name), features)
            reference = self.features(f"ours-{run.recipe.seed}/{OURS.name}")
            if reference.is_file() and reference != self.features(name):
                figures["kid_over_ours"] = kid_gap(self.features(name), reference, truth)
            results["rows"][name] = figures
        if run.name not in results["severity"]:
            setting = VANILLA[0] if vanilla else OURS
            results["severity"][run.name] = severity_sweep(model, setting, self.masks, self.judges)

    def settings(self, run: Run) -> list[Setting]:
        """How a flow is sampled: as ours is; the first seed's also without the correction, and as printed."""
        if run.name != f"ours-{self.first}":
            return [OURS]
        return [
            OURS,
            replace(OURS, kappa=0.0),
            replace(OURS, kappa=1.0),
            Setting(sampler="victr_literal", calls=4),
            replace(OURS, calls=30),
        ]

    def climb(self, run: Run, results: Results, ladder: Sequence[int], keep: Any) -> None:
        """The table of samplers: our first seed's model at every number of calls on offer."""
        model = opened(run, self.folder)
        truth = truth_of(self.tests[: self.sizes.ladder], model, self.judges)
        if "ladder" not in results["kappa"]:
            known = results["kappa"][run.name]
            rest = [n for n in CALIBRATED if n != OURS.calls and n <= max(ladder)]
            few = self.validation[: len(self.validation) // 2]
            found = calibrated(model, self.judges, few, rest)
            results["kappa"]["ladder"] = {m: known[m] | found.get(m, {}) for m in known}
        model = with_kappa(model, results["kappa"]["ladder"])
        for sampler in SAMPLERS:
            for calls in ladder:
                steps = -(-calls // 2) if sampler == "heun" else calls  # two calls a step, the last takes one
                name = f"{sampler}-{calls}"
                if name in results["ladder"] or (sampler == "heun" and calls % 2 == 0):
                    continue
                print(f"-- {name}", flush=True)
                setting = Setting(sampler=sampler, calls=steps)
                results["ladder"][name] = quick_row(model, setting, truth, self.judges)
                keep()

    def forget(self, runs: Sequence[Run], results: Results) -> None:
        """How well CT is still drawn after stage 2, by the network alone and with its adapter on."""
        cases = phantoms("test", self.sizes.ct, self.shape, SETS["ct"])
        unstated: dict[str, Any] = {"severity": None, "steatosis": None, "age": None, "sex": None}
        asked = [replace(c, condition=replace(c.condition, **unstated)) for c in cases]
        named = {run.name: run for run in runs}
        for name in (f"anatomy-{self.first}", f"ours-{self.first}", "whole-network", "ewc"):
            if name in results["forgetting"] or name not in results["runs"]:
                continue
            model = opened(named[name], self.folder)
            results["forgetting"][name] = ct_row(model, asked, cases, self.judges)

    def grade_shipped(self, results: Results) -> None:
        """Severity at fixed masks of the model that ships, which learned longer and in one stage."""
        if SHIPPED.name in results["severity"] or not SHIPPED.is_dir():
            return
        model = load_model(SHIPPED)
        model.network.to(memory_format=torch.channels_last)
        results["severity"][SHIPPED.name] = severity_sweep(model, OURS, self.masks, self.judges)

    def features(self, name: str) -> Path:
        """Where the features of a row lie."""
        return self.folder / "features" / f"{name.replace('/', '-')}.npy"


def ct_row(
    model: LoadedModel, asked: Sequence[Case], cases: Sequence[Case], judges: Judges
) -> dict[str, Any]:
    """KID and Dice of CT at four Euler steps, which need no calibration."""
    setting = Setting(sampler="euler", calls=4)
    made = generate(model, asked, setting)
    figures, _ = measure(made, truth_of(cases, model, judges), model, judges, setting)
    return {name: figures[name] for name in ("kid", "dice_share")} | {"n": len(asked)}


def _read(path: Path, about: dict[str, Any]) -> Results:
    """What is already known, or an empty start. Raises ValueError for results of another run."""
    if not path.is_file():
        empty: Results = {part: {} for part in ("runs", "kappa", "rows", "ladder", "severity", "forgetting")}
        return {"about": about | {"levels": list(LEVELS)}, **empty}
    results: Results = json.loads(path.read_text(encoding="utf-8"))
    known = {name: results["about"].get(name) for name in about}
    if known != about:
        raise ValueError(f"{path.parent} holds a run of {known}, not of {about}; name another folder.")
    return results


def rounded(results: Results) -> Results:
    """The same with six significant digits, which is what is kept."""
    kept: Results = json.loads(json.dumps(results), parse_float=lambda text: float(f"{float(text):.6g}"))
    return kept


def _write(results: Results, path: Path, doc: Path) -> None:
    """Keep the results, beside the document too, and write its tables from them."""
    text = json.dumps(rounded(results), indent=1, sort_keys=True) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    for place in (path, doc.with_suffix(".json")):
        part = place.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, place)
    before = doc.read_text(encoding="utf-8") if doc.is_file() else ""
    doc.write_text(document(json.loads(text), before), encoding="utf-8")
