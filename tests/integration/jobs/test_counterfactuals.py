"""From a case to a counterfactual through a real worker, a real (tiny, untrained) model and real DICOM."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from synthesis.phantoms import labels as L
from tests import factories
from tests.dciodvfy import needs_dciodvfy
from tests.factories_edits import CHANGE, edit_request, edited_result, psnr_undone
from tests.integration.jobs.conftest import Probes, Workers
from tests.stored import errors_of, images_of, stored_files
from webapp.cases.models import Case
from webapp.cases.selectors import case_slice
from webapp.core.errors import ApplicationError, NotAllowed
from webapp.core.models import AuditEvent
from webapp.jobs.edits import edit_wish, original_pixels, region_of
from webapp.jobs.models import Edit, Job, Result, SynthesisRequest
from webapp.jobs.requests import labels_of, request_job
from webapp.jobs.services import job_cancel, request_again, result_reproduce

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.mark.both
@pytest.mark.slow
def test_a_change_becomes_dicom_that_names_its_source(
    workers: Workers, probes: Probes, tiny: Any, clinician: Any, case: Any, tmp_path: Path
) -> None:
    workers.start("compute")
    options = {"steps": 2, "undo": True, "variety": 0.5, "where": "spleen"}
    request = edit_request(clinician, case=case, model=tiny, count=2, parameters=CHANGE | {"edit": options})
    job = probes.wait(request_job(request), "succeeded", "failed", seconds=240)
    assert job.state == "succeeded", job.error_message + job.error_detail + workers.logs()
    assert (job.step, job.steps_total) == (10, 10)
    first, second = request.results.order_by("index")
    assert (first.seed, second.seed) == (7, 8)
    assert first.pixel_sha256 != second.pixel_sha256
    assert (first.case.owner, first.case.is_synthetic) == (clinician, True)
    assert first.case.derived_from == case
    assert first.edited.numbers["inside"] > 0
    assert first.edited.numbers["undone"]["psnr"] == pytest.approx(psnr_undone(first), abs=1e-6)
    assert first.edited.numbers["unchanged"]["psnr"] > first.edited.numbers["psnr"]
    assert np.array_equal(region_of(request), labels_of(request) == L.SPLEEN)
    assert first.edited.undone
    assert stored_files(f"previews/{job.pk}") == []

    repeated = probes.wait(result_reproduce(user=clinician, result=second), "succeeded", seconds=120)
    assert repeated.outcome["match"] is True, repeated.outcome

    (image,) = images_of(first, clinician)
    source = case.instances.get(number=case.stack[1][0])
    (origin,) = image.SourceImageSequence
    assert origin.ReferencedSOPInstanceUID == source.sop_instance_uid
    assert image.StudyInstanceUID == case.study_uid
    assert image.FrameOfReferenceUID == case.frame_of_reference_uid
    assert image.SyntheticData == "YES"
    assert "no cirrhosis to severe cirrhosis" in image.DerivationDescription
    assert "only inside the label spleen" in image.DerivationDescription
    assert np.allclose(image.ImagePositionPatient, source.metadata["00200032"]["Value"])
    assert np.array_equal(image.pixel_array, case_slice(first.case, 0).array.astype(np.int16))


@pytest.mark.slow
def test_a_cancelled_change_leaves_nothing(
    workers: Workers, probes: Probes, tiny: Any, clinician: Any, case: Any
) -> None:
    workers.start("compute")
    cases = Case.objects.count()
    options = {"strength": 1.0, "steps": 60, "undo": True}
    request = edit_request(clinician, case=case, model=tiny, parameters=CHANGE | {"edit": options})
    job = probes.wait_begun(request_job(request))
    assert job.message.startswith("Making the change, step")
    job_cancel(user=clinician, job=job)
    probes.wait(job, "cancelled", seconds=60)
    assert not Result.objects.exists()
    assert Case.objects.count() == cases
    assert stored_files("previews") == []


def test_a_phantom_on_the_models_grid_is_not_resampled(clinician: Any, case: Any) -> None:
    request = edit_request(clinician, case=case)
    kept = original_pixels(request, request.edit)
    assert np.array_equal(kept, case_slice(case, 1).array.astype(np.int16))
    assert not any("resampled" in note for note in request.prepared["notes"])
    wish = edit_wish(request)
    assert (wish.before.level, wish.after.level) == (0.0, 3.0)
    assert wish.labels_after is None
    entry = AuditEvent.objects.get(action="counterfactual.requested")
    assert entry.detail["method"] == "flow_inversion"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"condition": CHANGE["before"]}, "Nothing is to change"),
        ({"edit": {"strength": 7}}, "could not be read"),
        ({"edit": {"method": "magic"}}, "no method"),
        ({"edit": {"steps": 100}}, "from 1 to 64"),
        ({"condition": {"modality": "T1", "severity": "severe"}}, "kind of image cannot change"),
        ({"condition": {"modality": "CT", "severity": "none", "age": 200, "sex": "M"}}, "age"),
        ({"condition": {"modality": "CT", "severity": "dire"}}, "could not be read"),
        ({"condition": CHANGE["condition"] | {"age": None}}, "which the image shows now"),
        ({"other": 1}, "not known"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    clinician: Any, case: Any, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ApplicationError, match=words):
        edit_request(clinician, case=case, parameters=CHANGE | change)
    assert not SynthesisRequest.objects.exists()
    assert not Job.objects.exists()


def test_several_images_need_variety(clinician: Any, case: Any) -> None:
    with pytest.raises(ApplicationError, match="every seed makes the same image"):
        edit_request(clinician, case=case, count=2)


def test_only_people_who_may_ask_for_images_may(case: Any) -> None:
    with pytest.raises(NotAllowed):
        edit_request(factories.person("data_manager"), case=case)


def test_deleting_the_source_deletes_what_was_made_of_its_pixels(clinician: Any, case: Any) -> None:
    from webapp.cases.files import case_folder
    from webapp.cases.services import case_delete

    result = edited_result(clinician, request=edit_request(clinician, case=case))
    folder = case_folder(result.case_id)
    assert stored_files(folder)
    case_delete(user=case.dataset.owner, case=case)
    assert not Result.objects.exists()
    assert not Edit.objects.exists()
    assert not Case.objects.exists()
    assert stored_files(folder) == []
    with pytest.raises(ApplicationError, match="deleted"):
        request_again(user=clinician, request=SynthesisRequest.objects.get())


def test_the_same_change_can_be_asked_for_again(clinician: Any, case: Any) -> None:
    request = edit_request(clinician, case=case)
    again = request_again(user=clinician, request=request)
    assert again.parameters == request.parameters
    assert again.seed != request.seed
    assert again.jobs.get().kind == "counterfactual"


def test_the_source_keeps_its_sex_and_its_age_whatever_is_shown(clinician: Any, case: Any) -> None:
    for sex, age in (("F", "061Y"), ("O", "007M"), ("", "")):
        instance = case.instances.get(number=case.stack[0][0])
        instance.metadata |= {
            "00100040": {"vr": "CS", "Value": [sex]},
            "00101010": {"vr": "AS", "Value": [age]},
        }
        instance.save()
        older = {"condition": CHANGE["condition"] | {"age": 80.0}}
        result = edited_result(
            clinician, request=edit_request(clinician, case=case, parameters=CHANGE | older)
        )
        (image,) = images_of(result, clinician)
        assert (image.PatientSex, image.get("PatientAge", "")) == (sex, age)
        assert image.PatientID == instance.metadata["00100020"]["Value"][0]
        assert "age 58 to 80" in image.DerivationDescription


@pytest.mark.parametrize(("numerics", "device"), [({"device": "cpu"}, "cpu"), ({}, "cuda")])
def test_it_is_made_again_on_the_device_that_was_recorded(
    clinician: Any, case: Any, monkeypatch: pytest.MonkeyPatch, numerics: dict[str, Any], device: str
) -> None:
    from workers import counterfactuals, synthesise

    class Loading(Exception):
        """The model is asked for."""

    def get(_model: Any, *, device: str, need: Any) -> Any:
        raise Loading(device)

    result = edited_result(clinician, request=edit_request(clinician, case=case))
    result.recipe["numerics"] = numerics
    for module in (counterfactuals, synthesise):  # a worker with an accelerator
        monkeypatch.setattr(module, "device_choose", lambda: "cuda")
    monkeypatch.setattr(counterfactuals.warm, "get", get)
    work = SimpleNamespace(stage=lambda *_, **__: None)
    with pytest.raises(Loading, match=device):
        counterfactuals.edited_again(work, result)  # type: ignore[arg-type]


def test_it_is_made_again_as_it_was_decided_then(
    clinician: Any, case: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers import counterfactuals

    class Asked(Exception):
        """What is asked of the method."""

    def edit(_model: Any, wish: Any, **_: Any) -> Any:
        raise Asked(wish.options)

    result = edited_result(clinician, request=edit_request(clinician, case=case, parameters=CHANGE))
    result.recipe["options"] = {"strength": 0.31, "contrast": 1.7}
    monkeypatch.setattr(counterfactuals, "edit", edit)
    monkeypatch.setattr(counterfactuals, "judges_for", lambda _model: None)
    monkeypatch.setattr(counterfactuals.laid_adapters, "using", lambda *_: nullcontext())
    monkeypatch.setattr(counterfactuals.warm, "get", lambda _model, **_: None)
    work = SimpleNamespace(stage=lambda *_, **__: None, lease=None)
    with pytest.raises(Asked) as asked:
        counterfactuals.edited_again(work, result)  # type: ignore[arg-type]
    (options,) = asked.value.args
    assert (options.strength, options.contrast, options.undo) == (0.31, 1.7, False)


@needs_dciodvfy
def test_the_dicom_passes_the_validator(clinician: Any, case: Any, tmp_path: Path) -> None:
    result = edited_result(clinician, request=edit_request(clinician, case=case))
    assert errors_of(result, clinician, tmp_path) == {"image-0001.dcm": [], "mask-seg.dcm": []}
