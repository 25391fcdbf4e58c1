"""Measure what the model page shows beside the recipe's goals: `python -m training.card abdomen-2d`.

Sets of images against sets of held-out phantoms, and the calibration of uncertainty maps, into
MODEL/measures.json, which is installed with the weights whose digest it names. Images come from the cache
of training.evaluate and are made where they are missing. Every figure stands beside what other phantoms of
the same split reach, real images both. Those have other masks, the images made have the same: figures of good
images may lie below that floor. There are more features than images, so that MFID extrapolated to infinitely
many images may be negative; it compares with its floor alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.imaging.uncertainty import Options
from synthesis.metrics.judges import Judges, load_judges
from training.calibrate_uncertainty import CASES as MAP_CASES
from training.calibrate_uncertainty import FIRST as MAP_FIRST
from training.calibrate_uncertainty import calibration
from training.evaluate import CASES, find_model, main_setting
from training.held_out import Setting, cached_images, content_key, held_out
from training.nearest import FOLDER
from training.set_measures import compare, nearness, set_distances

MEASURES_FILE = "measures.json"
NOT_MEASURED = (
    "FID on Inception features: its weights are not shipped; MFID is the same on the network named.",
    "MFID on RadImageNet or Med3D: their weights must be brought by the user (docs/metrics.md).",
    "LPIPS: the package is not installed.",
)


def comparison(
    model: LoadedModel,
    judges: Judges,
    setting: Setting,
    *,
    cases: int,
    first: int,
    images: Path,
    nearest: Path,
) -> dict[str, Any]:
    """Every set measure of one setting, with its floor: {"about", "rows", "not_measured"}."""
    shape = (int(model.recipe["image"]["rows"]), int(model.recipe["image"]["columns"]))
    asked = held_out("test", cases, shape, first=first)
    others = held_out("test", cases, shape, first=first + cases)
    real, strangers = (
        np.stack([model.normalise(c.image, c.condition.modality) for c in some]) for some in (asked, others)
    )
    made = cached_images(model, asked, setting, images)
    figures = compare(made, real, asked, model, judges, nearest=nearest)
    floor = set_distances(strangers, others, real, asked, model, judges)
    if nearest.is_dir():
        floor["nearest"] = nearness(real, asked, model, judges, nearest)
    network = figures["mfid"]
    return {
        "about": {
            "setting": setting.name,
            "cases": cases,
            "first": first,
            "seed": figures["seed"],
            "network": network["net"],
            "network_sha256": network["weights_sha256"],
            "preprocessing": network["preprocessing"],
        },
        "rows": list(rows(figures, floor)),
        "not_measured": list(NOT_MEASURED),
    }


def rows(figures: Mapping[str, Any], floor: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Name, value, and the floor or None, in the order of the page."""

    def row(name: str, value: float, real: float | None, n: int) -> dict[str, Any]:
        return {"name": name, "value": value, "real": real, "n": n}

    n = figures["n"]
    yield row("MFID", figures["mfid"]["value"], floor["mfid"]["value"], n)
    yield row("MFID, to infinitely many", figures["mfid"]["infinity"], floor["mfid"]["infinity"], n)
    yield row("KID", figures["kid"], floor["kid"], n)
    for name in ("precision", "recall", "density", "coverage"):
        yield row(name.capitalize(), figures["manifold"][name], floor["manifold"][name], n)
    for modality, one in figures["radiomics"].items():
        other = floor["radiomics"][modality]
        yield row(f"Radiomics distance, {modality}", one["value"], other["value"], one["n"])
    for modality, one in figures["likeness"].items():
        yield row(f"SSIM, {modality}", one["ssim"], None, one["n"])
        yield row(f"MS-SSIM, {modality}", one["ms_ssim"], None, one["n"])
        yield row(f"PSNR, {modality} (dB)", one["psnr"], None, one["n"])
    for modality, one in figures.get("nearest", {}).items():
        other = floor["nearest"][modality]
        yield row(
            f"Nearest training case, {modality}", one["median_distance"], other["median_distance"], one["n"]
        )


def uncertainty(model: LoadedModel, *, cases: int, first: int, seed: int) -> dict[str, Any]:
    """The calibration of uncertainty maps as the application measures them: {"about", "rows"}."""
    shape = (int(model.recipe["image"]["rows"]), int(model.recipe["image"]["columns"]))
    options = Options()
    found = calibration(model, held_out("test", cases, shape, first=first), options, seed=seed)
    return {
        "about": {"t": options.t, "probes": options.probes, "cases": cases, "first": first, "seed": seed},
        "rows": [
            {"modality": modality, **{k: v for k, v in one.items() if k != "tenths"}}
            for modality, one in found.items()
        ],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="name under weights/, or a folder")
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--first", type=int, default=0, help="number of the first test phantom")
    parser.add_argument("--map-cases", type=int, default=MAP_CASES, help="phantoms for the uncertainty maps")
    parser.add_argument("--judges", type=Path, default=Path("weights/judges"))
    parser.add_argument("--out", type=Path, default=Path("var/evaluate"), help="where images are cached")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = find_model(options.model)
    model = load_model(folder)
    model.network.to(memory_format=torch.channels_last)
    images = options.out / content_key(model) / (f"from-{options.first}" if options.first else "")
    document = {
        "weights_sha256": model.weights_sha256,
        "measures": {
            "comparison": comparison(
                model,
                load_judges(options.judges),
                main_setting(model),
                cases=options.cases,
                first=options.first,
                images=images,
                nearest=folder / FOLDER,
            ),
            "uncertainty": uncertainty(model, cases=options.map_cases, first=MAP_FIRST, seed=0),
        },
    }
    command = f"python -m training.card {options.model}"
    for name, value, usual in (("cases", options.cases, CASES), ("first", options.first, 0)):
        command += f" --{name} {value}" if value != usual else ""
    command += f" --map-cases {options.map_cases}" if options.map_cases != MAP_CASES else ""
    for part in document["measures"].values():  # type: ignore[attr-defined]
        part["about"]["command"] = command
    path = folder / MEASURES_FILE
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
