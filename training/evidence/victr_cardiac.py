"""The adapter for cardiac MR on patients it was not trained on: `python -m training.evidence.victr_cardiac`.

Beside it the model without the adapter, and the real images of other patients: no set of images of those
patients can be expected to come nearer. Slices of one patient are alike, so intervals are over patients.
kappa is found on the validation patients. Prints the table and writes docs/evidence/victr-cardiac.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from synthesis.adapters import choose, load_adapter
from synthesis.checkpoints import LoadedModel, load_model
from synthesis.metrics.feature_nets import judge_features
from synthesis.metrics.judges import Judges, load_judges
from synthesis.metrics.kid import case_kernel, case_mean, kid
from synthesis.metrics.nearest import NearestIndex
from synthesis.metrics.spectrum import band_ratio
from synthesis.phantoms.labels import AORTA, BODY
from synthesis.request import MODALITIES, Condition
from training.calibrate import generate
from training.data import PhantomShards
from training.evidence.victr_tables import table
from training.held_out import Case, Images, Setting
from training.set_measures import set_distances

FOLDER = Path("var/training/cardiac-mr-2d")
MODALITY = "T2"
CALLS = 4
KAPPAS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
DRAWS = 1000
RING = 3  # pixels around the cavity that are called wall
ADAPTER = "cardiac"


@dataclass(frozen=True)
class Patients:
    """The slices of one split, whose they are, and what the judge says of them."""

    cases: Sequence[Case]
    names: Sequence[str]  # the patient of each slice
    images: Images  # [n, H, W], network's scale


def patients(folder: Path, model: LoadedModel) -> Patients:
    """The slices of a folder of shards that training.prepare wrote, in its report's order."""
    shards = PhantomShards(folder)
    images, stored, rows = shards.take(np.arange(len(shards)))
    condition = Condition(modality=MODALITY)
    cases = [Case(i, m, condition, 0, float(r[-1])) for i, m, r in zip(images, stored, rows, strict=True)]
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    names = [one["patient"] for one in report["cases"].values() for _ in range(one["slices"])]
    if len(names) != len(cases):
        raise ValueError(f"{folder}: the report names {len(names)} slices, there are {len(cases)}.")
    return Patients(cases, names, np.stack([model.normalise(i, MODALITY) for i in images]))


def over_patients(h: npt.NDArray[np.float64], names: Sequence[str], *, seed: int = 0) -> dict[str, float]:
    """The mean of a case kernel with a bootstrap interval over patients, not slices."""
    found, which = np.unique(names, return_inverse=True)
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(DRAWS):
        drawn = np.bincount(rng.integers(0, len(found), len(found)), minlength=len(found))
        samples.append(case_mean(h, drawn[which].astype(np.float64)))
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"value": case_mean(h), "low": float(low), "high": float(high)}


def cavity_contrast(images: Images, cases: Sequence[Case]) -> npt.NDArray[np.float64]:
    """Mean of the cavity less that of a ring around it, of each image [n]; NaN without a cavity."""
    found = []
    for image, case in zip(images, cases, strict=True):
        inside = case.labels == AORTA
        ring = ndimage.binary_dilation(inside, iterations=RING) & (case.labels == BODY)
        found.append(image[inside].mean() - image[ring].mean() if inside.any() and ring.any() else np.nan)
    return np.array(found)


def best_kappa(model: LoadedModel, held: Patients, calls: int) -> dict[str, Any]:
    """Of KAPPAS the one whose worst of three bands is nearest to the real, on the validation patients.

    The bands are of the whole body less its mean: with no labels for the tissues, anatomy is in them too.
    """
    trials = []
    for kappa in KAPPAS:
        made = generate(model, held.cases, Setting(sampler="rft", calls=calls, kappa=kappa, shift=1.0))
        bands = bands_of(made, held)
        trials.append({"kappa": kappa, "bands": bands, "miss": max(abs(log(b)) for b in bands)})
    return min(trials, key=lambda one: one["miss"])


def bands_of(made: Images, held: Patients) -> list[float]:
    """Power of the body in three radial bands, made / real."""
    masks = [c.labels for c in held.cases]
    return [float(r) for r in band_ratio(list(made), list(held.images), masks, (BODY, AORTA))]


def figures(
    made: Images, held: Patients, model: LoadedModel, judges: Judges, index: NearestIndex
) -> dict[str, Any]:
    """Everything about one set of images made from the held-out patients' masks."""
    codes = np.full(len(made), MODALITIES.index(MODALITY))
    features = judge_features(judges, made, codes)
    real = judge_features(judges, held.images, codes)
    sets = set_distances(made, held.cases, held.images, held.cases, model, judges)
    near = [one[0] for one in index.nearest(features)]
    contrast, true = cavity_contrast(made, held.cases), cavity_contrast(held.images, held.cases)
    return {
        "kid": over_patients(case_kernel(features.values, real.values), held.names),
        "mfid": sets["mfid"]["value"],
        "radiomics": sets["radiomics"][MODALITY]["value"],
        **{name: sets["manifold"][name] for name in ("precision", "recall", "coverage")},
        "bands": bands_of(made, held),
        "contrast_ratio": float(np.nanmean(contrast) / np.nanmean(true)),
        "brighter": float(np.mean(contrast > 0)),
        "nearest": float(np.median([one.distance for one in near])),
        "nearer_than": float(np.mean([one.closer_than for one in near])),
        "nearest_most": float(max(one.closer_than for one in near)),
    }


def floor(
    train: Patients, held: Patients, model: LoadedModel, judges: Judges, index: NearestIndex
) -> dict[str, Any]:
    """The same for the real images of the patients trained on, against those held out."""
    made = [
        judge_features(judges, p.images, np.full(len(p.images), MODALITIES.index(MODALITY)))
        for p in (train, held)
    ]
    sets = set_distances(train.images, train.cases, held.images, held.cases, model, judges)
    near = [one[0] for one in index.nearest(made[1])]
    contrast = cavity_contrast(held.images, held.cases)
    return {
        "kid": {"value": kid(made[0].values, made[1].values)}
        | _split_interval(made[0], made[1], train.names, held.names),
        "mfid": sets["mfid"]["value"],
        "radiomics": sets["radiomics"][MODALITY]["value"],
        **{name: sets["manifold"][name] for name in ("precision", "recall", "coverage")},
        "bands": [1.0, 1.0, 1.0],
        "contrast_ratio": 1.0,
        "brighter": float(np.mean(contrast > 0)),
        "nearest": float(np.median([one.distance for one in near])),
        "nearer_than": float(np.mean([one.closer_than for one in near])),
        "nearest_most": float(max(one.closer_than for one in near)),
    }


def _split_interval(
    x: Any, y: Any, x_names: Sequence[str], y_names: Sequence[str], *, seed: int = 0
) -> dict[str, float]:
    """KID of two unpaired sets, 200 bootstrap draws over the patients of both."""
    rng = np.random.default_rng(seed)
    groups = [
        {n: np.flatnonzero(np.array(names) == n) for n in sorted(set(names))} for names in (x_names, y_names)
    ]
    samples = []
    for _ in range(200):
        chosen = [
            np.concatenate([list(g.values())[i] for i in np.unique(rng.integers(0, len(g), len(g)))])
            for g in groups
        ]
        samples.append(kid(x.values[chosen[0]], y.values[chosen[1]]))
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


def evaluate(
    adapter: Path, folder: Path = FOLDER, judges_folder: Path = Path("weights/judges")
) -> dict[str, Any]:
    """All rows: real against real, the model alone, and with its adapter."""
    torch.set_num_threads(1)
    judges = load_judges(judges_folder)
    model = load_model(Path("weights/abdomen-2d"))
    about = load_adapter(model, adapter, ADAPTER)
    model.network.to(memory_format=torch.channels_last)
    train, validation, held = (patients(folder / split, model) for split in ("train", "validation", "test"))
    codes = np.full(len(train.images), MODALITIES.index(MODALITY))
    index = NearestIndex.of(
        judge_features(judges, train.images, codes), [f"{n} {i}" for i, n in enumerate(train.names)]
    )
    rows: dict[str, Any] = {"real, other patients": floor(train, held, model, judges, index)}
    kappas: dict[str, Any] = {}
    for name, switch in (("abdomen-2d alone", None), ("with the adapter", ADAPTER)):
        choose(model, switch)
        kappas[name] = best_kappa(model, validation, CALLS)
        setting = Setting(sampler="rft", calls=CALLS, kappa=kappas[name]["kappa"], shift=1.0)
        rows[name] = figures(generate(model, held.cases, setting), held, model, judges, index)
        print(name, kappas[name], flush=True)
    counts = {
        split: {"patients": len(set(p.names)), "slices": len(p.cases)}
        for split, p in (("train", train), ("validation", validation), ("test", held))
    }
    return {"rows": rows, "kappa": kappas, "counts": counts, "training": about["training"]}


def markdown(results: dict[str, Any]) -> str:
    """The rows as a table."""
    headings = (
        "", "KID [95 % over patients]", "MFID", "radiomics", "precision", "recall", "coverage", "spectrum",
        "cavity contrast / true", "cavity brighter", "nearest training slice", "nearer than", "most",
    )  # fmt: skip
    lines = []
    for name, one in results["rows"].items():
        k = one["kid"]
        lines.append(
            [
                name,
                f"{k['value']:.4f} [{k['low']:.4f}, {k['high']:.4f}]",
                f"{one['mfid']:.2f}",
                f"{one['radiomics']:.0f}",
                *(f"{one[part]:.2f}" for part in ("precision", "recall", "coverage")),
                " ".join(f"{b:.2f}" for b in one["bands"]),
                f"{one['contrast_ratio']:.2f}",
                f"{100 * one['brighter']:.0f} %",
                f"{one['nearest']:.2f}",
                f"{one['nearer_than']:.2f}",
                f"{one['nearest_most']:.2f}",
            ]
        )
    return table(headings, lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapter", type=Path, default=Path("weights/cardiac-mr-2d"))
    parser.add_argument("--out", type=Path, default=Path("docs/evidence/victr-cardiac.json"))
    options = parser.parse_args()
    results = evaluate(options.adapter)
    options.out.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(markdown(results))


if __name__ == "__main__":
    main()
