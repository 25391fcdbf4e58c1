"""From a request to a result through a real worker, a real (tiny, untrained) model and real DICOM."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import default_storage

from tests import factories
from tests.integration.jobs.conftest import Probes, Workers
from tests.stored import dicom_of, errors_of, stored_files
from webapp.cases.models import Case, Mask
from webapp.cases.selectors import case_slice, mask_array
from webapp.jobs.clock import database_now
from webapp.jobs.downloads import result_download
from webapp.jobs.models import Job, Result
from webapp.jobs.requests import labels_of, request_job
from webapp.jobs.results import Made
from webapp.jobs.services import (
    LeaseLost,
    job_cancel,
    job_claim,
    jobs_reap,
    request_again,
    request_submit,
    result_reproduce,
    results_store,
)

pytestmark = [pytest.mark.both, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PARAMETERS = {
    "condition": {"modality": "CT", "severity": "severe", "age": 61, "sex": "F"},
    "sampler": {"name": "rft", "steps": 2},
    "phantom_seed": 3,
}


def test_a_request_becomes_dicom_with_its_mask_and_can_be_made_again_exactly(
    workers: Workers, probes: Probes, tiny: Any, clinician: Any, tmp_path: Path
) -> None:
    workers.start("compute")
    request = request_submit(user=clinician, model=tiny, parameters=PARAMETERS, count=2, seed=41)
    job = probes.wait(request_job(request), "succeeded", "failed")
    assert job.state == "succeeded", job.error_message + job.error_detail + workers.logs()
    assert (job.step, job.steps_total) == (4, 4)
    first, second = request.results.order_by("index")
    assert (first.seed, second.seed) == (41, 42)
    assert first.pixel_sha256 != second.pixel_sha256
    assert first.case.owner == clinician
    assert first.case.is_synthetic
    assert np.array_equal(mask_array(first.mask)[0], labels_of(request))
    assert first.quality["organs"]
    assert stored_files(f"previews/{job.pk}") == []

    files = dicom_of(first, clinician)
    image, seg = files["image-0001.dcm"], files["mask-seg.dcm"]
    assert (image.SyntheticData, image.ContentQualification) == ("YES", "RESEARCH")
    assert np.array_equal(image.pixel_array, case_slice(first.case, 0).array.astype(np.int16))
    assert seg.Modality == "SEG"
    assert seg.FrameOfReferenceUID == image.FrameOfReferenceUID
    archives = {result_download(user=clinician, result=first, form="dicom").content for _ in range(2)}
    assert len(archives) == 1
    if shutil.which("dciodvfy"):
        assert errors_of(first, clinician, tmp_path) == {"image-0001.dcm": [], "mask-seg.dcm": []}

    repeated = probes.wait(result_reproduce(user=clinician, result=second), "succeeded")
    assert repeated.outcome["match"] is True
    assert repeated.outcome["differs"] == []

    Result.objects.filter(pk=second.pk).update(
        pixel_sha256="0" * 64,
        recipe={**second.recipe, "numerics": {**second.recipe["numerics"], "device_name": "another"}},
    )
    other = probes.wait(result_reproduce(user=clinician, result=second), "succeeded")
    assert other.outcome["match"] is False
    assert any("processor" in line for line in other.outcome["differs"])

    again = request_again(user=clinician, request=request)
    assert again.parameters == request.parameters
    assert again.seed != request.seed
    probes.wait(request_job(again), "succeeded")
    assert again.results.count() == 2


def test_a_cancelled_synthesis_leaves_nothing(
    workers: Workers, probes: Probes, tiny: Any, clinician: Any
) -> None:
    workers.start("compute")
    parameters = {**PARAMETERS, "sampler": {"name": "euler", "steps": 100}}
    request = request_submit(user=clinician, model=tiny, parameters=parameters, count=16)
    job = probes.wait_begun(request_job(request))
    assert job.preview
    job_cancel(user=clinician, job=job)
    probes.wait(job, "cancelled")
    assert not Result.objects.exists()
    assert not Case.objects.exists()
    assert stored_files("previews") == []


def made(index: int = 0, files: list[bytes] | None = None) -> Made:
    """Something to keep: one CT slice with an empty-but-for-one-corner mask."""
    mask = np.zeros((1, 128, 128), np.uint16)
    mask[0, :9, :9] = 6
    return Made(
        index=index,
        seed=index,
        name=f"Synthetic {index}",
        files=files if files is not None else factories.ct_files(1, seed=900 + index),
        mask=mask,
        labels=[{"value": 6, "name": "liver", "color": "#b5651d"}],
        recipe={},
        pixel_sha256="0" * 64,
    )


def claimed(clinician: Any) -> Any:
    request = factories.synthesis_request(clinician)
    got = job_claim(queue="compute", worker="w")
    assert got is not None
    return request, got


def test_a_stale_token_keeps_no_row_and_no_file(clinician: Any, storage: Path) -> None:
    request, stale = claimed(clinician)
    Job.objects.update(lease_expires_at=database_now() - timedelta(seconds=1))
    jobs_reap()
    fresh = job_claim(queue="compute", worker="other")
    assert fresh is not None
    with pytest.raises(LeaseLost):
        results_store(job_id=stale.job_id, token=stale.token, made=[made()])
    assert stored_files("cases") == []
    results_store(job_id=fresh.job_id, token=fresh.token, made=[made()])
    assert request.results.count() == 1
    assert Job.objects.get(pk=fresh.job_id).state == "succeeded"


def test_when_the_second_of_two_images_fails_neither_is_kept(clinician: Any, storage: Path) -> None:
    from webapp.core.errors import ApplicationError

    _, got = claimed(clinician)
    with pytest.raises(ApplicationError):
        results_store(job_id=got.job_id, token=got.token, made=[made(0), made(1, files=[b"no dicom"])])
    assert not Result.objects.exists()
    assert not Case.objects.exists()
    assert not Mask.objects.exists()
    assert stored_files("cases") == []
    assert Job.objects.get(pk=got.job_id).state == "running"


def test_files_of_a_worker_that_was_killed_while_saving_are_cleared_away(
    clinician: Any, storage: Path
) -> None:
    from uuid import uuid4

    from django.core.files.base import ContentFile

    from webapp.cases.files import case_folder
    from webapp.jobs.opencases import open_cases_note

    _, got = claimed(clinician)
    half_done, whole = uuid4(), factories.case(owner=clinician).pk
    open_cases_note(job_id=got.job_id, token=got.token, case_ids=[half_done, whole])
    default_storage.save(f"{case_folder(half_done)}/1.dcm", ContentFile(b"half"))
    Job.objects.update(lease_expires_at=database_now() - timedelta(seconds=1))
    assert jobs_reap() == 1
    assert stored_files(case_folder(half_done)) == []
    assert stored_files(case_folder(whole)) != []
    assert Job.objects.get(pk=got.job_id).outcome == {}
