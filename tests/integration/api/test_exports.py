"""Exports by program: asked for, followed, fetched while kept, and never another's."""

import io
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from tests import factories
from webapp.cases.models import DatasetShare
from webapp.jobs.exports import KEPT
from webapp.jobs.models import Job
from webapp.jobs.services import job_claim
from workers.tasks import perform

pytestmark = [pytest.mark.django_db]


@pytest.fixture
def keeper(storage: Path) -> Any:
    return factories.person("data_manager")


@pytest.fixture
def dataset(keeper: Any) -> Any:
    made = factories.dataset(owner=keeper)
    factories.mask(factories.case(dataset=made, slices=2, name="One"), keeper)
    return made


def address(dataset: Any) -> str:
    return f"/api/v1/datasets/{dataset.pk}/exports/"


def test_asked_for_followed_and_fetched(api_of: Any, keeper: Any, dataset: Any) -> None:
    api = api_of(keeper)
    answer = api.post(address(dataset), {"form": "nifti"}, format="json")
    assert answer.status_code == 202
    told = answer.json()
    assert answer["Location"] == told["job"]
    assert (told["state"], told["form"], told["download"], told["size"]) == ("queued", "nifti", None, None)
    assert api.get(told["url"] + "download/").status_code == 404
    claim = job_claim(queue="records", worker="w")
    assert claim is not None
    perform(claim)
    found = api.get(told["url"]).json()
    assert (found["state"], found["cases"], found["masks"], found["left_out"]) == ("succeeded", 1, 1, 0)
    assert found["dataset"].endswith(f"/api/v1/datasets/{dataset.pk}/")
    assert api.get(address(dataset)).json()["results"] == [found]
    fetched = api.get(found["download"], headers={"accept": "application/zip"})
    content = b"".join(fetched.streaming_content)
    assert fetched["Content-Type"] == "application/zip"
    assert len(content) == found["size"]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert any(name.endswith(".nii.gz") for name in archive.namelist())
    Job.objects.filter(pk=found["id"]).update(finished_at=timezone.now() - KEPT - timedelta(minutes=1))
    assert api.get(found["url"]).json()["download"] is None
    assert api.get(found["download"]).status_code == 404


def test_what_cannot_be_exported_is_refused_in_a_sentence(api_of: Any, keeper: Any, dataset: Any) -> None:
    api = api_of(keeper)
    assert api.post(address(dataset), {"form": "jpeg"}, format="json").json()["errors"][0]["field"] == "form"
    empty = api.post(address(factories.dataset(owner=keeper)), {}, format="json")
    assert empty.status_code == 400
    assert "no cases" in empty.json()["detail"]
    assert not Job.objects.exists()


def test_whoever_lost_the_right_sees_neither_export_nor_archive(api_of: Any, dataset: Any) -> None:
    other = factories.person("data_manager")
    share = DatasetShare.objects.create(dataset=dataset, user=other, level="manage")
    api = api_of(other)
    told = api.post(address(dataset), {}, format="json").json()
    DatasetShare.objects.filter(pk=share.pk).update(level="view")
    assert [api.get(told["url"] + rest).status_code for rest in ("", "download/")] == [403, 403]
    share.delete()
    assert [api.get(told["url"] + rest).status_code for rest in ("", "download/")] == [404, 404]
    assert api.get(address(dataset)).status_code == 404


def test_a_job_of_another_kind_is_no_export(api_of: Any, storage: Path) -> None:
    researcher = factories.person("researcher")
    job = factories.synthesis_request(researcher).jobs.get()
    assert api_of(researcher).get(f"/api/v1/exports/{job.pk}/").status_code == 404
