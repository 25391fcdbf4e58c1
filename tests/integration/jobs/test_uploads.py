"""What was uploaded for an installation goes when the installation is cancelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import factories
from webapp.core import work
from webapp.core.errors import Conflict
from webapp.jobs.cards import JobCard
from webapp.jobs.claims import job_worker_lost
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel, job_claim, job_fail, job_retry
from webapp.registry.services import model_upload_submit
from webapp.registry.services_adapters import adapter_upload_submit
from webapp.registry.weights import NotAModel

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def manager(transactional_db: None) -> Any:
    return factories.person("data_manager")


def model_job(manager: Any) -> Job:
    card = SimpleUploadedFile("card.md", b"# A card")
    return model_upload_submit(
        user=manager, weights=SimpleUploadedFile("model.safetensors", b"x" * 64), card=card
    )


def adapter_job(manager: Any) -> Job:
    files = {name: SimpleUploadedFile(name, b"{}") for name in ("weights", "config", "recipe")}
    return adapter_upload_submit(user=manager, **files)


def kept(folder: Path) -> list[str]:
    return [one.name for one in folder.rglob("*") if one.is_file()]


@pytest.mark.both
@pytest.mark.parametrize("submit", [model_job, adapter_job])
def test_it_goes_with_a_job_that_nobody_had_begun(manager: Any, storage: Path, submit: Any) -> None:
    job = submit(manager)
    assert len(kept(storage)) >= 2
    job_cancel(user=manager, job=job)
    assert kept(storage) == []
    job.refresh_from_db()
    assert not JobCard(job, manager).may_retry
    with pytest.raises(Conflict, match="Upload it once more"):
        job_retry(user=manager, job=job)


@pytest.mark.parametrize("submit", [model_job, adapter_job])
def test_it_goes_where_no_job_could_be_handed_in(
    manager: Any, storage: Path, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue stands at the edge of the world: here it takes nothing."""
    seen = []

    def refuse(**_: Any) -> Any:
        seen.append(len(kept(storage)))
        raise OSError("no queue")

    monkeypatch.setattr(work, "submit", refuse)
    with pytest.raises(OSError, match="no queue"):
        submit(manager)
    assert seen[0] >= 2
    assert kept(storage) == []


@pytest.mark.parametrize(
    ("submit", "words"), [(model_job, "This file has 64 MB"), (adapter_job, "These files have 6 MB")]
)
def test_what_is_too_large_is_not_kept(
    manager: Any, storage: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, submit: Any, words: str
) -> None:
    settings.MODEL_MAX_BYTES = 5 * 2**20
    size = SimpleUploadedFile.__init__

    def large(self: Any, *given: Any) -> None:
        size(self, *given)
        self.size *= 2**20

    monkeypatch.setattr(SimpleUploadedFile, "__init__", large)
    with pytest.raises(NotAModel, match=f"{words}; the site takes models of up to 5 MB"):
        submit(manager)
    assert kept(storage) == []
    assert not Job.objects.exists()


def test_it_goes_where_the_worker_died_while_the_job_was_being_cancelled(manager: Any, storage: Path) -> None:
    job = model_job(manager)
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    job_cancel(user=manager, job=job)
    assert len(kept(storage)) == 2  # the worker may still be reading it
    job.refresh_from_db()
    job_worker_lost(job=job, note="gone")
    assert kept(storage) == []


def test_it_stays_for_another_try(manager: Any, storage: Path) -> None:
    job = model_job(manager)
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    job_fail(job_id=job.pk, token=claim.token, code="unexpected", message="The disk was full.")
    assert len(kept(storage)) == 2
    job.refresh_from_db()
    assert JobCard(job, manager).may_retry
    assert job_retry(user=manager, job=job).payload == job.payload


def test_a_job_without_an_upload_can_be_tried_again(storage: Path) -> None:
    clinician = factories.person("clinician")
    job = factories.synthesis_request(clinician).jobs.get()
    job_cancel(user=clinician, job=job)
    assert job_retry(user=clinician, job=job).retry_of == job
