"""What is trained for the evidence on Latent Drifting: every run with its recipe, most telling first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synthesis.control.patient_prompts import PatientPrompts
from synthesis.drift import TrainedDrift
from synthesis.drift_choice import PAPER_GRID
from training.evidence.drift_sets import CARDIAC, CHEST, SIDE, Person
from training.recipe import Recipe, recipe_from

MINUTES = 60.0  # of training that the steps below take, all runs together, on one core
SEEDS = (1, 2, 3)
AUTOENCODER_STEPS = 2200
SOURCE_STEPS = 3000
STEPS = 160  # of fine-tuning
VALIDATED = 96  # pictures of a set that delta is chosen by, at most
BASIC, METHODS = "basic", ("textual_inversion", "custom_diffusion", "dreambooth")
PLAIN = "plain"
ESTIMATORS = ("terminal_snr", "inversion")
MODALITY = {CARDIAC: "T2", CHEST: "CT"}  # what the shards call them; no prompt says it

WORDS: Mapping[str, PatientPrompts] = {
    CARDIAC: PatientPrompts(
        image="cardiac MRI",
        diagnoses={
            "heart_failure_infarct": "heart failure and infarction",
            "heart_failure_no_infarct": "heart failure without infarction",
            "hypertrophy": "hypertrophy",
            "normal": "no heart disease",
        },
    ),
    CHEST: PatientPrompts(
        image="chest X-ray", diagnoses={"no_finding": "no finding", "pneumonia": "pneumonia"}
    ),
}
FORMATS: Mapping[str, Mapping[str, str]] = {  # of chest X-rays; the last is that of all other rows
    "generic": {"style": "generic"},
    "diagnosis": {"style": "diagnosis"},
    "binned": {"style": "patient", "age": "binned"},
    "word": {"style": "patient", "age": "word"},
    "diverse": {"style": "diverse", "age": "numerical"},
    "numerical": {"style": "patient", "age": "numerical"},
}
USUAL = "numerical"
TOKENS: Mapping[str, Mapping[str, str]] = {  # what stands for the target, where the method wants a word
    "textual_inversion": {"token": "<scan>", "token_from": "image"},
    "dreambooth": {"token": "sks"},
    "custom_diffusion": {"token": "<scan>", "token_from": "image"},
}
TUNED: Mapping[str, Mapping[str, Any]] = {  # rate, and what the objective says beside the flow's
    BASIC: {"rate": 4e-4},
    "textual_inversion": {"rate": 5e-3},
    "dreambooth": {"rate": 4e-4, "prior_images": 64, "prior_steps": 20},
    "custom_diffusion": {"rate": 1e-3},
}


@dataclass(frozen=True)
class Steps:
    """How long everything is trained."""

    autoencoder: int = AUTOENCODER_STEPS
    source: int = SOURCE_STEPS
    tuning: int = STEPS

    def scaled(self, minutes: float) -> Steps:
        """The same share of each."""
        share = minutes / MINUTES
        return Steps(*(max(1, round(n * share)) for n in (self.autoencoder, self.source, self.tuning)))


@dataclass(frozen=True)
class Run:
    """One fine-tuning. `label` says how the noise was drifted, "plain" if it was not."""

    target: str
    method: str = BASIC
    label: str = PLAIN
    seed: int = SEEDS[0]
    drift: TrainedDrift | None = None
    words: str = USUAL  # one of FORMATS

    @property
    def name(self) -> str:
        """By which its figures are kept."""
        told = "" if self.words == USUAL else f"-{self.words}"
        return f"{self.target}-{self.method}-{self.label}{told}-{self.seed}"


def on_grid(delta: float) -> str:
    """The label of a scalar delta under the scheme `noise`."""
    return f"noise{delta:+.2f}" if delta else PLAIN


def drifted(delta: float | Sequence[float], scheme: str = "noise") -> TrainedDrift | None:
    """The drift as a recipe says it; None for 0."""
    told = float(delta) if isinstance(delta, int | float) else tuple(float(d) for d in delta)
    return TrainedDrift(delta=told, scheme=scheme) or None


def grid(target: str, deltas: Sequence[float] = PAPER_GRID) -> list[Run]:
    """The paper's search: one fine-tuning for each delta, the one without first."""
    ordered = sorted(deltas, key=lambda d: (abs(d), d))
    return [Run(target, label=on_grid(d), drift=drifted(d)) for d in ordered]


def headline(target: str, delta: float, seeds: Sequence[int]) -> list[Run]:
    """Basic fine-tuning with and without, on every seed."""
    return [
        Run(target, label=on_grid(d), drift=drifted(d), seed=seed) for seed in seeds for d in (0.0, delta)
    ]


def schemes(target: str, delta: float, estimates: Mapping[str, Sequence[float]]) -> list[Run]:
    """The scheme `prior` at the same delta, and `noise` at each estimate, one number per channel."""
    return [
        Run(target, label="prior", drift=drifted(delta, "prior")),
        *(
            Run(target, label=name, drift=drifted(estimates[name]))
            for name in ESTIMATORS
            if name in estimates
        ),
    ]


def methods(target: str, delta: float) -> list[Run]:
    """The other ways of fine-tuning, each with and without."""
    return [
        Run(target, method=method, label=on_grid(d), drift=drifted(d))
        for method in METHODS
        for d in (0.0, delta)
    ]


def prompt_formats(delta: float) -> list[Run]:
    """One fine-tuning for each way of telling who the patient is, with drift."""
    return [Run(CHEST, label=on_grid(delta), drift=drifted(delta), words=words) for words in FORMATS]


def words_of(run: Run) -> PatientPrompts:
    """How the run's prompts are worded."""
    words = WORDS[run.target]
    changes: dict[str, Any] = dict(FORMATS[run.words]) | dict(TOKENS.get(run.method, {}))
    return replace(words, **changes)


def prompt_for(words: PatientPrompts, person: Person) -> str:
    """What is asked for to get a picture of such a person."""
    return words.prompt(_Told(person))


class _Told:
    """A person as prompts read one."""

    def __init__(self, person: Person) -> None:
        self.age, self.sex, self.diagnosis = person.age, person.sex, person.group


def recipe_of(run: Run, source: Path, steps: int) -> Recipe:
    """The run's recipe: so many steps from the source model."""
    scale = {"units": [-1.0, 1.0], "scaled": [-1.0, 1.0]}
    tuned = dict(TUNED[run.method])
    rate = tuned.pop("rate")
    values: dict[str, Any] = {
        "name": f"drift-{run.name}",
        "title": f"{run.method} on {run.target}, {run.label}",
        "version": "1.0",
        "seed": run.seed,
        "steps": steps,
        "batch": 16,
        "phantoms": 0,
        "precision": "bf16",
        "refresh_every": steps,
        "checkpoint_every": max(50, steps // 2),
        "ema_exponent": 6.0,
        "init_from": str(source),
        "image": {
            "rows": SIDE,
            "columns": SIDE,
            "normalisation": dict.fromkeys(("CT", "T1", "T2"), scale),
        },
        "modalities": [MODALITY[run.target]],
        "backbone": {"name": "stable_diffusion"},
        "prompts": words_of(run).to_json(),
        "mask_dropout": {
            "whole": 1.0, "random_labels": 0.0, "seldom_labelled": 0.0, "liver_alone": 0.0,
            "attribute": 0.0, "prompt": 0.1,
        },
        "objective": {
            **tuned, "name": "flow" if run.method == BASIC else run.method,
            "loss_on": "native", "region_weights": {},
            "time_mean": -0.7, "time_std": 1.5, "time_uniform": 0.0,  # near to even training steps
        },
        "optimiser": {"rate": rate, "warmup": max(1, steps // 20), "decay": 0.5},
    }  # fmt: skip
    return replace(recipe_from(values), drift=run.drift)
