"""Django admin: every model of ours is there, read-only or audited, and every page of it opens."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from tests import factories
from webapp.core.admin import AuditedAdmin, ReadOnlyAdmin
from webapp.core.models import AuditEvent

pytestmark = pytest.mark.django_db

OURS = ("core", "accounts", "cases", "registry", "jobs")
# Shown inside another record, or bookkeeping of the queue that says nothing to a person.
ELSEWHERE = {"jobs.JobEvent", "jobs.QueueTurn", "jobs.QueueShare"}
# What happened stays as it happened.
READ_ONLY = {
    "core.AuditEvent",
    "jobs.Job",
    "jobs.Result",
    "jobs.SynthesisRequest",
    "jobs.Edit",
    "jobs.Edited",
    "jobs.Uncertainty",
    "cases.Case",
    "cases.Mask",
}


def ours() -> list[Any]:
    return [model for label in OURS for model in apps.get_app_config(label).get_models()]


def test_every_model_is_in_the_records() -> None:
    missing = {model._meta.label for model in ours() if model not in admin.site._registry}
    assert missing <= ELSEWHERE


def test_every_page_is_read_only_or_audited() -> None:
    pages = [admin.site._registry[model] for model in ours() if model in admin.site._registry]
    loose = [str(page) for page in pages if not isinstance(page, ReadOnlyAdmin | AuditedAdmin)]
    assert loose == []


def test_what_happened_cannot_be_changed_there() -> None:
    for model in ours():
        if model._meta.label in READ_ONLY:
            assert isinstance(admin.site._registry[model], ReadOnlyAdmin), model


def test_every_page_opens_and_read_only_ones_offer_nothing(client_of: Any, storage: Any) -> None:
    administrator = factories.person("administrator")
    clinician = factories.person("clinician")
    factories.result(clinician)
    factories.case(dataset=factories.dataset(shares={clinician: "view"}))
    browser = client_of(administrator)
    for model in ours():
        if model not in admin.site._registry:
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert browser.get(reverse(f"{name}_changelist")).status_code == 200, model
        row = model._base_manager.first()
        if row is not None:
            assert browser.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200, model
        if isinstance(admin.site._registry[model], ReadOnlyAdmin):
            assert browser.post(reverse(f"{name}_add")).status_code == 403, model
            if row is not None:
                assert browser.post(reverse(f"{name}_delete", args=[row.pk])).status_code == 403, model


def test_a_share_given_there_is_in_the_audit_trail(client_of: Any) -> None:
    clinician = factories.person("clinician", username="jonas")
    dataset = factories.dataset(name="Liver")
    response = client_of(factories.person("administrator")).post(
        reverse("admin:cases_dataset_change", args=[dataset.pk]),
        {
            "name": "Liver",
            "description": "",
            "licence": "CC0",
            "purpose": "",
            "owner": str(dataset.owner_id),
            "shares-TOTAL_FORMS": "1",
            "shares-INITIAL_FORMS": "0",
            "shares-0-user": str(clinician.pk),
            "shares-0-level": "view",
        },
    )
    assert response.status_code == 302, response.context["errors"]
    event = AuditEvent.objects.get(action="record.changed")
    assert event.object_label == "Liver"
    assert "jonas" in event.detail["parts"]
