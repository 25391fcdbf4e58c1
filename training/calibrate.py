"""Find rft's kappa and the time grid on validation phantoms: `python -m training.calibrate abdomen-2d`.

For each number of calls, each grid on offer and each modality, kappa is found by bisection so that
the noise of generated images is as strong as that of real ones (power in the middle and high radial
bands, geometric mean). Of the grids, the one whose images are closest to real ones by the KID judge
is kept. Never touches the test phantoms.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.metrics.judges import Judges, load_judges
from synthesis.metrics.kid import case_kernel, case_mean
from synthesis.metrics.spectrum import band_ratio
from training.evaluate import find_model
from training.export import rewrite
from training.held_out import Case, Images, Setting, chunks, held_out, make
from training.measures import NOISE_REGIONS, describe

KAPPA_RANGE = (0.003, 3.0)
CLOSE = 0.05  # |log(power ratio)| at which bisection stops
MAX_TRIALS = 7


def calibrate(
    model: LoadedModel, judges: Judges, *, calls: Sequence[int], shifts: Sequence[float], cases: int
) -> dict[str, Any]:
    """The recipe's "calibration": kappa and shift per number of calls, and how they were found.

    "kappa" has a table per modality, and beside them the geometric mean over modalities.
    """
    table: dict[str, Any] = {"kappa": {}, "shift": {}, "found": {}}
    for n in calls:
        questions = held_out("validation", cases if n <= 8 else max(16, cases // 2), _shape(model))
        real = np.stack([model.normalise(c.image, c.condition.modality) for c in questions])
        features = describe(real, questions, judges)
        best: dict[str, Any] = {}
        for shift in shifts if 1 < n <= 8 else (1.0,):
            kappas, images = match_noise(model, questions, real, n, shift)
            distance = case_mean(case_kernel(describe(images, questions, judges), features))
            bands = band_table(images, real, questions)
            trial = {"shift": shift, "kappa": kappas, "kid": distance, "bands": bands}
            print(f"calls {n}: {json.dumps(trial)}", flush=True)
            if not best or distance < best["kid"]:
                best = trial
        for modality, kappa in best["kappa"].items():
            table["kappa"].setdefault(modality, {})[str(n)] = kappa
        logs = [log(k) for k in best["kappa"].values() if k > 0]
        table["kappa"][str(n)] = round(exp(sum(logs) / len(logs)), 4) if logs else 0.0
        table["shift"][str(n)] = best["shift"]
        table["found"][str(n)] = best
    return table


def match_noise(
    model: LoadedModel, cases: Sequence[Case], real: Images, calls: int, shift: float
) -> tuple[dict[str, float], Images]:
    """Kappa per modality whose images have the noise power of real ones, and those images."""
    images = np.zeros_like(real)
    kappas = {}
    for modality in dict.fromkeys(c.condition.modality for c in cases):
        members = [i for i, c in enumerate(cases) if c.condition.modality == modality]
        some = [cases[i] for i in members]
        low, high = (log(k) for k in KAPPA_RANGE)
        middle = log(0.4)
        for _ in range(MAX_TRIALS):
            kappa = 0.0 if calls == 1 else round(exp(middle), 4)
            made = generate(model, some, Setting(sampler="rft", calls=calls, kappa=kappa, shift=shift))
            if calls == 1:
                break
            excess = float(np.mean(np.log(band_table(made, real[members], some)[modality][1:])))
            if abs(excess) < CLOSE:
                break
            low, high = (low, middle) if excess > 0 else (middle, high)
            middle = (low + high) / 2
        images[members], kappas[modality] = made, kappa
    return kappas, images


def generate(model: LoadedModel, cases: Sequence[Case], setting: Setting) -> Images:
    """Images [n, H, W] on the network's scale, kept nowhere."""
    out = np.zeros((len(cases), *cases[0].image.shape), np.float32)
    for members in chunks(cases):
        out[members] = make(model, [cases[i] for i in members], setting, list(members))
    return out


def band_table(made: Images, real: Images, cases: Sequence[Case]) -> dict[str, list[float]]:
    """Modality -> power ratio in the three radial bands."""
    table = {}
    for modality in dict.fromkeys(c.condition.modality for c in cases):
        members = [i for i, c in enumerate(cases) if c.condition.modality == modality]
        ratios = band_ratio(made[members], real[members], [cases[i].labels for i in members], NOISE_REGIONS)
        table[modality] = [round(float(r), 4) for r in ratios]
    return table


def _shape(model: LoadedModel) -> tuple[int, int]:
    return int(model.recipe["image"]["rows"]), int(model.recipe["image"]["columns"])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--judges", type=Path, default=Path("weights/judges"))
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 2, 4, 8, 30])
    parser.add_argument("--shifts", type=float, nargs="+", default=[1.0, 0.5, 0.3])
    parser.add_argument("--cases", type=int, default=64)
    parser.add_argument("--dry-run", action="store_true", help="print what was found, change nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = find_model(options.model)
    model = load_model(folder)
    model.network.to(memory_format=torch.channels_last)
    judges = load_judges(options.judges)
    table = calibrate(model, judges, calls=options.calls, shifts=options.shifts, cases=options.cases)
    if options.dry_run:
        return
    known = model.recipe.get("calibration", {})  # numbers of calls that were not asked for now stay
    for part in table:
        for key, value in known.get(part, {}).items():
            if isinstance(value, dict) and part == "kappa":
                table[part][key] = value | table[part].get(key, {})
            else:
                table[part].setdefault(key, value)
    print(rewrite(folder, calibration=table))


if __name__ == "__main__":
    main()
