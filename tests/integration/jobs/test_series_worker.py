"""A change in every slice of a series through a real worker and a real (tiny, untrained) model."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.factories_edits import CHANGE
from tests.factories_series import partly_masked_case, series_request
from tests.integration.jobs.conftest import Probes, Workers
from tests.stored import images_of, stored_files
from webapp.cases.models import Case
from webapp.cases.selectors import case_slice, mask_array
from webapp.jobs.edit_maps import difference
from webapp.jobs.models import Result
from webapp.jobs.requests import request_job
from webapp.jobs.services import job_cancel, result_reproduce

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def case(clinician: Any) -> Any:
    return partly_masked_case(clinician)


def positions(case: Any) -> list[Any]:
    """Where the slices of a case lie, in stack order, as their headers say."""
    known = {one.number: one.metadata for one in case.instances.all()}
    return [known[number]["00200032"]["Value"] for number, _frame in case.stack]


@pytest.mark.both
@pytest.mark.slow
def test_a_changed_series_is_one_series_that_lies_on_its_source(
    workers: Workers, probes: Probes, tiny: Any, clinician: Any, case: Any
) -> None:
    workers.start("compute")
    options = {"steps": 2, "undo": True, "variety": 0.5}
    request = series_request(clinician, case=case, model=tiny, count=2, parameters=CHANGE | {"edit": options})
    job = probes.wait(request_job(request), "succeeded", "failed", seconds=240)
    assert job.state == "succeeded", job.error_message + job.error_detail + workers.logs()
    assert (job.step, job.steps_total) == (20, 20)
    assert job.outcome["slices"] == 2
    assert {"preparing", "drawing"} <= set(job.outcome["seconds"])
    first, second = request.results.order_by("index")
    assert first.case.slice_count == 3
    assert first.case.derived_from == case
    assert first.pixel_sha256 != second.pixel_sha256
    assert first.recipe["slices"] == {"count": 3, "edited": [1, 2], "source": [0, 1, 2]}
    assert first.edited.numbers["through_plane"]["pairs"] == 2
    assert first.edited.numbers["unchanged"]["psnr"] > first.edited.numbers["psnr"]
    assert np.array_equal(case_slice(first.case, 0).array, case_slice(case, 0).array)
    assert difference(first)[0].any() is np.False_
    assert difference(first)[1].any()
    assert not mask_array(first.mask)[0].any()

    images = images_of(first, clinician)
    assert len({one.SeriesInstanceUID for one in images}) == 1
    for place, (image, where) in enumerate(zip(images, positions(case), strict=True)):
        source = case.instances.get(number=case.stack[place][0])
        (origin,) = image.SourceImageSequence
        assert origin.ReferencedSOPInstanceUID == source.sop_instance_uid
        assert np.allclose(image.ImagePositionPatient, where)
        assert np.allclose(image.ImageOrientationPatient, source.metadata["00200037"]["Value"])
        assert np.allclose(image.PixelSpacing, source.metadata["00280030"]["Value"])
        assert image.SpacingBetweenSlices == source.metadata["00180088"]["Value"][0]
        assert image.FrameOfReferenceUID == case.frame_of_reference_uid
        assert image.SyntheticData == "YES"
        assert ("kept as its source shows it" in image.DerivationDescription) is (place == 0)
        assert np.array_equal(image.pixel_array, case_slice(first.case, place).array.astype(np.int16))
    assert stored_files(f"previews/{job.pk}") == []

    repeated = probes.wait(result_reproduce(user=clinician, result=second), "succeeded", seconds=120)
    assert repeated.outcome["match"] is True, repeated.outcome


@pytest.mark.slow
def test_cancelling_leaves_no_slice_behind(
    workers: Workers, probes: Probes, tiny: Any, clinician: Any, case: Any
) -> None:
    workers.start("compute")
    cases = Case.objects.count()
    options = {"strength": 1.0, "steps": 60, "undo": True}
    request = series_request(clinician, case=case, model=tiny, parameters=CHANGE | {"edit": options})
    job = probes.wait_begun(request_job(request))
    assert re.match(r"Slice \d of 2: making the change, step \d+ of ", job.message)
    job_cancel(user=clinician, job=job)
    probes.wait(job, "cancelled", seconds=60)
    assert not Result.objects.exists()
    assert Case.objects.count() == cases
    assert stored_files("previews") == []
