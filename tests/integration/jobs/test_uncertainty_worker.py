"""A real worker measures an uncertainty map, reads the severity and finds the nearest training case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthesis.checkpoints import load_model
from synthesis.imaging.uncertainty import Options
from synthesis.metrics.feature_nets import judge_features
from synthesis.metrics.judges import load_judges
from synthesis.metrics.nearest import NearestIndex
from synthesis.phantoms import abdomen, phantom_seed
from tests import factories
from tests.factories_models import tiny_model
from tests.integration.jobs.conftest import Probes, Workers, wait_for
from tests.stored import dicom_of
from webapp.jobs.models import Job, Result, Uncertainty
from webapp.jobs.requests import request_job
from webapp.jobs.services import job_cancel, request_submit
from webapp.jobs.uncertainty import uncertainty_array

pytestmark = [pytest.mark.both, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

JUDGES = Path(__file__).parents[3] / "weights" / "judges"
WISH = {
    "condition": {"modality": "CT", "severity": "mild"},
    "sampler": {"name": "rft", "steps": 2},
    "phantom_seed": 3,
    "uncertainty": True,
}


@pytest.fixture
def model(transactional_db: None, tmp_path: Path) -> Any:
    """The tiny model, installed with an index of three training phantoms."""
    from webapp.registry.services import model_install

    if not (JUDGES / "judges.json").is_file():
        pytest.skip("the judges' weights are not here")
    folder = tiny_model(tmp_path / "tiny")
    loaded, judges = load_model(folder), load_judges(JUDGES)
    seeds = [phantom_seed("training", index) for index in range(6)]
    images = np.stack([loaded.normalise(abdomen(seed, shape=(128, 128)).image, "CT") for seed in seeds])
    features = judge_features(judges, images, np.zeros(len(seeds), int))
    (folder / "nearest").mkdir()
    NearestIndex.of(features, [f"phantom {seed}" for seed in seeds]).save(folder / "nearest" / "CT.npz")
    return model_install(path=folder)


def test_map_severity_and_nearest_case_come_with_the_image(
    workers: Workers, probes: Probes, model: Any
) -> None:
    clinician = factories.person("clinician")
    workers.start("compute")
    request = request_submit(user=clinician, model=model, parameters=WISH, count=2, seed=41)
    job = probes.wait(request_job(request), "succeeded", "failed")
    assert job.state == "succeeded", job.error_message + job.error_detail + workers.logs()
    assert job.step == job.steps_total == 2 * (2 + Options().probes)
    first, second = request.results.order_by("index")
    maps = [uncertainty_array(Uncertainty.objects.get(result=one)) for one in (first, second)]
    assert maps[0].shape == (128, 128)
    assert maps[0].max() > 0
    assert not np.array_equal(*maps)
    assert first.quality["nearest"]["case"].startswith("phantom ")
    assert first.quality["nearest"]["training_cases"] == 6
    assert first.quality["nearest"]["closer_than_held_out"] is None
    assert 0 <= first.quality["severity"]["level"] <= 3
    assert first.quality["severity"]["asked"] == 2

    assert np.array_equal(dicom_of(first, clinician)["uncertainty-map.dcm"].pixel_array, maps[0])

    t1 = {**WISH, "condition": {"modality": "T1", "severity": "mild"}, "uncertainty": False}
    other = request_submit(user=clinician, model=model, parameters=t1, seed=41)
    probes.wait(request_job(other), "succeeded")
    assert other.results.get().quality["nearest"] == {"why": "no index"}


def test_a_job_is_cancelled_while_its_map_is_measured(workers: Workers, probes: Probes, model: Any) -> None:
    clinician = factories.person("clinician")
    workers.start("compute")
    request = request_submit(user=clinician, model=model, parameters=WISH, count=16, seed=1)
    job = request_job(request)

    def measuring() -> bool:
        job.refresh_from_db()
        return "Uncertainty" in job.message

    wait_for(measuring, why=lambda: f"no probe was made: {job.state} {job.message} {workers.logs()}")
    assert job.progress < 1
    job_cancel(user=clinician, job=job)
    probes.wait(job, "cancelled")
    assert Result.objects.count() == Uncertainty.objects.count() == 0
    assert Job.objects.get(pk=job.pk).state == "cancelled"
