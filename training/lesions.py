"""How well lesions show, model by model: `python -m training.lesions abdomen-2d FOLDER ...`.

Held-out phantoms with lesions, whole masks, rft at 4 calls. A lesion counts as found where the shipped
segmenter reads at least half of its pixels as lesion (`synthesis.metrics.detection`); contrasts are
those of `training.measures.lesion_figures`. A model without a calibration of its own takes the first
model's, so that all are measured alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.metrics.detection import found_by_size, lesion_hits
from synthesis.metrics.judges import Judges, load_judges
from synthesis.phantoms.labels import LESION
from training.evaluate import find_model
from training.held_out import Case, Images, Setting, cached_images, content_key, held_out
from training.measures import lesion_figures, segment

SETTING = Setting(sampler="rft", calls=4)
EDGES = (4.0, 8.0)  # pixels across
HEADINGS = ("below 4 pixels", "4 to 8", "8 and more")
MODALITIES = ("CT", "T1", "T2")


def row(
    images: Images, cases: Sequence[Case], model: LoadedModel, judges: Judges
) -> tuple[list[str], list[bool]]:
    """Contrast made / true by modality and lesions found / asked for by size class; which were found."""
    cells = []
    for modality in MODALITIES:
        members = [i for i, c in enumerate(cases) if c.condition.modality == modality]
        made = [model.denormalise(images[i], modality) for i in members]
        figures = lesion_figures(made, [cases[i].image for i in members], [cases[i].labels for i in members])
        cells.append(f"{figures['absolute_ratio']:.2f}" if figures["count"] else "-")
    hits = [
        hit
        for read, case in zip(segment(images, cases, model, judges), cases, strict=True)
        for hit in lesion_hits(read, case.labels, lesion=LESION)
    ]
    for found, asked in found_by_size(hits, EDGES):
        cells.append(f"{found} of {asked} ({100 * found / max(asked, 1):.0f} %)")
    return cells, [found for _, found in hits]


def paired(first: Sequence[bool], second: Sequence[bool]) -> tuple[int, int, float]:
    """Lesions that the second finds alone, the first alone, and the exact McNemar test's two-sided p.

    Lesions are taken as independent of one another.
    """
    gained = sum(b and not a for a, b in zip(first, second, strict=True))
    lost = sum(a and not b for a, b in zip(first, second, strict=True))
    p = float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return gained, lost, p


def table(models: Sequence[LoadedModel], judges: Judges, folder: Path, cases: int) -> str:
    """A Markdown table, the real phantoms first."""
    first = models[0]
    shape = (int(first.recipe["image"]["rows"]), int(first.recipe["image"]["columns"]))
    questions = [c for c in held_out("test", cases, shape) if (c.labels == LESION).any()]
    real = np.stack([first.normalise(c.image, c.condition.modality) for c in questions])
    headings = ["model", *(f"contrast, {m}" for m in MODALITIES), *(f"found, {h}" for h in HEADINGS)]
    rows = [["real phantoms", *row(real, questions, first, judges)[0]]]
    found: dict[str, list[bool]] = {}
    for model in models:
        if not model.recipe.get("calibration"):
            recipe = model.recipe | {"calibration": first.recipe.get("calibration", {})}
            model = replace(model, recipe=recipe)
        made = cached_images(model, questions, SETTING, folder / content_key(model) / f"lesions-{cases}")
        name = str(model.recipe["name"])
        cells, found[name] = row(made, questions, model, judges)
        rows.append([name, *cells])
    lines = ["| " + " | ".join(cells) + " |" for cells in (headings, ["---"] * len(headings), *rows)]
    lines += ["", f"{len(questions)} phantoms with lesions among the first {cases}."]
    for one, other in pairwise(found):
        gained, lost, p = paired(found[one], found[other])
        lines.append(f"{other} against {one}: {gained} lesions gained, {lost} lost, McNemar p = {p:.2g}.")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="names under weights/, or folders")
    parser.add_argument("--cases", type=int, default=512)
    parser.add_argument("--judges", type=Path, default=Path("weights/judges"))
    parser.add_argument("--out", type=Path, default=Path("var/evaluate"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = [load_model(find_model(name)) for name in options.models]
    for model in models:
        model.network.to(memory_format=torch.channels_last)
    print(table(models, load_judges(options.judges), options.out, options.cases))


if __name__ == "__main__":
    main()
