"""A model that was trained to change images: installed by a trial change, offered for changes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.factories_edits import CHANGE, edit_request, phantom_case, psnr_undone
from tests.factories_models import TINY, tiny_model
from tests.integration.jobs.test_pages import form
from tests.unit.workers.test_installation import claimed
from webapp.core.errors import ApplicationError
from webapp.jobs.models import SynthesisRequest
from webapp.jobs.services import request_submit
from webapp.registry.models import GenerativeModel
from webapp.registry.selectors import model_list_for
from webapp.registry.services import model_install_submit
from workers.counterfactuals import counterfactual
from workers.installation import install_model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


@pytest.fixture
def model(db: None, storage: Any, tmp_path: Path) -> GenerativeModel:
    """The tiny model with an eye for images, installed through the worker's handler."""
    folder = tiny_model(tmp_path / "tiny", options=replace(TINY, takes_image=True), name="tiny-edit")
    model_install_submit(user=factories.person("data_manager"), path=folder)
    assert install_model(claimed())["offered"]
    return GenerativeModel.objects.get()


@pytest.mark.both
def test_it_is_offered_for_changes_and_not_for_drawing(
    model: GenerativeModel, clinician: Any, client_of: Callable[[Any], Client]
) -> None:
    other = factories.generative_model()
    assert model.changes_images
    assert not other.changes_images
    assert set(model_list_for(user=clinician, offered_only=True)) == {model, other}
    assert list(model_list_for(user=clinician, offered_only=True, drawing_only=True)) == [other]
    browser = client_of(clinician)
    drawing = browser.get(reverse("jobs:synthesise")).content.decode()
    assert str(other.pk) in drawing
    assert str(model.pk) not in drawing
    own, others = (browser.get(one.get_absolute_url()).content.decode() for one in (model, other))
    assert "Synthesise with it" in others
    assert "Synthesise with it" not in own
    assert "draws none from nothing" in own


def test_to_draw_with_it_is_refused_in_plain_words(
    model: GenerativeModel, clinician: Any, client_of: Callable[[Any], Client]
) -> None:
    answer = client_of(clinician).post(reverse("jobs:synthesise"), form(model))
    assert answer.status_code == 422
    with pytest.raises(ApplicationError, match="changes images and draws none"):
        request_submit(user=clinician, model=model, parameters={"condition": {"modality": "CT"}})
    assert not SynthesisRequest.objects.exists()


def test_a_change_is_made_with_it_and_every_seed_has_its_own(model: GenerativeModel, clinician: Any) -> None:
    edit = {"method": "instruct_pix2pix", "steps": 2, "undo": True}
    request = edit_request(
        clinician,
        case=phantom_case(clinician),
        model=model,
        count=2,
        parameters=CHANGE | {"edit": edit},
    )
    counterfactual(claimed())
    first, second = request.results.order_by("index")
    assert first.pixel_sha256 != second.pixel_sha256
    assert first.edited.numbers["undone"]["psnr"] == pytest.approx(psnr_undone(first), abs=1e-6)
    assert first.recipe["options"]["method"] == "instruct_pix2pix"
