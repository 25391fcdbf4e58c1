"""Exporting a dataset from its page: handed in, done by a worker, fetched by whoever may."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests import factories
from tests.integration.jobs.conftest import Probes, Workers
from webapp.cases.services import dataset_delete, dataset_export_start
from webapp.core.models import AuditEvent
from webapp.jobs.exports import KEPT, exports_expire, exports_tidy
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel, job_claim
from workers.tasks import perform

pytestmark = pytest.mark.django_db


@pytest.fixture
def keeper(db: None) -> Any:
    return factories.person("data_manager")


@pytest.fixture
def dataset(keeper: Any, storage: Path) -> Any:
    made = factories.dataset(owner=keeper)
    case = factories.case(dataset=made, slices=2, name="One")
    factories.mask(case, keeper)
    factories.case(dataset=made, name="Two")
    return made


@pytest.fixture
def browser(keeper: Any, client_of: Callable[[Any], Client]) -> Client:
    return client_of(keeper)


def page(dataset: Any) -> str:
    return reverse("jobs:dataset-export", args=[dataset.pk])


def file_of(job: Job) -> str:
    return reverse("jobs:job-file", args=[job.pk])


def done(job: Job) -> Job:
    """The job after a worker in this process has claimed and performed it."""
    claim = job_claim(queue="records", worker="w")
    assert claim is not None
    assert claim.job_id == job.pk
    perform(claim)
    job.refresh_from_db()
    return job


def exported(keeper: Any, dataset: Any, form: str = "nifti") -> Job:
    return done(dataset_export_start(user=keeper, dataset=dataset, form=form))


def test_the_page_hands_in_and_the_archive_is_fetched(browser: Client, keeper: Any, dataset: Any) -> None:
    assert page(dataset) in browser.get(dataset_page(dataset)).content.decode()
    answer = browser.post(page(dataset), {"form": "dicom"})
    job = Job.objects.get(kind="export")
    assert answer.url == reverse("jobs:job-detail", args=[job.pk])
    assert file_of(job) not in browser.get(answer.url).content.decode()
    assert browser.get(file_of(job)).status_code == 404
    assert done(job).state == "succeeded"
    assert (job.steps_total, job.outcome["cases"], job.outcome["masks"]) == (2, 2, 1)
    for shown in (answer.url, page(dataset), reverse("jobs:job-list")):
        assert file_of(job) in browser.get(shown).content.decode()
    assert "2 cases, 1 mask" in browser.get(answer.url).content.decode()
    fetched = browser.get(file_of(job))
    assert fetched["Content-Type"] == "application/zip"
    assert f'filename="{dataset.slug}-dicom.zip"' in fetched["Content-Disposition"]
    names = zipfile.ZipFile(io.BytesIO(b"".join(fetched.streaming_content))).namelist()
    root = f"{dataset.slug}-v{dataset.version}"
    assert {f"{root}/cases.csv", f"{root}/masks.csv", f"{root}/dataset.json"} <= set(names)
    assert sum(name.endswith(".dcm") for name in names) == 2 + 1 + 1  # three slices, one mask as SEG
    actions = set(AuditEvent.objects.filter(object_id=str(dataset.pk)).values_list("action", flat=True))
    assert {"dataset.export_asked", "dataset.exported", "dataset.downloaded"} <= actions


def dataset_page(dataset: Any) -> str:
    return reverse("cases:dataset-detail", args=[dataset.pk])


def test_the_zip_is_the_folder(keeper: Any, dataset: Any, tmp_path: Path) -> None:
    from webapp.cases.services import dataset_export

    job = exported(keeper, dataset)
    dataset_export(user=keeper, dataset=dataset, folder=tmp_path / "out", form="nifti")
    folder = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    with default_storage.open(job.outcome["file"]) as file, zipfile.ZipFile(file) as archive:
        zipped = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert zipped == folder


def test_nonsense_and_an_empty_dataset_are_refused(browser: Client, keeper: Any, dataset: Any) -> None:
    assert browser.post(page(dataset), {"form": "tar"}).status_code == 400
    empty = factories.dataset(owner=keeper)
    answer = browser.post(page(empty), {"form": "nifti"})
    assert answer.status_code == 400
    assert "no cases" in answer.content.decode()
    assert not Job.objects.exists()


def test_who_loses_the_right_loses_the_archive(
    keeper: Any, dataset: Any, client_of: Callable[[Any], Client]
) -> None:
    guest = factories.person("data_manager")
    share = dataset.shares.create(user=guest, level="manage")
    job = exported(guest, dataset)
    assert client_of(guest).get(file_of(job)).status_code == 200
    assert client_of(keeper).get(file_of(job)).status_code == 404  # another's job
    share.level = "view"
    share.save()
    assert client_of(guest).get(file_of(job)).status_code == 403
    assert client_of(guest).get(page(dataset)).status_code == 403
    share.delete()
    assert client_of(guest).get(file_of(job)).status_code == 404
    assert client_of(factories.person("administrator")).get(file_of(job)).status_code == 404


def test_a_right_lost_before_the_work_begins_fails_the_job_in_words(dataset: Any) -> None:
    guest = factories.person("data_manager")
    share = dataset.shares.create(user=guest, level="manage")
    job = dataset_export_start(user=guest, dataset=dataset, form="nifti")
    share.delete()
    assert done(job).state == "failed"
    assert "no longer export" in job.error_message


def test_a_patient_in_two_splits_fails_the_job_in_words(keeper: Any, dataset: Any) -> None:
    for case, split in zip(dataset.cases.all(), ("train", "test")):
        case.patient, case.attributes = "P-1", {"split": split}
        case.save()
    job = exported(keeper, dataset)
    assert job.state == "failed"
    assert "several splits" in job.error_message
    assert not archives(dataset)


def archives(dataset: Any) -> list[str]:
    folder = Path(default_storage.path(f"exports/{dataset.pk}"))
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def test_cancelled_at_any_step_nothing_is_left(keeper: Any, dataset: Any, monkeypatch: Any) -> None:
    from workers.lease import Work

    for stop_at in (0, 1, 2):
        job = dataset_export_start(user=keeper, dataset=dataset, form="nifti")
        seen = iter(range(10))
        step = Work.step

        def obey(self: Any, *args: Any, **options: Any) -> None:
            if next(seen) == stop_at:  # noqa: B023
                job_cancel(user=keeper, job=Job.objects.get(pk=self.job_id))
            step(self, *args, **options)  # noqa: B023

        monkeypatch.setattr(Work, "step", obey)
        assert done(job).state == "cancelled"
        monkeypatch.setattr(Work, "step", step)
    assert archives(dataset) == []


def test_cancelled_after_the_archive_is_written_it_goes_again(
    keeper: Any, dataset: Any, monkeypatch: Any
) -> None:
    from workers import records

    write = records.dataset_export_execute

    def then_cancel(**options: Any) -> Any:
        outcome = write(**options)
        job_cancel(user=keeper, job=Job.objects.get(kind="export"))
        return outcome

    monkeypatch.setattr(records, "dataset_export_execute", then_cancel)
    assert exported(keeper, dataset).state == "cancelled"
    assert archives(dataset) == []


def test_archives_are_deleted_after_their_time_and_with_their_dataset(
    browser: Client, keeper: Any, dataset: Any, django_capture_on_commit_callbacks: Any
) -> None:
    old, new = exported(keeper, dataset), exported(keeper, dataset)
    Job.objects.filter(pk=old.pk).update(finished_at=timezone.now() - KEPT - timedelta(minutes=1))
    assert browser.get(file_of(old)).status_code == 404
    assert exports_expire() == 1
    assert exports_expire() == 0
    assert archives(dataset) == [Path(new.outcome["file"]).name]
    assert "no longer kept" in browser.get(reverse("jobs:job-detail", args=[old.pk])).content.decode()
    assert browser.get(file_of(new)).status_code == 200
    with django_capture_on_commit_callbacks(execute=True):
        dataset_delete(user=keeper, dataset=dataset)
    assert archives(dataset) == []
    assert browser.get(file_of(new)).status_code == 404


def test_what_a_killed_worker_left_is_removed_by_the_next_export(keeper: Any, dataset: Any) -> None:
    kept = exported(keeper, dataset)
    default_storage.save(f"exports/{dataset.pk}/lost.zip", ContentFile(b"half"))
    assert exports_tidy(dataset_id=dataset.pk) == 1
    assert archives(dataset) == [Path(kept.outcome["file"]).name]


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
@pytest.mark.both
def test_a_real_worker_exports(workers: Workers, probes: Probes) -> None:
    keeper = factories.person("data_manager")
    made = factories.dataset(owner=keeper)
    factories.case(dataset=made, slices=2)
    job = dataset_export_start(user=keeper, dataset=made, form="dicom")
    workers.start("records")
    assert probes.wait(job, "succeeded", "failed").state == "succeeded", workers.logs()
    with default_storage.open(job.outcome["file"]) as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
    default_storage.delete(job.outcome["file"])
