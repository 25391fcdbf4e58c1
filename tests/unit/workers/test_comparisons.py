"""The nearest training case of a finished image: found, or plainly not known, but never a lost image."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from synthesis.metrics.feature_nets import judge_features
from synthesis.metrics.judges import KINDS, Judges, load_judges, save_judge
from synthesis.metrics.nearest import NearestIndex
from tests import factories
from webapp.registry.companions import companion_name
from webapp.registry.weights import file_sha256
from workers.comparisons import nearest_case

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]

CASES = [f"phantom {number}" for number in range(6)]
IMAGES = np.random.default_rng(0).normal(size=(len(CASES), 64, 64)).astype(np.float32)


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Judges:
    folder = tmp_path_factory.mktemp("judges")
    for name, kind in KINDS.items():
        save_judge(folder, name, kind(), {})
    return load_judges(folder)


@pytest.fixture
def index(judges: Judges) -> NearestIndex:
    return NearestIndex.of(judge_features(judges, IMAGES, np.zeros(len(CASES), int)), CASES)


@pytest.fixture
def model_with(tmp_path: Path) -> Callable[[NearestIndex, slice], Any]:
    """A model's record with that index in the store, or with a part of the index's bytes alone."""

    def make(index: NearestIndex, part: slice) -> Any:
        index.save(tmp_path / "CT.npz")
        content = (tmp_path / "CT.npz").read_bytes()[part]
        (tmp_path / "CT.npz").write_bytes(content)
        about = {"sha256": file_sha256(tmp_path / "CT.npz"), "bytes": len(content)}
        model = factories.generative_model(companions={"nearest/CT.npz": about})
        default_storage.save(companion_name(model.weights_sha256, "nearest/CT.npz"), ContentFile(content))
        return model

    return make


def test_a_training_case_is_nearest_to_itself(model_with: Any, judges: Judges, index: NearestIndex) -> None:
    near = nearest_case(model_with(index, slice(None)), judges, IMAGES[4], "CT")
    assert near["case"] == "phantom 4"
    assert near["training_cases"] == 6
    assert near["threshold"] is None


def test_an_index_of_another_width_costs_no_image(
    model_with: Any, judges: Judges, index: NearestIndex
) -> None:
    narrow = replace(index, mean=index.mean[:-3], turn=index.turn[:-3])
    assert nearest_case(model_with(narrow, slice(None)), judges, IMAGES[4], "CT") == {"why": "unreadable"}


def test_an_index_with_fewer_names_than_points_costs_no_image(
    model_with: Any, judges: Judges, index: NearestIndex
) -> None:
    few = replace(index, cases=index.cases[:2])
    assert nearest_case(model_with(few, slice(None)), judges, IMAGES[4], "CT") == {"why": "unreadable"}


@pytest.mark.parametrize("part", [slice(100), slice(-30)])
def test_a_damaged_index_costs_no_image(
    model_with: Any, judges: Judges, index: NearestIndex, part: slice
) -> None:
    assert nearest_case(model_with(index, part), judges, IMAGES[4], "CT") == {"why": "unreadable"}
