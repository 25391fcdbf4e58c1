"""Index the phantoms that a model was trained on: `python -m training.nearest abdomen-2d`.

One file per modality, MODEL/nearest/<modality>.npz, from the shards that training.prepare wrote:
the shipped judge's features, whitened (synthesis.metrics.nearest), with the distances of phantoms of the
validation split to it. A case's name holds the seed that makes the phantom again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.metrics.feature_nets import judge_features, judge_source
from synthesis.metrics.features import Features
from synthesis.metrics.judges import Judges, load_judges
from synthesis.metrics.nearest import NearestIndex
from synthesis.phantoms import abdomen, phantom_seed
from synthesis.request import MODALITIES
from training.data import PhantomShards
from training.evaluate import find_model
from training.held_out import Setting, held_out, make
from training.recipe import load_recipe

CHUNK = 256
FOLDER = "nearest"
HELD_OUT = 512  # phantoms of the validation split, per modality, that say how near strangers lie


def training_index(model: LoadedModel, judges: Judges, shards: PhantomShards, modality: str) -> NearestIndex:
    """The index over every training phantom of one modality; ValueError where there is none."""
    if len(shards) == 0:
        raise ValueError(f"there are no phantoms under {shards.folder}; run training.prepare first")
    members = np.flatnonzero(shards.column("modality") == MODALITIES.index(modality))
    seeds = shards.column("seed")[members].astype(np.int64)
    parts = []
    for first in range(0, len(members), CHUNK):
        images, _, rows = shards.take(members[first : first + CHUNK])
        scaled = np.stack([model.normalise(image, modality) for image in images])
        parts.append(judge_features(judges, scaled, rows[:, 1].astype(np.int64), model.normalisation).values)
    features = Features(np.concatenate(parts), judge_source(judges, model.normalisation))
    return NearestIndex.of(features, [f"phantom {seed}" for seed in seeds])


def held_out_features(model: LoadedModel, judges: Judges, modality: str, count: int = HELD_OUT) -> Features:
    """Features of phantoms of one modality that no network was trained on."""
    image = model.recipe["image"]
    shape = (int(image["rows"]), int(image["columns"]))
    images = [
        abdomen(phantom_seed("validation", index), shape=shape, modality=modality).image
        for index in range(count)
    ]
    scaled = np.stack([model.normalise(one, modality) for one in images])
    return judge_features(judges, scaled, np.full(count, MODALITIES.index(modality)), model.normalisation)


def check(model: LoadedModel, judges: Judges, folder: Path) -> None:
    """Print how near test phantoms lie to the index, and images made at four calls under their masks."""
    image = model.recipe["image"]
    cases = held_out("test", 96, (int(image["rows"]), int(image["columns"])))
    for modality in model.normalisation:
        index = NearestIndex.load(folder / f"{modality}.npz")
        some = [c for c in cases if c.condition.modality == modality]
        sets = {
            "test phantoms": np.stack([model.normalise(c.image, modality) for c in some]),
            "images made": make(model, some[:16], Setting(sampler="rft", calls=4), list(range(16))),
        }
        for name, images in sets.items():
            which = np.full(len(images), MODALITIES.index(modality))
            features = judge_features(judges, images, which, model.normalisation)
            near = [found[0] for found in index.nearest(features)]
            shares = [one.closer_than for one in near]
            strangers = [one.closer_than_held_out for one in near if one.closer_than_held_out is not None]
            print(
                f"{modality}, {len(near)} {name}: nearer than {np.mean(shares):.2f} of training cases are to "
                f"their own nearest (at most {max(shares):.2f}), than {np.mean(strangers):.2f} of held-out "
                f"phantoms are to theirs (at most {max(strangers):.2f}), distance "
                f"{np.median([one.distance for one in near]):.2f} (median)"
            )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="name under weights/, or a folder")
    parser.add_argument("--phantoms", type=Path, help="folder of shards (default: the recipe's)")
    parser.add_argument("--judges", type=Path, default=Path("weights/judges"))
    parser.add_argument("--check", action="store_true", help="write nothing; say how near others lie")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = find_model(options.model)
    model, judges = load_model(folder), load_judges(options.judges)
    if options.check:
        check(model, judges, folder / FOLDER)
        return
    shards = PhantomShards(options.phantoms or load_recipe(folder.name).data_folder)
    (folder / FOLDER).mkdir(exist_ok=True)
    for modality in model.normalisation:
        index = training_index(model, judges, shards, modality)
        index = index.with_held_out(held_out_features(model, judges, modality))
        path = folder / FOLDER / f"{modality}.npz"
        index.save(path)
        middle = float(np.median(index.spacings))
        print(
            f"{path}: {len(index.cases)} cases, {index.points.shape[1]} components, "
            f"nearest of each other at {middle:.2f} (median), {path.stat().st_size / 2**20:.2f} MB"
        )


if __name__ == "__main__":
    main()
