"""A change in every slice of a series: which slices, their grid, the worker, the DICOM series, its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from synthesis.phantoms.labels import AIR
from tests.dciodvfy import needs_dciodvfy
from tests.factories_edits import CHANGE, edit_form
from tests.factories_series import part, partly_masked_case, series_request, series_result
from tests.stored import errors_of, stored_files
from webapp.cases.selectors import case_slice, mask_array
from webapp.core.errors import ApplicationError
from webapp.jobs import series_preparation
from webapp.jobs.edit_maps import asked_region, difference, pixels_of
from webapp.jobs.edit_panes import edit_panes
from webapp.jobs.edit_words import change_title
from webapp.jobs.estimates import calls_of
from webapp.jobs.models import Job, Result, SynthesisRequest
from webapp.jobs.series_preparation import ranges, series_stack
from webapp.jobs.services import request_again

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


@pytest.fixture
def case(clinician: Any, storage: Path) -> Any:
    return partly_masked_case(clinician)


def test_keeping_it_twice_keeps_one(clinician: Any, tmp_path: Path) -> None:
    """A worker that was taken for dead comes back after another has done its work: nothing is written."""
    from datetime import timedelta

    from webapp.jobs.edits import edit_wish
    from webapp.jobs.services import LeaseLost, job_claim, jobs_reap, results_store
    from workers.series import series_made

    request = series_request(clinician)
    stale = job_claim(queue="compute", worker="slow")
    assert stale is not None
    job = Job.objects.get(pk=stale.job_id)
    Job.objects.filter(pk=job.pk).update(lease_expires_at=job.started_at - timedelta(days=1))
    jobs_reap()
    result = series_result(clinician, request=request)
    kept = stored_files("cases")
    found = series_stack(request)
    again = series_made(job, request, edit_wish(request), found, _as_made(result, found), 0, tmp_path)
    with pytest.raises(LeaseLost):
        results_store(job_id=stale.job_id, token=stale.token, made=[again])
    assert Result.objects.get() == result
    assert stored_files("cases") == kept


def _as_made(result: Result, found: Any) -> Any:
    from synthesis.edit_series import SeriesResult

    images = np.stack([case_slice(result.case, place).array for place in range(3)])[None]
    return SeriesResult(
        images=images.astype(np.int16),
        undone=None,
        region=np.zeros(images.shape[1:], bool),
        numbers=[result.edited.numbers],
        recipe=result.recipe,
        pixel_sha256=[result.pixel_sha256],
        seconds=0.0,
    )


def test_which_slices_change_is_said_before_anything_is_made(clinician: Any, case: Any) -> None:
    request = series_request(clinician, case=case)
    series = request.prepared["series"]
    assert (series["edited"], series["unmasked"], series["unconcerned"]) == ([1, 2], [0], [])
    assert request.parameters["slices"] == {"first": 0, "last": 2, "edited": 2}
    assert "Slices 2–3 are changed, one by one." in request.prepared["notes"]
    assert "Kept as they are, for they have no mask: 1." in request.prepared["notes"]
    assert request.slice_index == 1
    assert calls_of(request.parameters, 3) == 3 * calls_of(request.parameters, 1)
    assert calls_of(request.parameters, 1) == 2 * calls_of(
        {key: value for key, value in request.parameters.items() if key != "slices"}, 1
    )
    stack = series_stack(request)
    assert stack.indices == [0, 1, 2]
    for place in range(3):
        assert np.array_equal(stack.images[place], case_slice(case, place).array)


def test_a_slice_in_which_nothing_is_concerned_is_kept(clinician: Any, case: Any) -> None:
    from webapp.cases.services import mask_save

    mask = part(case)
    voxels = mask_array(mask)
    liver = next(int(one["value"]) for one in mask.labels if one["name"] == "liver")
    spleen = next(int(one["value"]) for one in mask.labels if one["name"] == "spleen")
    voxels[1][voxels[1] == liver] = spleen
    other = mask_save(
        user=clinician, case=case, name="Other", array=voxels, labels=mask.labels, origin="painted"
    )
    series = series_request(clinician, case=case, mask=other).prepared["series"]
    assert (series["edited"], series["unmasked"], series["unconcerned"]) == ([2], [0], [1])


def test_a_lesion_is_added_where_the_other_mask_has_it(clinician: Any, case: Any) -> None:
    from webapp.cases.services import mask_save

    mask = part(case)
    voxels = mask_array(mask)
    lesion = {"value": 90, "name": "lesion", "color": "#ff0000"}
    row, column = (int(one[len(one) // 2]) for one in np.nonzero(voxels[2]))
    voxels[2, row - 4 : row + 4, column - 4 : column + 4] = 90
    after = mask_save(
        user=clinician,
        case=case,
        name="With a lesion",
        array=voxels,
        labels=[*mask.labels, lesion],
        origin="painted",
    )
    same = CHANGE | {"condition": CHANGE["before"]}
    request = series_request(clinician, case=case, mask_after=after, parameters=same)
    assert request.prepared["series"]["edited"] == [2]
    assert change_title(request) == "A lesion added, CT series"
    stack = series_stack(request, mask_after=after)
    assert stack.labels_after is not None
    assert np.array_equal(stack.labels[1], stack.labels_after[1])
    assert (stack.labels[2] != stack.labels_after[2]).sum() == 64


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"slices": (0, 3)}, "slices 1 to 3; choose a first one and one after it"),
        ({"slices": (2, 1)}, "choose a first one"),
        ({"slices": (0, 0)}, "does the mask show what is to change"),
        ({"count": 8, "parameters": CHANGE | {"edit": {"variety": 0.5}}}, "2 slices times 8 images are 16"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    clinician: Any, case: Any, monkeypatch: pytest.MonkeyPatch, wish: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(series_preparation, "CHANGED_MOST", 8)
    with pytest.raises(ApplicationError, match=words):
        series_request(clinician, case=case, **wish)
    assert not SynthesisRequest.objects.exists()


def test_too_many_slices_are_refused_with_the_number(
    clinician: Any, case: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_preparation, "CHANGED_MOST", 1)
    with pytest.raises(ApplicationError, match="2 slices would be changed; one job changes at most 1"):
        series_request(clinician, case=case)
    monkeypatch.setattr(series_preparation, "SLICES_MOST", 2)
    with pytest.raises(ApplicationError, match="At most 2 slices go into one series, and these are 3"):
        series_request(clinician, case=case)


def test_what_is_kept_of_all_images_is_bounded(
    clinician: Any, case: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_preparation, "SLICES_MOST", 8)
    wish = {"case": case, "parameters": CHANGE | {"edit": {"variety": 0.5, "steps": 2}}}
    with pytest.raises(ApplicationError, match="3 slices times 3 images are 9 to keep; one job keeps"):
        series_request(clinician, count=3, **wish)
    assert series_request(clinician, count=2, **wish).count == 2


def test_slices_without_a_place_make_no_series(clinician: Any, case: Any) -> None:
    case.geometry = case.geometry | {"is_known": False}
    case.save(update_fields=["geometry"])
    with pytest.raises(ApplicationError, match="do not say where they lie, so they make no series"):
        series_request(clinician, case=case)
    assert series_request(clinician, case=case, slices=(1, 1)).parameters["slices"]["edited"] == 1


def test_a_kept_slice_without_a_body_is_kept_as_it_is(clinician: Any, case: Any) -> None:
    """Its mask says nothing that the model knows; the slices that change are made all the same."""
    from webapp.cases.services import mask_save

    mask = part(case)
    voxels = mask_array(mask)
    voxels[0, 5:8, 5:8] = 90
    other = mask_save(
        user=clinician,
        case=case,
        name="Elsewhere",
        array=voxels,
        labels=[*mask.labels, {"value": 90, "name": "paperclip", "color": "#ff0000"}],
        origin="painted",
    )
    request = series_request(clinician, case=case, mask=other)
    series = request.prepared["series"]
    assert (series["edited"], series["unconcerned"]) == ([1, 2], [0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_preparation, "fit", _no_body_in_the_first(case))
        stack = series_stack(request)
    assert np.array_equal(stack.images[0], case_slice(case, 0).array)
    assert (stack.labels[0] == AIR).all()
    assert (stack.labels[1] != AIR).any()


def _no_body_in_the_first(case: Any) -> Any:
    """The fitting, which finds no body in the first slice."""
    from synthesis.errors import SynthesisError
    from synthesis.imaging.fitting import fit

    def fitted(**values: Any) -> Any:
        if np.array_equal(values["source"].array, case_slice(case, 0).array):
            raise SynthesisError("No body can be seen.")
        return fit(**values)

    return fitted


def test_numbers_of_slices_are_drawn_together() -> None:
    assert ranges([0, 3, 4, 5, 9]) == "1, 4–6, 10"


def test_the_same_series_can_be_asked_for_again(clinician: Any, case: Any) -> None:
    request = series_request(clinician, case=case, slices=(1, 2))
    again = request_again(user=clinician, request=request)
    assert again.parameters == request.parameters
    assert again.prepared["series"] == request.prepared["series"]
    assert again.seed != request.seed


def test_the_workspace_shows_the_stack(browser: Client, clinician: Any, case: Any) -> None:
    result = series_result(clinician, request=series_request(clinician, case=case))
    address = reverse("jobs:counterfactual-detail", args=[result.request_id])
    page = browser.get(address).content.decode()
    assert "2 slices were changed, 1 is kept as it is." in page
    assert "Between neighbours" in page
    assert page.count("data-slice-link") == 3
    assert "kept as it is" in page
    assert "of which 2 change" in page
    panes = edit_panes(result, shows_source=True, undone=False)
    assert [len(pane["case"]["frames"]) for pane in panes] == [3, 3, 3, 3]
    assert panes[2]["difference"]["shape"] == [3, 128, 128]
    original = panes[0]["case"]
    sops = [frame["sop"] for frame in original["frames"]]
    listed = browser.get(f"{original['series_url']}/metadata").json()
    assert [one["00080018"]["Value"][0] for one in listed] == sops
    frame = browser.get(f"{original['series_url']}/instances/{sops[2]}/frames/1")
    assert pixels_of(result, "original")[2].tobytes() in frame.content
    wrong = browser.get(f"{original['series_url']}/instances/1.2.3/frames/1")
    assert wrong.status_code == 404
    from webapp.cases.previews import slice_picture
    from webapp.jobs.pictures import png

    tile = browser.get(reverse("jobs:result-image", args=[result.pk]), {"side": 128}).content
    assert tile == png(slice_picture(result.case, 1, None, side=128))
    assert tile != png(slice_picture(result.case, 0, None, side=128))
    assert '"slice": 2' in browser.get(f"{address}?slice=3").content.decode()


def test_where_a_series_was_asked_to_change_is_told_by_its_mask(clinician: Any, case: Any) -> None:
    result = series_result(clinician, request=series_request(clinician, case=case))
    region = asked_region(result.request)
    assert region is not None
    assert np.array_equal(region, difference(result) != 0)
    assert region.any(axis=(1, 2)).tolist() == [False, True, True]


def test_the_form_asks_for_a_series(browser: Client, clinician: Any, case: Any, model: Any) -> None:
    address = reverse("jobs:counterfactual-new")
    assert 'name="scope"' in browser.get(f"{address}?case={case.pk}").content.decode()
    values = edit_form(case, model, mask=part(case).pk, slice_number=3)
    check = browser.post(reverse("jobs:counterfactual-check"), values | {"scope": "series"}).content.decode()
    assert "2 slices" in check
    assert "Kept as they are, for they have no mask: 1." in check
    refused = browser.post(address, values | {"scope": "range"})
    assert "A range needs a first slice and a last one." in refused.content.decode()
    shown = browser.post(reverse("jobs:counterfactual-apply"), values | {"scope": "range", "apply": "scope:"})
    assert 'name="last_slice"' in shown.content.decode()
    browser.post(address, values | {"scope": "range", "last_slice": 2})
    request = SynthesisRequest.objects.get()
    assert request.parameters["slices"] == {"first": 1, "last": 2, "edited": 2}
    assert request.slice_index == 2
    again = browser.get(f"{address}?again={request.pk}").content.decode()
    assert 'value="range" selected' in again
    strip = browser.post(
        reverse("jobs:strip-create"), values | {"scope": "series", "along": "severity"}, follow=True
    )
    assert strip.status_code == 200
    assert all("slices" not in one.parameters for one in SynthesisRequest.objects.exclude(pk=request.pk))


@needs_dciodvfy
def test_the_series_passes_the_validator(clinician: Any, case: Any, tmp_path: Path) -> None:
    result = series_result(clinician, request=series_request(clinician, case=case))
    found = errors_of(result, clinician, tmp_path)
    assert len(found) == 4
    assert not any(found.values())
