"""Do uncertainty maps say how far pixels are off? `python -m training.calibrate_uncertainty abdomen-2d`.

For held-out phantoms the map is measured as the application does it, and set against what the network
gets wrong when it sees the phantom through another noise of the same strength: the share of pixels within
one and two standard deviations (0.683 and 0.954 would be those of a Gaussian), the root mean square error
over the root mean square deviation (1 is right), and both by tenths of the deviation. On the body alone: air
is known.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.imaging.uncertainty import Options
from synthesis.paths import interpolate
from synthesis.phantoms.labels import AIR
from synthesis.uncertainty import estimate_at, uncertainty_map
from training.evaluate import find_model
from training.held_out import Case, held_out
from training.set_measures import by_modality

CASES = 24  # half CT, a quarter each T1 and T2
FIRST = 6000  # number of the first phantom: no other evaluation looks at these
PARTS = 10
ERROR_NOISE = 77_000_000


def calibration(model: LoadedModel, cases: Sequence[Case], options: Options, *, seed: int) -> dict[str, Any]:
    """Per modality how deviations compare with errors, on all body pixels of its cases."""
    found = {}
    for modality, members in by_modality(cases).items():
        errors, stds, scatter, below = [], [], [], []
        for i in members:
            case = cases[i]
            made = uncertainty_map(
                model, case.image, case.labels, case.condition, seed=seed + int(i), options=options
            )
            body = case.labels != AIR
            errors.append(_error(model, case, options.t, seed + int(i))[body])
            stds.append(made.std[body])
            scatter.append(made.probe_error if made.probe_error is not None else float("nan"))
            below.append(float((made.std[body] == 0).mean()))
        found[modality] = {
            **compared(np.concatenate(errors), np.concatenate(stds)),
            "probe_error": float(np.mean(scatter)),
            "put_to_zero": float(np.mean(below)),
            "unit": "HU" if modality == "CT" else "signal",
            "n": len(members),
        }
    return found


def compared(errors: npt.NDArray[np.floating], stds: npt.NDArray[np.floating]) -> dict[str, Any]:
    """Coverage, ratio and tenths of errors against deviations [pixels]; z leaves out deviations of 0."""
    tenths = []
    for part in np.array_split(np.argsort(stds, kind="stable"), PARTS):
        tenths.append([_rms(stds[part]), _rms(errors[part])])
    apart = np.abs(errors)
    return {
        "within_1": float((apart <= stds).mean()),
        "within_2": float((apart <= 2 * stds).mean()),
        "error_over_std": _rms(errors) / _rms(stds),
        "z_std": float(np.std(errors[stds > 0] / stds[stds > 0])),
        "tenths": tenths,
        "pixels": len(stds),
    }


def _error(model: LoadedModel, case: Case, t: float, seed: int) -> npt.NDArray[np.float32]:
    """Phantom minus what the network expects of it at t through a noise that the map has not seen."""
    modality = case.condition.modality
    x_1 = torch.from_numpy(model.normalise(case.image, modality))[None, None]
    noise = torch.randn(x_1.shape, generator=torch.Generator().manual_seed(ERROR_NOISE + seed))
    stated = model.network.condition(case.labels[None], [case.condition])
    with torch.no_grad():
        expected = estimate_at(model, stated, t)(interpolate(noise, x_1, t))
    return case.image - model.denormalise(expected[0, 0].numpy(), modality)


def _rms(values: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def table(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        "| t | modality | n | within 1 (0.683) | within 2 (0.954) | error / deviation (1) "
        "| z std (1) | probe error | put to 0 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for t, found in report["times"].items():
        for modality, f in found.items():
            lines.append(
                f"| {t} | {modality} | {f['n']} | {f['within_1']:.3f} | {f['within_2']:.3f} "
                f"| {f['error_over_std']:.2f} | {f['z_std']:.2f} | {f['probe_error']:.2f} "
                f"| {100 * f['put_to_zero']:.1f} % |"
            )
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    usual = Options()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="name under weights/, or a folder")
    parser.add_argument("--t", type=float, nargs="+", default=[usual.t], help="times to try")
    parser.add_argument("--rounds", type=int, default=usual.rounds)
    parser.add_argument("--spacing", type=int, default=usual.spacing)
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--first", type=int, default=FIRST)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    parser.add_argument("--out", type=Path, help="also write the figures there as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(find_model(options.model))
    shape = (int(model.recipe["image"]["rows"]), int(model.recipe["image"]["columns"]))
    cases = held_out(options.split, options.cases, shape, first=options.first)
    report: dict[str, Any] = {
        "model": model.recipe.get("name"),
        "weights_sha256": model.weights_sha256,
        "split": options.split,
        "cases": options.cases,
        "first": options.first,
        "seed": options.seed,
        "rounds": options.rounds,
        "spacing": options.spacing,
        "times": {},
    }
    for t in options.t:
        chosen = Options(t=t, rounds=options.rounds, spacing=options.spacing)
        report["times"][f"{t:g}"] = calibration(model, cases, chosen, seed=options.seed)
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1) if options.json else table(report))


if __name__ == "__main__":
    main()
