"""Where a change may act, as the form offers it: a structure, what was painted, or where it belongs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from synthesis.phantoms import labels as L
from tests.factories_edits import edit_form, edit_request
from webapp.cases.selectors import mask_array
from webapp.cases.services_masks import mask_save
from webapp.jobs.edit_words import change_terms
from webapp.jobs.edits import edit_wish, region_of
from webapp.jobs.models import SynthesisRequest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


def other_mask(case: Any, person: Any) -> Any:
    """The case's mask with 40 pixels of the liver in the middle slice painted over."""
    mask = case.masks.earliest("created_at")
    pixels = mask_array(mask).copy()
    rows, columns = np.nonzero(pixels[1] == L.LIVER)
    pixels[1, rows[:40], columns[:40]] = L.SPLEEN
    return mask_save(
        user=person, case=case, name="Painted", array=pixels, labels=mask.labels, origin="painted"
    )


def test_the_form_offers_the_places_by_their_plain_names(browser: Client, case: Any, model: Any) -> None:
    form = browser.get(reverse("jobs:counterfactual-new"), {"case": case.pk}).context["form"]
    first, second, third, (group, structures) = form.fields["where"].choices
    assert [one[0] for one in (first, second, third)] == ["belongs", "everywhere", "painted"]
    assert str(group) == "In one structure"
    assert ("spleen", "Spleen") in structures
    assert "air" not in dict(structures)
    assert form["where"].value() == "belongs"
    assert "where" in [field.name for field in form.more]


def test_a_change_is_kept_within_a_structure(browser: Client, case: Any, model: Any) -> None:
    sent = edit_form(case, model, where="spleen")
    page = browser.post(reverse("jobs:counterfactual-check"), sent)
    assert "tinted where the change may act" in page.content.decode()
    prepared = page.context["prepared"]
    assert np.array_equal(prepared.region, prepared.labels == L.SPLEEN)
    assert prepared.region.any()
    answer = browser.post(reverse("jobs:counterfactual-new"), sent)
    item = SynthesisRequest.objects.get()
    assert item.parameters["edit"]["where"] == "spleen"
    assert np.array_equal(region_of(item), prepared.region)
    assert "only in one structure: spleen" in browser.get(answer["Location"]).content.decode()
    again = browser.get(reverse("jobs:counterfactual-new"), {"again": item.pk}).context["form"]
    assert again["where"].value() == "spleen"


def test_a_change_is_kept_within_what_was_painted(
    browser: Client, case: Any, model: Any, clinician: Any
) -> None:
    other = other_mask(case, clinician)
    sent = edit_form(case, model, mask_after=other.pk, where="painted")
    prepared = browser.post(reverse("jobs:counterfactual-check"), sent).context["prepared"]
    assert prepared.region.sum() == 40
    assert browser.post(reverse("jobs:counterfactual-new"), sent).status_code == 302
    item = SynthesisRequest.objects.get()
    assert np.array_equal(region_of(item), prepared.region)
    assert np.array_equal(edit_wish(item).target_labels, prepared.labels)
    assert "another mask" not in change_terms(item)
    nothing = edit_form(case, model, mask_after=other.pk, where="painted", to_severity="")
    said = browser.post(reverse("jobs:counterfactual-check"), nothing).content.decode()
    assert "Nothing is to change" in said


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"where": "painted"}, "Nothing is painted in this slice"),
        ({"where": "spleen", "method": "guided"}, "looks at the liver"),
        ({"where": "heart"}, "No mask of this case has that structure"),
    ],
)
def test_a_place_that_is_not_there_is_refused_in_words(
    browser: Client, case: Any, model: Any, changed: dict[str, Any], words: str
) -> None:
    sent = edit_form(case, model, **changed)
    assert words in browser.post(reverse("jobs:counterfactual-check"), sent).content.decode()
    assert browser.post(reverse("jobs:counterfactual-new"), sent).status_code == 422


def test_what_was_asked_everywhere_before_opens_as_everywhere(
    browser: Client, clinician: Any, case: Any, model: Any
) -> None:
    item = edit_request(clinician, case=case, model=model)
    options = {key: value for key, value in item.parameters["edit"].items() if key != "where"}
    item.parameters = {**item.parameters, "edit": {**options, "confined": False}}
    item.save()
    form = browser.get(reverse("jobs:counterfactual-new"), {"again": item.pk}).context["form"]
    assert form["where"].value() == "everywhere"
