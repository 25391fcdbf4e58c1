"""Dataset and import pages as a person meets them."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests import factories
from webapp.cases.models import Case, Dataset, DatasetShare, ImportRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def keeper():
    return factories.person("data_manager")


@pytest.fixture
def client(keeper):
    browser = Client()
    browser.force_login(keeper, backend="django.contrib.auth.backends.ModelBackend")
    return browser


def test_a_dataset_is_made_shown_and_edited(client, keeper):
    assert b"No datasets yet" in client.get(reverse("cases:dataset-list")).content
    made = client.post(reverse("cases:dataset-create"), {"name": "Livers <b>", "licence": "CC0"})
    dataset = Dataset.objects.get()
    assert made.url == reverse("cases:import-new", args=[dataset.pk])
    page = client.get(reverse("cases:dataset-detail", args=[dataset.pk])).content.decode()
    assert "Livers &lt;b&gt;" in page
    assert "No cases yet" in page
    client.post(reverse("cases:dataset-edit", args=[dataset.pk]), {"name": "Livers", "purpose": "teaching"})
    dataset.refresh_from_db()
    assert (dataset.name, dataset.purpose) == ("Livers", "teaching")


def test_a_name_that_is_taken_is_said_beside_the_field(client, keeper):
    factories.dataset(owner=keeper, name="Livers")
    answer = client.post(reverse("cases:dataset-create"), {"name": "livers"})
    assert answer.status_code == 400
    assert "Another dataset already has this name" in answer.content.decode()


def test_sharing_gives_changes_and_ends_access(client, keeper):
    dataset = factories.dataset(owner=keeper)
    reader = factories.person("clinician")
    address = reverse("cases:dataset-share", args=[dataset.pk])
    client.post(address, {"person": reader.username, "level": "view"})
    client.post(address, {"person": reader.username, "level": "annotate"})
    assert list(DatasetShare.objects.values_list("user", "level")) == [(reader.pk, "annotate")]
    assert reader.username in client.get(reverse("cases:dataset-detail", args=[dataset.pk])).content.decode()
    client.post(address, {"person": reader.username, "level": ""})
    assert not DatasetShare.objects.exists()


def test_sharing_with_nobody_says_so(client, keeper):
    dataset = factories.dataset(owner=keeper)
    answer = client.post(
        reverse("cases:dataset-share", args=[dataset.pk]), {"person": "nobody", "level": "view"}
    )
    assert answer.status_code == 400
    assert "Nobody signs in as “nobody”" in answer.content.decode()


def test_deleting_takes_the_name(client, keeper):
    dataset = factories.dataset(owner=keeper, name="Livers")
    address = reverse("cases:dataset-delete", args=[dataset.pk])
    assert client.post(address, {"name": "Lungs"}).status_code == 400
    assert Dataset.objects.exists()
    assert client.post(address, {"name": "Livers"}).status_code == 302
    assert not Dataset.objects.exists()


def test_the_filter_narrows_the_cases(client, keeper):
    dataset = factories.dataset(owner=keeper)
    case = factories.case(dataset=dataset, name="Alpha")
    address = reverse("cases:dataset-detail", args=[dataset.pk])
    assert "Alpha" in client.get(address + "?search=alph").content.decode()
    assert "No case is like that" in client.get(address + "?masked=yes").content.decode()
    answer = client.post(reverse("cases:case-delete", args=[case.pk]))
    assert answer.url == address
    assert not Case.objects.exists()


def test_an_upload_keeps_the_paths_of_its_folder(client, keeper):
    dataset = factories.dataset(owner=keeper)
    files = [SimpleUploadedFile("a.dcm", b"x"), SimpleUploadedFile("a.dcm", b"y")]
    answer = client.post(
        reverse("cases:import-new", args=[dataset.pk]),
        {"files": files, "paths": json.dumps(["scan/one/a.dcm", "scan/two/a.dcm"])},
        headers={"Accept": "application/json"},
    )
    run = ImportRun.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {"location": reverse("cases:import-detail", args=[run.pk])}
    assert (run.source_name, run.total) == ("scan", 2)
    page = client.get(reverse("cases:import-detail", args=[run.pk])).content.decode()
    assert "Waiting for the worker" in page


def test_an_upload_without_files_is_refused_in_a_sentence(client, keeper):
    dataset = factories.dataset(owner=keeper)
    address = reverse("cases:import-new", args=[dataset.pk])
    plain = client.post(address, {})
    assert plain.status_code == 400
    assert "Choose at least one file" in plain.content.decode()
    scripted = client.post(address, {}, headers={"Accept": "application/json"})
    assert scripted.json() == {"detail": "Choose at least one file."}
    assert not ImportRun.objects.exists()


def test_a_finished_report_ends_the_polling(client, keeper):
    dataset = factories.dataset(owner=keeper)
    run = ImportRun.objects.create(
        dataset=dataset, owner=keeper, source_name="x", state="finished", refused=1
    )
    run.entries.create(path="bad.dcm", outcome="refused", reason="<b>It is cut off.</b>")
    answer = client.get(reverse("cases:import-fragment", args=[run.pk]))
    assert answer.status_code == 286
    page = answer.content.decode()
    assert "1 file was refused" in page
    assert "&lt;b&gt;It is cut off.&lt;/b&gt;" in page


def test_those_who_only_look_get_no_forms(keeper):
    dataset = factories.dataset(owner=keeper)
    viewer = factories.person("clinician")
    DatasetShare.objects.create(dataset=dataset, user=viewer, level="view")
    browser = Client()
    browser.force_login(viewer, backend="django.contrib.auth.backends.ModelBackend")
    page = browser.get(reverse("cases:dataset-detail", args=[dataset.pk])).content.decode()
    assert reverse("cases:dataset-share", args=[dataset.pk]) not in page
    assert browser.get(reverse("cases:import-new", args=[dataset.pk])).status_code == 403
    stranger = Client()
    stranger.force_login(factories.person("clinician"), backend="django.contrib.auth.backends.ModelBackend")
    assert stranger.get(reverse("cases:dataset-detail", args=[dataset.pk])).status_code == 404
