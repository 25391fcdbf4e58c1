"""Which judge a worker's quality checks use."""

import numpy as np
import pytest
import torch

from synthesis.checkpoints import load_model
from synthesis.metrics.judges import KINDS, save_judge
from tests.factories_models import tiny_model
from workers import models


@pytest.fixture
def model(tmp_path):
    return load_model(tiny_model(tmp_path / "tiny"), device="cpu", dtype=torch.float32)


@pytest.fixture
def weights(settings, tmp_path):
    settings.WEIGHTS_DIR = tmp_path / "weights"
    models._judges.cache_clear()
    yield settings.WEIGHTS_DIR
    models._judges.cache_clear()


@pytest.fixture
def installed(weights):
    for name, kind in KINDS.items():
        save_judge(weights / "judges", name, kind(), {})
    return weights / "judges"


def test_the_shipped_segmenter_judges_a_model_of_the_same_labels(model, installed):
    judge = models.judge_for(model)
    labels = judge.segment(np.zeros((64, 64), np.float32), "CT")
    assert labels.shape == (64, 64)
    assert labels.dtype == np.uint8


def test_without_judges_the_checks_go_on(model, weights):
    assert models.judge_for(model) is None


def test_a_damaged_judge_costs_no_result(model, installed):
    file = next(installed.glob("segmenter*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert models.judge_for(model) is None


def test_a_model_of_other_labels_is_not_judged(model, installed):
    model.recipe["label_set"] = [{"value": 0, "name": "air"}, {"value": 1, "name": "heart"}]
    assert models.judge_for(model) is None
