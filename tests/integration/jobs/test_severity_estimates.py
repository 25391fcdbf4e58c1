"""The severity read off an image by a small job: what it says, what it fills in, what it keeps (nothing)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from synthesis.errors import SynthesisError
from tests import factories
from tests.factories_edits import phantom_case
from webapp.core.errors import ApplicationError, NotVisible
from webapp.jobs.models import Job
from webapp.jobs.services import job_claim, job_finish, severity_estimate_submit
from webapp.jobs.severity_estimates import estimate_of, severity_estimate_for
from workers.lease import Work, handler_outcome
from workers.severity import estimate_severity

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]
SHIPPED = "abdomen-2d"


@pytest.fixture
def model(db: None, storage: Path) -> Any:
    """The shipped model's record; its weights are not needed."""
    from webapp.registry.services import model_install

    return model_install(path=settings.WEIGHTS_DIR / SHIPPED)


def read(job: Job) -> Job:
    """The job done by this process as by a worker."""
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    assert claim.job_id == job.pk
    work = Work(claim)
    outcome = handler_outcome(work, estimate_severity(work))
    return job_finish(job_id=claim.job_id, token=claim.token, outcome=outcome)


def test_a_healthy_and_a_cirrhotic_phantom_are_told_apart(clinician: Any, model: Any) -> None:
    """Both are the same made-up person; the reader sees the grade to within half a level of the truth."""
    from synthesis.phantoms import DEMO_SERIES
    from webapp.cases.demo import demo_make
    from webapp.cases.models import DatasetShare

    plans = [one for one in DEMO_SERIES if one.modality == "CT"][:2]
    made = demo_make(owner=factories.person("data_manager"), plans=plans, shape=(3, 128, 128))
    DatasetShare.objects.create(dataset=made, user=clinician, level="view")
    for plan in plans:
        case = made.cases.get(name=plan.name)
        before = dict(case.attributes)
        job = severity_estimate_submit(
            user=clinician, model=model, case=case, mask=case.masks.get(), modality="CT", slice_index=1
        )
        found = estimate_of(read(job))
        assert found is not None
        assert found.level == pytest.approx(plan.attributes.severity_texture, abs=0.5)
        assert found.choice == round(found.level * 2) / 2
        assert np.sum(found.shares) == pytest.approx(1.0, abs=0.01)
        case.refresh_from_db()
        assert case.attributes == before


def test_the_form_is_filled_in_once_it_is_read(client_of: Any, clinician: Any, storage: Path) -> None:
    browser: Client = client_of(clinician)
    case, model = phantom_case(clinician), factories.generative_model()
    values = {"case": case.pk, "mask": case.masks.get().pk, "slice_number": 2, "modality": "CT"}
    answer = browser.post(reverse("jobs:severity-estimate"), values)
    assert "Choose a mask, a model" in answer.content.decode()
    assert not Job.objects.exists()
    waiting = browser.post(reverse("jobs:severity-estimate"), values | {"model": model.pk})
    job = Job.objects.get()
    assert job.payload["slice_index"] == 1
    address = reverse("jobs:severity-estimate-fragment", args=[job.pk])
    assert address in waiting.content.decode()
    own = 'hx-sync="#severity-estimate:replace"'
    form = browser.get(reverse("jobs:counterfactual-new") + f"?case={case.pk}").content.decode()
    assert own in form
    assert own in waiting.content.decode()
    assert waiting.content.decode().count('id="severity-status"') == 1
    polled = browser.get(address)
    assert "HX-Trigger-After-Settle" not in polled
    assert "severity-status" not in polled.content.decode()
    assert "role=" not in polled.content.decode()
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    found = {"severity": {"level": 1.62, "read": "mild", "shares": [0.02, 0.38, 0.56, 0.04]}}
    job_finish(job_id=claim.job_id, token=claim.token, outcome=found)
    answer = browser.get(address)
    page = answer.content.decode()
    assert answer["HX-Trigger-After-Settle"] == "severity-read"
    assert "Read in slice 2: 1.5 (low–mild), 1.6 of 3." in page
    assert '<option value="1.5" selected>' in page
    assert 'hx-swap-oob="true"' in page
    assert "no diagnosis" in page
    assert "56 %" in page


@pytest.mark.parametrize(
    ("number", "words"),
    [("9", "slices 1 to 3"), ("0", "slices 1 to 3"), ("two", "whole number")],
)
def test_no_other_slice_is_read_than_was_asked_for(
    client_of: Any, clinician: Any, storage: Path, number: str, words: str
) -> None:
    case, model = phantom_case(clinician), factories.generative_model()
    values = {"case": case.pk, "mask": case.masks.get().pk, "modality": "CT", "model": model.pk}
    answer = client_of(clinician).post(reverse("jobs:severity-estimate"), values | {"slice_number": number})
    assert words in answer.content.decode()
    assert not Job.objects.exists()


def test_too_little_liver_is_said(clinician: Any, model: Any) -> None:
    from webapp.cases.selectors import mask_array
    from webapp.cases.services import mask_save

    case = phantom_case(clinician)
    mask = case.masks.get()
    liver = next(int(one["value"]) for one in mask.labels if one["name"] == "liver")
    voxels = mask_array(mask)
    voxels[voxels == liver] = 0
    bare = mask_save(
        user=clinician, case=case, name="No liver", array=voxels, labels=mask.labels, origin="painted"
    )
    job = severity_estimate_submit(
        user=clinician, model=model, case=case, mask=bare, modality="CT", slice_index=1
    )
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    with pytest.raises(SynthesisError, match="too little of the liver"):
        estimate_severity(Work(claim))
    assert estimate_of(job) is None


def test_what_was_deleted_meanwhile_is_said(clinician: Any, storage: Path) -> None:
    from webapp.cases.services import case_delete

    case = phantom_case(clinician)
    model = factories.generative_model()
    severity_estimate_submit(user=clinician, model=model, case=case, mask=case.masks.get(), modality="CT")
    case_delete(user=case.dataset.owner, case=case)
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    with pytest.raises(ApplicationError, match="deleted"):
        estimate_severity(Work(claim))


def test_what_cannot_be_read_is_refused(clinician: Any, storage: Path) -> None:
    case, model = phantom_case(clinician), factories.generative_model()
    wish = {"user": clinician, "model": model, "case": case, "mask": case.masks.get()}
    with pytest.raises(ApplicationError, match="read as such"):
        severity_estimate_submit(**wish, modality="T1")
    with pytest.raises(ApplicationError, match="slices 1 to 3"):
        severity_estimate_submit(**wish, modality="CT", slice_index=7)


def test_only_who_asked_reads_the_answer(clinician: Any, storage: Path) -> None:
    case, model = phantom_case(clinician), factories.generative_model()
    job = severity_estimate_submit(
        user=clinician, model=model, case=case, mask=case.masks.get(), modality="CT"
    )
    assert severity_estimate_for(user=clinician, id=job.pk) == job
    with pytest.raises(NotVisible):
        severity_estimate_for(user=factories.person("administrator", "clinician"), id=job.pk)
    drawing = factories.synthesis_request(clinician).jobs.get()
    with pytest.raises(NotVisible):
        severity_estimate_for(user=clinician, id=drawing.pk)
