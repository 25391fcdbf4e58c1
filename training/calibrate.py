"""Find rft's kappa and the time grid on validation phantoms: `python -m training.calibrate abdomen-2d`.

For each modality, number of calls and grid on offer, kappa is found by bisection so that noise and
texture are as strong as in real images: the strongest and the weakest of three radial bands shall
miss by the same factor. Of all that was tried, the setting is kept whose worst figure (bands, lesion
contrast, severity as the judge reads it) is best in units of its goal. A model that learned long steps
has the temperature of its start noise found instead. Never touches the test phantoms.
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
from synthesis.metrics.spectrum import band_ratio
from training.evaluate import find_model
from training.export import rewrite
from training.held_out import Case, Images, Setting, chunks, held_out, make
from training.measures import NOISE_REGIONS, lesion_figures, severity_accuracy

KAPPA_RANGE = (0.003, 3.0)
TEMPERATURE_RANGE = (0.5, 1.0)
CLOSE = 0.05  # |log(power ratio)| at which bisection stops
MAX_TRIALS = 6


def calibrate(
    model: LoadedModel, judges: Judges, *, calls: Sequence[int], shifts: Sequence[float], cases: int
) -> dict[str, Any]:
    """The recipe's "calibration": kappa and shift per number of calls, and how they were found.

    "kappa" and "shift" have a table per modality, and beside them the geometric mean over modalities.
    """
    table: dict[str, Any] = {"kappa": {}, "shift": {}, "found": {}}
    for n in calls:
        questions = held_out("validation", cases if n <= 8 else max(16, cases // 2), _shape(model))
        best: dict[str, Any] = {}
        table["found"][str(n)] = best
        for modality in dict.fromkeys(c.condition.modality for c in questions):
            some = [c for c in questions if c.condition.modality == modality]
            for shift in shifts if 1 < n <= 8 else (1.0,):
                trial = match_noise(model, judges, some, n, shift)
                print(f"{modality}, {n} calls: {json.dumps(trial)}", flush=True)
                if modality not in best or trial["miss"] < best[modality]["miss"]:
                    best[modality] = trial
        for part in ("kappa", "shift"):
            for modality, trial in best.items():
                table[part].setdefault(modality, {})[str(n)] = trial[part]
            positive = [trial[part] for trial in best.values() if trial[part] > 0]
            mean = exp(sum(map(log, positive)) / len(positive)) if positive else 0.0
            table[part][str(n)] = round(mean, 4)
    return table


def match_noise(
    model: LoadedModel, judges: Judges, cases: Sequence[Case], calls: int, shift: float
) -> dict[str, Any]:
    """The best kappa found for cases of one modality: {"shift", "kappa", "miss", and what was measured}.

    With one call there is no correction to calibrate: that is the conditional mean.
    """
    modality = cases[0].condition.modality
    real = np.stack([model.normalise(c.image, modality) for c in cases])
    low, high = (log(k) for k in KAPPA_RANGE)
    middle = log(0.4)
    best: dict[str, Any] = {}
    for _ in range(MAX_TRIALS):
        kappa = 0.0 if calls == 1 else round(exp(middle), 4)
        made = generate(model, cases, Setting(sampler="rft", calls=calls, kappa=kappa, shift=shift))
        trial = {"shift": shift, "kappa": kappa} | judged(made, real, cases, model, judges)
        if not best or trial["miss"] < best["miss"]:
            best = trial
        logs = np.log(trial["bands"])
        excess = float(logs.max() + logs.min()) / 2
        if calls == 1 or abs(excess) < CLOSE:
            break
        low, high = (low, middle) if excess > 0 else (middle, high)
        middle = (low + high) / 2
    return best


def calibrate_temperature(
    model: LoadedModel, judges: Judges, *, calls: Sequence[int], cases: int
) -> dict[str, Any]:
    """The recipe's "calibration" of learned steps: a temperature per modality and number of calls."""
    questions = held_out("validation", cases, _shape(model))
    table: dict[str, Any] = {"temperature": {}, "found": {}}
    for n in calls:
        best: dict[str, Any] = {}
        for modality in dict.fromkeys(c.condition.modality for c in questions):
            some = [c for c in questions if c.condition.modality == modality]
            best[modality] = trial = match_temperature(model, judges, some, n)
            print(f"{modality}, {n} learned steps: {json.dumps(trial)}", flush=True)
            table["temperature"].setdefault(modality, {})[str(n)] = trial["temperature"]
        mean = exp(sum(log(trial["temperature"]) for trial in best.values()) / len(best))
        table["temperature"][str(n)] = round(mean, 4)
        table["found"][f"shortcut-{n}"] = best
    return table


def match_temperature(
    model: LoadedModel, judges: Judges, cases: Sequence[Case], calls: int
) -> dict[str, Any]:
    """The temperature at which long waves are as strong, against real images, as shorter ones.

    By bisection, from 1 downwards: no start is warmer than the law's own.
    """
    modality = cases[0].condition.modality
    real = np.stack([model.normalise(c.image, modality) for c in cases])
    low, high = (log(t) for t in TEMPERATURE_RANGE)
    middle, least, best = high, float("inf"), dict[str, Any]()
    for _ in range(MAX_TRIALS):
        temperature = round(exp(middle), 4)
        made = generate(model, cases, Setting(sampler="shortcut", calls=calls, temperature=temperature))
        trial = {"temperature": temperature} | judged(made, real, cases, model, judges)
        logs = np.log(np.maximum(trial["bands"], 1e-6))
        excess = float(logs[0] - logs[1:].mean())
        if abs(excess) < least:
            least, best = abs(excess), trial
        if abs(excess) < CLOSE or (excess < 0 and middle == high):
            break
        low, high = (low, middle) if excess > 0 else (middle, high)
        middle = (low + high) / 2
    return best


def judged(
    made: Images, real: Images, cases: Sequence[Case], model: LoadedModel, judges: Judges
) -> dict[str, Any]:
    """Figures of images of one modality, and "miss": the worst in units of its goal (1 just reaches it)."""
    bands = np.maximum(band_table(made, real, cases)[cases[0].condition.modality], 1e-6)
    lesions = lesion_figures(made, real, [c.labels for c in cases])
    severity = severity_accuracy(made, cases, model, judges)
    misses = [np.abs(np.log(bands)).max() / log(1.4), (1 - severity) / 0.1]
    if lesions["count"]:
        misses.append(abs(log(lesions["absolute_ratio"])) / log(1.25))
    return {
        "bands": [float(b) for b in bands],
        "lesion_contrast": lesions.get("absolute_ratio"),
        "severity": severity,
        "miss": round(float(max(misses)), 4),
    }


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
        ratios = band_ratio(
            list(made[members]), list(real[members]), [cases[i].labels for i in members], NOISE_REGIONS
        )
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
    parser.add_argument("--shifts", type=float, nargs="+", default=[1.0, 0.75, 0.6, 0.35])
    parser.add_argument("--cases", type=int, default=64)
    parser.add_argument("--dry-run", action="store_true", help="print what was found, change nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = find_model(options.model)
    model = load_model(folder)
    model.network.to(memory_format=torch.channels_last)
    judges = load_judges(options.judges)
    if "shortcut" in model.recipe:
        most = int(model.recipe["shortcut"]["segments"])
        few = [n for n in options.calls if n <= most]
        table = calibrate_temperature(model, judges, calls=few, cases=options.cases)
    else:
        table = calibrate(model, judges, calls=options.calls, shifts=options.shifts, cases=options.cases)
    if options.dry_run:
        return
    known = model.recipe.get("calibration", {})  # numbers of calls that were not asked for now stay
    for part in known:
        table.setdefault(part, {})
    for part in table:
        for key, value in known.get(part, {}).items():
            if isinstance(value, dict) and part != "found":
                table[part][key] = value | table[part].get(key, {})
            else:
                table[part].setdefault(key, value)
    print(rewrite(folder, calibration=table))


if __name__ == "__main__":
    main()
