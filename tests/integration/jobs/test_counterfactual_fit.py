"""What the form says of images and masks: kinds that no model knows, no mask, a lesion more or less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from tests.factories_edits import edit_form, edited_result
from webapp.cases.models import DatasetShare, Mask
from webapp.jobs.edit_maps import difference, difference_top, round_top
from webapp.jobs.edit_preparation import unfit_words
from webapp.jobs.edit_words import change_terms, change_title
from webapp.jobs.models import SynthesisRequest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


def test_an_x_ray_is_refused_before_anybody_paints_in_it(browser: Client, case: Any, model: Any) -> None:
    case.modality = "DX"
    case.save()
    page = browser.get(reverse("jobs:counterfactual-new"), {"case": case.pk}).content.decode()
    assert "This is an X-ray, and the models here know only sections, by CT and MR" in page
    assert 'id="request-form"' not in page
    said = browser.post(reverse("jobs:counterfactual-check"), edit_form(case, model, modality="T1"))
    assert "so it cannot be changed" in said.content.decode()
    refused = browser.post(reverse("jobs:counterfactual-new"), edit_form(case, model, modality="T1"))
    assert refused.status_code == 422
    assert not SynthesisRequest.objects.exists()


def test_a_model_that_is_told_in_words_may_know_any_kind_of_image(case: Any) -> None:
    case.modality = "DX"
    assert unfit_words(case, [{"label_set": []}])
    assert unfit_words(case, [{"label_set": []}, {"prompts": {"style": "plain"}}]) == ""
    for known in ("CT", "MR", "OT"):
        case.modality = known
        assert unfit_words(case, [{}]) == ""


@pytest.mark.parametrize(
    ("level", "words"), [("view", "but not paint in it"), ("annotate", "Open it and paint one")]
)
def test_without_a_mask_only_those_who_may_paint_are_sent_to_paint(
    browser: Client, clinician: Any, case: Any, model: Any, level: str, words: str
) -> None:
    Mask.objects.filter(case=case).delete()
    DatasetShare.objects.filter(user=clinician).delete()
    DatasetShare.objects.create(dataset=case.dataset, user=clinician, level=level)
    page = browser.get(reverse("jobs:counterfactual-new"), {"case": case.pk}).content.decode()
    assert words in page
    assert ("Open it and paint one" in page) == (level == "annotate")
    assert "axial slices of the abdomen" in page


def test_a_lesion_is_named_in_title_and_header(clinician: Any) -> None:
    item = edited_result(clinician).request
    item.prepared |= {"mask_after": "another", "lesion": "added"}
    assert change_title(item).endswith(", a lesion added, CT")
    assert change_terms(item).endswith(", lesion added")
    item.parameters["before"] = item.parameters["condition"]
    assert change_title(item) == "A lesion added, CT"
    item.prepared["lesion"] = ""
    assert change_title(item) == "Another mask, CT"


def test_the_colours_reach_to_what_a_small_place_changed_by(
    clinician: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three pixels of 16,384 are less than what the scale of the whole image leaves out."""
    result = edited_result(clinician)
    apart = np.random.default_rng(0).integers(-4, 5, difference(result).shape).astype(np.int16)
    region = np.zeros(apart.shape, bool)
    region[0, 3, 3:6] = True
    apart[region] = 40
    monkeypatch.setattr("webapp.jobs.edit_maps.difference_slices", lambda _result, undone: iter(apart))
    monkeypatch.setattr("webapp.jobs.edit_maps.asked_region", lambda _request: region)
    assert round_top(apart) == 5
    assert difference_top(result) == 50
