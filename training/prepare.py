"""Make what a recipe trains on, shard by shard: `python -m training.prepare RECIPE --out FOLDER`.

Phantoms, unless `--from` names a set of images: a folder that `manage.py export_dataset` wrote, a CSV
manifest, or the nnU-Net layout (training/sources.py). Phantom shards are independent: several processes
may work on one folder (`--part 1/2`, `--part 2/2`), a killed one is simply started again, and training may
begin with the first. `--latents MODEL`, given once shards are there, adds what MODEL's encoder makes of their
images, for training in latents. A recipe that learns from pairs (training/pairs.py) gets pairs: of phantoms,
or of a manifest that names each patient's examinations under `visit`.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.phantoms import Phantom, abdomen, phantom_seed
from synthesis.request import MODALITIES, SEXES
from training.data import mark_enclosed_air
from training.external import finish, write_external
from training.latents import cache_latents, noise_floor
from training.paired_sets import write_paired_set
from training.pairs import AFTER, BEFORE, pair_of
from training.recipe import Recipe, find_model, load_recipe
from training.sources import SPLITS, UnusableSource, sources_of

MODALITY_CYCLE = ("CT", "T1", "CT", "T2")  # half of the phantoms are CT, a quarter each T1 and T2
SHARD = 256
Row = tuple[npt.NDArray, npt.NDArray, list[float]]


def modality_of(index: int) -> str:
    """Which modality phantom `index` of a split is made in."""
    return MODALITY_CYCLE[index % len(MODALITY_CYCLE)]


def phantom_row(split: str, index: int, recipe: Recipe, modality: str = "") -> Row:
    """One phantom of a split: image [H, W] in HU or signal, stored labels, a row of training.data.COLUMNS."""
    kind = modality or modality_of(index)
    return row_of(abdomen(phantom_seed(split, index), shape=recipe.shape, modality=kind))


def row_of(phantom: Phantom) -> Row:
    """A phantom as its shard keeps it."""
    a = phantom.attributes
    row = [
        float(phantom.seed),
        float(MODALITIES.index(phantom.modality)),
        float(a.severity_texture),
        float(a.severity_shape),
        float(a.steatosis),
        float(a.lesions),
        float(a.age),
        float(SEXES.index(a.sex)),
        float(phantom.spacing_mm[-1]),
    ]
    return phantom.image, mark_enclosed_air(phantom.labels), row


def write_shard(folder: Path, number: int, split: str, recipe: Recipe, count: int = SHARD) -> Path:
    """Phantoms number*count ... of a split as folder/shard-NNNNN; a finished shard is left alone."""
    final = folder / f"shard-{number:05d}"
    if final.is_dir():
        return final
    return _write(folder, number, [phantom_row(split, number * count + i, recipe) for i in range(count)])


def write_pair_shard(folder: Path, number: int, split: str, recipe: Recipe, count: int = SHARD) -> Path:
    """Pairs number*count ... of a split as folder/before/shard-NNNNN and folder/after/shard-NNNNN."""
    final = folder / AFTER / f"shard-{number:05d}"
    if final.is_dir():
        return final
    indices = range(number * count, (number + 1) * count)
    pairs = [pair_of(split, i, recipe.shape, modality_of(i)) for i in indices]
    _write(folder / BEFORE, number, [row_of(before) for before, _ in pairs])
    return _write(folder / AFTER, number, [row_of(after) for _, after in pairs])


def _write(folder: Path, number: int, rows: Sequence[Row]) -> Path:
    final, part = folder / f"shard-{number:05d}", folder / f"part-{number:05d}"
    shutil.rmtree(final, ignore_errors=True)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    np.save(part / "images.npy", np.stack([r[0] for r in rows]).astype(np.float16))
    np.save(part / "labels.npy", np.stack([r[1] for r in rows]))
    np.save(part / "attributes.npy", np.array([r[2] for r in rows]))
    part.rename(final)
    return final


def prepare_set(path: Path, recipe: Recipe, folder: Path, *, split: str, modality: str | None = None) -> None:
    """Write one split of a set as shards, and print what was taken and what was not.

    A recipe with prompts is told of patients in words, and takes images without a mask, unless it learns
    from pairs. What a run that was killed had made whole is put in its place, and nothing else is done.

    Raises UnusableSource where the folder already holds shards, or nothing of the set can be used.
    """
    finished = finish(folder)
    if finished:
        print("An earlier run had made these and was stopped before they were in their place:")
        tell(finished, folder)
        return
    if any(folder.glob("shard-*")) or any(folder.glob(f"{AFTER}/shard-*")):
        raise UnusableSource(
            f"{folder} already holds shards; name another folder, so that no sets are mixed."
        )
    sources = sources_of(path, modality=modality, masks=recipe.prompts is None or recipe.is_paired)
    write: Any = write_paired_set if recipe.is_paired else write_external
    tell(write(folder, sources, recipe, split=split, shard=SHARD), folder)


def tell(report: Mapping[str, Any], folder: Path) -> None:
    """Print what was taken of a set and what was not."""
    for name, case in report["cases"].items():
        left = "; ".join(f"{count} not: {reason}" for reason, count in case["refused"].items())
        print(f"{name}: {case['slices']} slices{f' ({left})' if left else ''}")
    print(f"{report['slices']} slices of {len(report['cases'])} cases in {folder}")


def prepare_latents(folder: Path, model: LoadedModel, recipe: Recipe) -> None:
    """Cache the latents of all shards that have none yet, and print how much of them is noise."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    spread = cache_latents(folder, model.network.to(device), recipe.normalisation)
    share = spread.noise_share
    scale = (spread.inside + spread.of_means) ** 0.5
    print(
        f"latents of {model.recipe.get('name', 'the model')} in {folder}: standard deviation {scale:.3f}, "
        f"{100 * share:.2f} % of the variance is noise. Trained on draws instead of means, a velocity's mean "
        f"error stays above {scale * noise_floor(share):.3f}."
    )


def main() -> None:
    """Write every shard that is missing, or those of one part; or the slices of a set from elsewhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, help="folder of shards (default: the recipe's)")
    parser.add_argument("--part", default="1/1", help="which share of the shards: 1/2, 2/2")
    parser.add_argument(
        "--from", dest="set", type=Path, help="an exported dataset, a manifest, or an nnU-Net set"
    )
    parser.add_argument("--split", choices=SPLITS, default="train", help="which patients of that set")
    parser.add_argument("--modality", choices=MODALITIES, help="of that set, where it does not say")
    parser.add_argument("--latents", metavar="MODEL", help="encode the shards that are there with this model")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    folder = options.out or recipe.data_folder
    folder.mkdir(parents=True, exist_ok=True)
    if options.latents:
        try:
            model = load_model(find_model(options.latents))
            for one in (folder / BEFORE, folder / AFTER) if recipe.is_paired else (folder,):
                prepare_latents(one, model, recipe)
        except ValueError as error:
            raise SystemExit(str(error)) from error
        return
    if options.set:
        try:
            prepare_set(options.set, recipe, folder, split=options.split, modality=options.modality)
        except UnusableSource as error:
            raise SystemExit(str(error)) from error
        return
    first, of = (int(x) for x in options.part.split("/"))
    write = write_pair_shard if recipe.is_paired else write_shard
    for number in range(first - 1, -(-recipe.phantoms // SHARD), of):
        print(write(folder, number, "training", recipe), flush=True)


if __name__ == "__main__":
    main()
