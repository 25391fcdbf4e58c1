"""The gallery of results: its order, and two results compared."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from webapp.jobs.models import Result

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


def compare(*results: Any) -> str:
    return reverse("jobs:result-compare", args=[result.pk for result in results])


def test_the_newest_request_comes_first_and_within_it_image_1(browser: Client, clinician: Any) -> None:
    requests = [factories.synthesis_request(clinician, count=3) for _ in range(2)]
    made = {
        (place, index): factories.result(clinician, request=request, index=index)
        for place, request in enumerate(requests)
        for index in (0, 2, 1)  # whatever the order in which they were kept
    }
    page = browser.get(reverse("jobs:result-list"))
    shown = [result.pk for result in page.context["page_obj"].object_list]
    assert shown == [made[place, index].pk for place in (1, 0) for index in (0, 1, 2)]


def test_two_results_are_chosen_one_after_the_other_and_filters_stay(browser: Client, clinician: Any) -> None:
    first, second = factories.result(clinician), factories.result(clinician)
    gallery = reverse("jobs:result-list")
    plain = browser.get(gallery, {"modality": "CT"}).content.decode()
    assert f"?modality=CT&amp;compare={first.pk}" in plain
    assert compare(first, second) not in plain
    choosing = browser.get(gallery, {"modality": "CT", "compare": first.pk}).content.decode()
    assert "Choose the result to compare with" in choosing
    assert compare(first, second) in choosing
    assert compare(first, first) not in choosing
    assert f'name="compare" value="{first.pk}"' in choosing
    alone = browser.get(gallery, {"compare": first.pk})
    assert not alone.context["is_narrowed"]


def test_the_page_shows_both_images_and_only_what_differs(browser: Client, clinician: Any) -> None:
    model = factories.generative_model()
    quality = {
        "unit": "HU",
        "organs": [{"name": "liver", "mean": 61.0, "expected": [40, 80], "within": True}],
    }
    condition = {"modality": "CT", "severity": "mild", "age": 61}
    request = factories.synthesis_request(
        clinician, model=model, seed=7, parameters={"phantom_seed": 1, "condition": condition}
    )
    other = factories.synthesis_request(
        clinician,
        model=model,
        seed=8,
        parameters={"phantom_seed": 1, "condition": {**condition, "severity": "severe", "sex": "F"}},
    )
    first = factories.result(clinician, request=request, quality=quality)
    second = factories.result(clinician, request=other, decision="")
    page = browser.get(compare(first, second))
    assert [pane["case"]["id"] for pane in page.context["config"]["panes"]] == [
        str(first.case_id),
        str(second.case_id),
    ]
    compared = page.context["compared"]
    assert compared.differing == [
        ("Cirrhosis", "Mild cirrhosis", "Severe cirrhosis"),
        ("Sex", "Not stated", "Female"),
        ("Seed", "7", "8"),
    ]
    assert ("Age", "61 years") in compared.same
    assert compared.measured == [("Organ intensities", [("Liver", "61 HU", "–")])]
    assert not compared.same_pixels
    words = page.content.decode()
    assert "Their pixels differ." in words
    assert "Severe cirrhosis" in words


def test_the_same_settings_and_pixels_are_said_to_be_the_same(browser: Client, clinician: Any) -> None:
    request = factories.synthesis_request(clinician, count=2)
    both = [factories.result(clinician, request=request, index=index) for index in (0, 1)]
    Result.objects.update(pixel_sha256="a" * 64)
    words = browser.get(compare(*both)).content.decode()
    assert "Both were made with the same settings." in words
    assert "Their pixels are identical." in words


def test_each_of_the_two_must_be_ones_own(browser: Client, clinician: Any) -> None:
    mine, theirs = factories.result(clinician), factories.result(factories.person("clinician"))
    for pair in ((mine, theirs), (theirs, mine), (theirs, theirs)):
        assert browser.get(compare(*pair)).status_code == 404
    gallery = reverse("jobs:result-list")
    for unknown in (theirs.pk, uuid4(), "nonsense"):
        assert browser.get(gallery, {"compare": unknown}).status_code == 404
    assert browser.get(compare(mine, mine)).status_code == 302
