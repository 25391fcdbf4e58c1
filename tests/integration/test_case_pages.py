"""Mending and deleting a case as a person does it."""

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from webapp.cases.models import Case
from webapp.core.models import AuditEvent

pytestmark = pytest.mark.django_db

STORED = {
    "age": 58.0,
    "sex": "M",
    "severity": "none",
    "kernel": "30",
    "contrast": True,
    "slice_thickness_mm": 5.0,
    "scanner": "A",
}


@pytest.fixture
def keeper():
    return factories.person("data_manager")


@pytest.fixture
def client(keeper):
    browser = Client()
    browser.force_login(keeper, backend="django.contrib.auth.backends.ModelBackend")
    return browser


@pytest.fixture
def case(keeper, storage):
    made = factories.case(dataset=factories.dataset(owner=keeper), name="Case 7")
    made.attributes = dict(STORED)
    made.save()
    return made


def shown(page):
    """The form as a browser would send it back."""
    form, rows = page.context["form"], page.context["rows"]
    data = {field.html_name: field.value() for one in (form, *rows, rows.management_form) for field in one}
    return {name: value for name, value in data.items() if value is not None}


def edit(case):
    return reverse("cases:case-edit", args=[case.pk])


def test_the_case_page_leads_to_the_form_for_those_who_manage(client, case, keeper):
    assert edit(case) in client.get(reverse("cases:case-detail", args=[case.pk])).content.decode()
    guest = factories.person("clinician")
    case.dataset.shares.create(user=guest, level="annotate")
    client.force_login(guest, backend="django.contrib.auth.backends.ModelBackend")
    assert edit(case) not in client.get(reverse("cases:case-detail", args=[case.pk])).content.decode()


def test_saving_untouched_changes_nothing_not_even_types(client, case):
    answer = client.post(edit(case), shown(client.get(edit(case))))
    assert answer.url == reverse("cases:case-detail", args=[case.pk])
    case.refresh_from_db()
    assert case.attributes == STORED
    assert [type(case.attributes[name]) for name in ("kernel", "contrast")] == [str, bool]
    assert not AuditEvent.objects.filter(action="case.changed").exists()


def test_a_wrong_modality_and_attributes_are_mended(client, case):
    data = shown(client.get(edit(case)))
    data |= {"modality": "MR", "age": "61", "sex": "", "severity": "severe", "steatosis": "2"}
    kernel = next(name for name, value in data.items() if value == "kernel")
    data[kernel.replace("name", "value")] = ""  # no longer stated
    data |= {"more-4-name": "weighting", "more-4-value": "T1", "more-5-name": "echo", "more-5-value": "2.5"}
    assert client.post(edit(case), data).status_code == 302
    case.refresh_from_db()
    assert (case.modality, case.units) == ("MR", "signal")
    assert case.attributes == {
        **{"age": 61, "severity": "severe", "steatosis": 2, "contrast": True, "slice_thickness_mm": 5.0},
        **{"scanner": "A", "weighting": "T1", "echo": 2.5},
    }
    page = client.get(reverse("cases:case-detail", args=[case.pk])).content.decode()
    assert "The case is saved." in page
    assert AuditEvent.objects.get(action="case.changed").detail["before"]["modality"] == "CT"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": " "}, "This field is required"),
        ({"modality": "<b>"}, "Select a valid choice"),
        ({"age": "400"}, "less than or equal to 120"),
        ({"more-4-value": "T1"}, "This value needs a name."),
        ({"more-4-name": "scanner", "more-4-value": "B"}, "“scanner” is there twice."),
        ({"more-4-name": "Age", "more-4-value": "3"}, "“Age” is there twice."),
        ({"more-4-name": "patient name", "more-4-value": "Miller"}, "may tell who the patient is"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_saved(client, case, wrong, said):
    answer = client.post(edit(case), shown(client.get(edit(case))) | wrong)
    assert answer.status_code == 400
    assert said in answer.content.decode()
    case.refresh_from_db()
    assert (case.name, case.modality, case.attributes) == ("Case 7", "CT", STORED)


def test_a_case_is_deleted_from_its_form(client, case, django_capture_on_commit_callbacks, storage):
    assert reverse("cases:case-delete", args=[case.pk]) in client.get(edit(case)).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(reverse("cases:case-delete", args=[case.pk]))
    assert answer.url == reverse("cases:dataset-detail", args=[case.dataset_id])
    assert not Case.objects.exists()
    assert not list((storage / "cases").glob("*/*"))
