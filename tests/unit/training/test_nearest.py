"""The index of training cases finds the phantom that an image is a copy of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthesis.checkpoints import load_model
from synthesis.imaging.intensity import Normalisation
from synthesis.metrics.feature_nets import judge_features, judge_source
from synthesis.metrics.judges import load_judges
from synthesis.metrics.nearest import NearestIndex
from synthesis.phantoms import abdomen, phantom_seed
from synthesis.request import MODALITIES
from tests.unit.synthesis.tiny_model import tiny_model
from training.data import PhantomShards
from training.nearest import training_index

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "weights" / "abdomen-2d"
JUDGES = ROOT / "weights" / "judges"
OTHER = Normalisation(units=(-1000.0, -150.0, 250.0, 1300.0), scaled=(-1.2, -0.2, 3.8, 4.8))


def test_a_training_phantom_made_again_is_found(phantom_folder):
    if not (JUDGES / "judges.json").is_file():
        pytest.skip("the judges' weights are not here")
    judges, model = load_judges(JUDGES), tiny_model()
    index = training_index(model, judges, PhantomShards(phantom_folder), "CT")
    assert len(index.cases) == 8
    seed = phantom_seed("training", 4)
    image = model.normalise(abdomen(seed, shape=(64, 64), modality="CT").image, "CT")
    stranger = model.normalise(abdomen(phantom_seed("test", 0), shape=(64, 64), modality="CT").image, "CT")
    copy, other = index.nearest(judge_features(judges, np.stack([image, stranger]), np.array([0, 0])))
    assert copy[0].case == f"phantom {seed}"
    assert copy[0].distance < 0.1 < other[0].distance
    assert copy[0].closer_than == 1.0
    with pytest.raises(ValueError, match="no phantoms under"):
        training_index(model, judges, PhantomShards(phantom_folder / "shard-00000"), "CT")


def test_a_model_of_another_scale_has_the_same_neighbours(phantom_folder):
    judges, model = load_judges(JUDGES), tiny_model()
    other = replace(model, normalisation={"CT": OTHER})
    shards = PhantomShards(phantom_folder)
    index, same = (training_index(one, judges, shards, "CT") for one in (model, other))
    np.testing.assert_allclose(same.mean, index.mean, rtol=1e-3, atol=1e-3)
    assert index.source == judge_source(judges)
    assert same.source == judge_source(judges, other.normalisation) != index.source
    image = abdomen(phantom_seed("training", 4), shape=(64, 64), modality="CT").image
    scaled = other.normalise(image, "CT")[None]
    ((copy, *_),) = same.nearest(judge_features(judges, scaled, np.array([0]), other.normalisation))
    assert copy.case == f"phantom {phantom_seed('training', 4)}"
    assert copy.distance < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("modality", MODALITIES)
def test_the_shipped_index_knows_a_copy_from_a_stranger(modality):
    """As shipped: a training phantom made again is a copy; test phantoms are ordinary strangers."""
    judges, model = load_judges(JUDGES), load_model(FOLDER)
    index = NearestIndex.load(FOLDER / "nearest" / f"{modality}.npz")
    assert len(index.cases) == {"CT": 10240, "T1": 5120, "T2": 5120}[modality]

    def near(seeds):
        made = [abdomen(seed, shape=(128, 128), modality=modality).image for seed in seeds]
        scaled = np.stack([model.normalise(image, modality) for image in made])
        which = np.full(len(made), MODALITIES.index(modality))
        return [found[0] for found in index.nearest(judge_features(judges, scaled, which))]

    seed = int(index.cases[7].removeprefix("phantom "))
    (copy,) = near([seed])
    assert copy.case == index.cases[7]
    assert copy.distance < 0.1
    assert copy.closer_than == 1.0
    strangers = near([phantom_seed("test", i) for i in range(24)])
    assert 0.3 < np.mean([one.closer_than for one in strangers]) < 0.75
    assert max(one.closer_than for one in strangers) < 1.0
