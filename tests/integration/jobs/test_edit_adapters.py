"""An adapter laid on the model that makes a counterfactual: asked for, recorded, made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.factories_adapters import tiny_adapter
from tests.factories_edits import edit_request, phantom_case
from tests.factories_models import tiny_model
from webapp.core.errors import ApplicationError
from webapp.jobs.edit_words import edit_asked_rows
from webapp.jobs.models import SynthesisRequest
from webapp.jobs.services import job_claim
from workers.counterfactuals import counterfactual, edited_again
from workers.lease import Work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


def made(request: Any) -> Any:
    """The request's image, made by this process as by a worker."""
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    assert claim.job_id == request.jobs.get().pk
    counterfactual(Work(claim))
    return request.results.get()


def test_an_adapter_changes_the_image_and_is_named(clinician: Any, storage: Path, tmp_path: Path) -> None:
    from webapp.registry.services import model_install
    from webapp.registry.services_adapters import adapter_install

    base = model_install(path=tiny_model(tmp_path / "base"))
    adapter = adapter_install(path=tiny_adapter(tmp_path / "sharp", tmp_path / "base"))
    case = phantom_case(clinician)
    plain = made(edit_request(clinician, case=case, model=base))
    request = edit_request(clinician, case=case, model=base, adapter=adapter)
    assert ("Adapter", str(adapter)) in edit_asked_rows(request)
    with_it = made(request)
    assert with_it.pixel_sha256 != plain.pixel_sha256
    assert "adapter" not in plain.recipe
    assert with_it.recipe["adapter"]["weights_sha256"] == adapter.weights_sha256
    said = with_it.case.instances.get().metadata["0018A001"]["Value"][0]["0018A003"]["Value"][0]
    assert adapter.weights_sha256 in said

    again = job_claim_for(clinician, with_it)
    outcome = edited_again(Work(again), with_it)
    assert (outcome["match"], outcome["differs"]) == (True, [])


def job_claim_for(user: Any, result: Any) -> Any:
    """A claim on the job that makes a result again."""
    from webapp.jobs.services import result_reproduce

    result_reproduce(user=user, result=result)
    return job_claim(queue="compute", worker="test")


def test_an_adapter_of_another_model_is_refused(clinician: Any, storage: Path) -> None:
    with pytest.raises(ApplicationError, match="belongs to another model"):
        edit_request(clinician, adapter=factories.adapter())
    model = factories.generative_model()
    withdrawn = factories.adapter(base=model, is_active=False)
    with pytest.raises(ApplicationError, match="no longer offered"):
        edit_request(clinician, model=model, adapter=withdrawn)
    assert not SynthesisRequest.objects.exists()


def test_the_form_offers_the_adapters_of_the_chosen_model(
    client_of: Any, clinician: Any, storage: Path
) -> None:
    browser: Client = client_of(clinician)
    case, model = phantom_case(clinician), factories.generative_model()
    own, others = factories.adapter(base=model), factories.adapter()
    address = reverse("jobs:counterfactual-new")
    values = {
        **{"case": case.pk, "mask": case.masks.get().pk, "slice_number": 2, "modality": "CT"},
        **{"was_severity": "0", "was_steatosis": 0, "to_severity": "3", "method": "flow_inversion"},
        **{"steps": 2, "drift": 0, "count": 1, "variety": 0.5, "undo": "yes", "where": "belongs"},
        **{"model": model.pk, "scope": "slice"},
    }
    shown = browser.post(reverse("jobs:counterfactual-apply"), values | {"apply": "model:"}).content.decode()
    assert str(own.pk) in shown
    assert str(others.pk) not in shown
    refused = browser.post(address, values | {"adapter": others.pk})
    assert "does not belong to the chosen model" in refused.content.decode()
    browser.post(address, values | {"adapter": own.pk})
    request = SynthesisRequest.objects.get()
    assert request.adapter == own
    assert f'value="{own.pk}" selected' in browser.get(f"{address}?again={request.pk}").content.decode()
    strip = browser.post(reverse("jobs:strip-create"), values | {"adapter": own.pk, "along": "severity"})
    assert strip.status_code == 302
    assert set(SynthesisRequest.objects.values_list("adapter", flat=True)) == {own.pk}
