"""Latent Drifting (CVPR 2025) at small scale: train, measure, and write docs/evidence/drift.md.

A small Stable Diffusion that has only ever seen clothes is fine-tuned to a few hundred cardiac MR images and
chest X-rays, with and without drift. delta is chosen on validation patients, the tables are of test patients.
Each figure is kept as soon as it is there, so a run that was stopped goes on, and the document says what has
not been run. The tables come from docs/evidence/drift.json alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthesis.backbones.stable_diffusion import StableDiffusion
from synthesis.drift import Drift
from synthesis.drift_choice import PAPER_GRID
from synthesis.errors import SynthesisError
from synthesis.metrics.judges import Judges, load_judges
from training.evidence.drift_classifier import SEEDS as CLASSIFIERS
from training.evidence.drift_classifier import UPDATES, Labelled, compared
from training.evidence.drift_measures import Reference, figures, floor, kid_gap, reference, source_of
from training.evidence.drift_plan import (
    BASIC,
    ESTIMATORS,
    PLAIN,
    SEEDS,
    VALIDATED,
    Run,
    Steps,
    grid,
    headline,
    methods,
    prompt_for,
    prompt_formats,
    schemes,
    words_of,
)
from training.evidence.drift_runs import (
    describe_source,
    finish,
    keep,
    listed,
    make_source,
    model_of,
    opened,
    write_set,
)
from training.evidence.drift_sampling import STEPS, by_inversion, by_terminal_snr, draw
from training.evidence.drift_sets import CARDIAC, CHEST, DATA, TARGETS, Pictures, Split, even, read_target
from training.evidence.drift_sheet import write_sheet
from training.evidence.drift_tables import document
from training.evidence.victr import PHANTOMS, rounded
from training.recipe import STATE

FOLDER = STATE / "drift"
DOC = Path("docs/evidence/drift.md")
RESULTS = "results.json"
DRAWN = 200  # pictures of a set, as in the paper, or as many as the split has
PARTS = ("source", "counts", "net", "delta", "runs", "rows", "gaps", "classifier")
Results = dict[str, Any]


def evidence(
    minutes: float,
    *,
    folder: Path = FOLDER,
    data: Path = DATA,
    source: Path = PHANTOMS,
    doc: Path = DOC,
    judges: Path = Path("weights/judges"),
    seeds: Sequence[int] = SEEDS,
    deltas: Sequence[float] = PAPER_GRID,
    drawn: int = DRAWN,
    sampler_steps: int = STEPS,
    updates: int = UPDATES,
    classifiers: Sequence[int] = CLASSIFIERS,
    training: bool = True,
) -> Results:
    """Train and measure what is missing, and write the document after each step; the results are returned.

    Without `training` only what is trained already is measured. Raises ValueError where `folder` holds a run
    of another length, and FileNotFoundError where the pictures are not at `data`.
    """
    torch.set_num_threads(1)
    steps = Steps().scaled(minutes)
    about = {
        "minutes": minutes, "seeds": list(seeds), "steps": asdict(steps), "deltas": list(deltas),
        "drawn": drawn, "sampler_steps": sampler_steps, "updates": updates, "classifiers": len(classifiers),
    }  # fmt: skip
    results = _read(folder / RESULTS, about)
    targets = {name: read_target(data, name) for name in TARGETS}
    results["counts"] = {name: listed(splits) for name, splits in targets.items()}
    model = make_source(data, source, folder, steps)
    bench = Bench(folder, load_judges(judges), targets, model, results, doc, training=training)
    if not results["source"]:
        results["source"] = describe_source(model, data, targets, steps, sampler_steps)
        bench.save()
    for task in (
        *(lambda t=t: bench.search(t, deltas) for t in TARGETS),
        *(lambda t=t: bench.rows(headline(t, bench.used(t), seeds)) for t in TARGETS),
        *(lambda t=t: bench.start_alone(t, deltas) for t in TARGETS),
        lambda: bench.estimated(CARDIAC),
        lambda: bench.classify(updates, classifiers),
        lambda: bench.others(CARDIAC),
        lambda: bench.estimated(CHEST),
        lambda: bench.rows(prompt_formats(bench.used(CHEST))),
        lambda: bench.others(CHEST),
    ):
        task()
    bench.save()
    write_sheet(results, folder / "pictures", doc.with_suffix(".png"))
    return results


class Bench:
    """The held-out pictures, read once, and one part of the evidence after another."""

    def __init__(
        self,
        folder: Path,
        judges: Judges,
        targets: Mapping[str, Mapping[str, Split]],
        model: Path,
        results: Results,
        doc: Path,
        *,
        training: bool,
    ) -> None:
        about = results["about"]
        self.folder, self.judges, self.targets = folder, judges, targets
        self.model, self.results, self.doc, self.training = model, results, doc, training
        self.steps = int(about["steps"]["tuning"])
        self.sampler_steps, self.first = int(about["sampler_steps"]), int(about["seeds"][0])
        self.held: dict[tuple[str, str], Reference] = {}
        self._open: tuple[str, StableDiffusion] | None = None
        network = opened(model)
        for target, splits in targets.items():
            write_set(folder / f"shards-{target}", splits["train"], target, network)
            for part in ("validation", "test"):
                most = about["drawn"] if part == "test" else min(VALIDATED, about["drawn"])
                split = even(splits[part], most)
                trained = splits["train"] if part == "test" else None
                self.held[target, part] = reference(judges, split, trained, target)
            if f"{target}-real" not in results["rows"]:
                held = self.held[target, "test"]
                others = even(splits["train"], min(about["drawn"], len(held.split)))
                real = floor(judges, others, held, target)
                real.pop("features")
                results["rows"][f"{target}-real"] = real
        some = source_of(judges, CARDIAC)
        width = self.held[CARDIAC, "test"].features.values.shape[1]
        results["net"] = asdict(some) | {"dimensions": width}

    def save(self) -> None:
        """Keep the results, and write the document from them."""
        self.results["missing"] = self.missing()
        _write(self.results, self.folder / RESULTS, self.doc)

    def missing(self) -> list[str]:
        """The fine-tunings of the plan that no row of test patients tells of."""
        seeds, planned = self.results["about"]["seeds"], []
        for target, told in self.results["delta"].items():
            if "used" in told:
                some = dict.fromkeys(ESTIMATORS, (0.1,))
                planned += [
                    *headline(target, told["used"], seeds), *schemes(target, told["used"], some),
                    *methods(target, told["used"]),
                    *(prompt_formats(told["used"]) if target == CHEST else []),
                ]  # fmt: skip
        return [name for name in dict.fromkeys(r.name for r in planned) if name not in self.results["rows"]]

    def used(self, target: str) -> float:
        """The delta of the rows with drift: the best of the search that is not 0."""
        return float(self.results["delta"][target]["used"])

    # One run.

    def trained(self, run: Run) -> bool:
        """Whether the run is there, or was made now."""
        if run.name not in self.results["runs"]:
            if not self.training:
                return False
            print(f"== {run.name}", flush=True)
            self.results["runs"][run.name] = finish(run, self.folder, self.model, self.steps)
            self.save()
        return True

    def drawn(self, run: Run, split: Split, name: str, drift: Drift | None = None) -> Pictures:
        """Pictures asked for with the prompts of a split's people, drawn once and kept."""
        path = self.folder / "pictures" / f"{name}.npy"
        if not path.is_file():
            words = words_of(run)
            network = self.network(run)
            told = [prompt_for(words, one) for one in split.people]
            keep(path, draw(network, told, seed=run.seed, steps=self.sampler_steps, drift=drift))
        made: Pictures = np.load(path)
        return made

    def network(self, run: Run) -> StableDiffusion:
        """The run's network; the last one is kept open."""
        if self._open is None or self._open[0] != run.name:
            self._open = (run.name, opened(model_of(run, self.folder)))
        return self._open[1]

    def validated(self, run: Run, name: str, drift: Drift | None = None) -> dict[str, float]:
        """What delta is chosen by: a set against the validation patients."""
        real = self.held[run.target, "validation"]
        made = self.drawn(run, real.split, f"validation-{name}", drift)
        found: Any = figures(self.judges, made, real, run.target)
        return {
            "l1": found["l1"],
            "kid": found["kid"]["value"],
            "brightness_error": found["brightness_error"],
        }

    def row(self, run: Run, name: str, drift: Drift | None = None) -> None:
        """The figures of a set against the test patients, and its KID less that of the same without drift."""
        if name in self.results["rows"]:
            return
        real = self.held[run.target, "test"]
        found = figures(self.judges, self.drawn(run, real.split, f"test-{name}", drift), real, run.target)
        features = np.asarray(found.pop("features"))
        keep(self.folder / "features" / f"{name}.npy", features)
        words = words_of(run)
        self.results["rows"][name] = found | {"example": prompt_for(words, real.split.people[0])}
        plain = self.folder / "features" / f"{run.target}-{run.method}-{PLAIN}-{run.seed}.npy"
        if plain.is_file() and plain.stem != name:
            self.results["gaps"][name] = kid_gap(features, np.load(plain), real)
        self.save()

    def rows(self, runs: Sequence[Run]) -> None:
        """Several runs, in their order."""
        for run in runs:
            if self.trained(run):
                self.row(run, run.name)

    # The parts of the evidence.

    def search(self, target: str, deltas: Sequence[float]) -> None:
        """The paper's search: a fine-tuning for each delta, judged on validation patients."""
        told = self.results["delta"].setdefault(target, {})
        found = told.setdefault("trained", {})
        for run in grid(target, deltas):
            key = f"{run.drift.delta if run.drift else 0.0:+.2f}"
            if key not in found and self.trained(run):
                found[key] = self.validated(run, run.name)
                told["used"] = _best({d: one for d, one in found.items() if float(d)} or found)
                self.save()

    def start_alone(self, target: str, deltas: Sequence[float]) -> None:
        """The schemes that need no training of their own, on the fine-tuning without drift, and estimates."""
        run = Run(target, seed=self.first)
        if not self.trained(run):
            return
        told = self.results["delta"][target]
        train = self.targets[target]["train"]
        if "estimates_tuned" not in told:
            told["estimates_tuned"] = self.estimates(self.network(run), train, target)
        found = told.setdefault("init_only", {})
        for delta in deltas:
            key = f"{delta:+.2f}"
            if key not in found:
                drift = Drift(delta=delta, scheme="init_only") if delta else None
                found[key] = self.validated(run, f"{run.name}-init_only{key}" if delta else run.name, drift)
                self.save()
        told["init_only_best"] = _best({d: one for d, one in found.items() if float(d)})
        at: dict[str, Any] = {"init_only": told["init_only_best"]}
        for name, delta in told["estimates_tuned"].items():
            at[f"init_only_{name}"] = torch.tensor(delta)
            kept = told.setdefault("init_only_estimates", {})
            if name not in kept:
                drift = Drift(delta=torch.tensor(delta), scheme="init_only")
                kept[name] = self.validated(run, f"{run.name}-{name}", drift) | {"delta": delta}
        for seed in self.results["about"]["seeds"]:
            tuned = Run(target, seed=seed)
            for label, delta in at.items() if tuned.name in self.results["runs"] else ():
                drift = Drift(delta=delta, scheme="init_only")
                self.row(tuned, f"{target}-{BASIC}-{label}-{seed}", drift)
        literal = Drift(delta=told["init_only_best"], scheme="literal")
        self.row(run, f"{target}-{BASIC}-literal-{self.first}", literal)

    def others(self, target: str) -> None:
        """The other methods of fine-tuning; those without drift also drawn from the estimated start."""
        self.rows(methods(target, self.used(target)))
        told = self.results["delta"][target].get("estimates_tuned", {})
        for run in methods(target, self.used(target)):
            if not run.drift and run.name in self.results["runs"] and told:
                drift = Drift(delta=torch.tensor(told["terminal_snr"]), scheme="init_only")
                self.row(run, f"{target}-{run.method}-init_only_terminal_snr-{run.seed}", drift)

    def estimates(self, network: StableDiffusion, train: Split, target: str) -> dict[str, list[float]]:
        """delta per channel by both estimators, from training pictures."""
        words = words_of(Run(target))
        told = [prompt_for(words, one) for one in train.people]
        found = {"terminal_snr": by_terminal_snr(network, train.pictures)}
        try:
            found["inversion"] = by_inversion(network, train.pictures, told)
        except SynthesisError as problem:  # the tables then lack it
            print(f"inversion: {problem}", flush=True)
        return found

    def estimated(self, target: str) -> None:
        """Fine-tunings with the deltas that need no search, from the source, and with the scheme `prior`."""
        told = self.results["delta"][target]
        if "estimates" not in told:
            told["estimates"] = self.estimates(opened(self.model), self.targets[target]["train"], target)
        for run in schemes(target, self.used(target), told["estimates"]):
            if not self.trained(run):
                continue
            self.row(run, run.name)
            kept = told.setdefault("trained_estimates", {})
            if run.label in told["estimates"] and run.label not in kept:
                kept[run.label] = self.validated(run, run.name) | {"delta": told["estimates"][run.label]}
            self.save()

    def classify(self, updates: int, seeds: Sequence[int]) -> None:
        """Classifiers of real and drawn chest X-rays."""
        if self.results["classifier"]:
            return
        train = self.targets[CHEST]["train"]
        real = Labelled.of(train)
        run, told = Run(CHEST, seed=self.first), self.results["delta"][CHEST].get("estimates_tuned")
        if run.name not in self.results["runs"] or not told:
            return
        drift = Drift(delta=torch.tensor(told["terminal_snr"]), scheme="init_only")
        sets = {
            name: Labelled(self.drawn(run, train, f"train-{run.name}-{name}", how), real.found)
            for name, how in (("without drift", None), ("with drift", drift))
        }
        print("== classifiers", flush=True)
        self.results["classifier"] = compared(
            real, sets, self.targets[CHEST]["test"], updates=updates, seeds=seeds
        )
        self.save()


def _best(found: Mapping[str, Mapping[str, float]]) -> float:
    """The delta with the least L1, of equal ones that nearest to 0."""
    return float(min(found, key=lambda d: (found[d]["l1"], abs(float(d)))))


def _read(path: Path, about: dict[str, Any]) -> Results:
    """What is already known, or an empty start. Raises ValueError for results of another run."""
    if not path.is_file():
        return {"about": about, **{part: {} for part in PARTS}}
    results: Results = json.loads(path.read_text(encoding="utf-8"))
    if results["about"] != about:
        raise ValueError(
            f"{path.parent} holds a run of {results['about']}, not of {about}; name another folder."
        )
    return results


def _write(results: Results, path: Path, doc: Path) -> None:
    """Keep the results, beside the document too, and write its tables from them."""
    text = json.dumps(rounded(results), indent=1, sort_keys=True) + "\n"
    for place in (path, doc.with_suffix(".json")):
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, place)
    before = doc.read_text(encoding="utf-8") if doc.is_file() else ""
    part = doc.with_suffix(".part")
    part.write_text(document(json.loads(text), before), encoding="utf-8")
    os.replace(part, doc)
