"""The index of training cases finds the phantom that an image is a copy of."""

from pathlib import Path

import numpy as np
import pytest

from synthesis.metrics.feature_nets import judge_features
from synthesis.metrics.judges import load_judges
from synthesis.phantoms import abdomen, phantom_seed
from tests.unit.synthesis.tiny_model import tiny_model
from training.data import PhantomShards
from training.nearest import training_index

JUDGES = Path("weights/judges")


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
