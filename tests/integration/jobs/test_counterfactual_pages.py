"""The pages of counterfactuals: the form and its check, the workspace and its pictures, strips."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.factories_edits import CHANGE, edit_form, edit_request, edited_result
from tests.integration.jobs.test_memory import RECIPE, worker
from webapp.cases.models import Case, DatasetShare
from webapp.cases.selectors import case_slice
from webapp.jobs.edit_maps import spread, spread_of
from webapp.jobs.edits import region_of
from webapp.jobs.models import EditStrip, Job, Quota, SynthesisRequest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


def test_the_form_opens_with_what_is_known_of_the_case(browser: Client, case: Any, model: Any) -> None:
    page = browser.get(reverse("jobs:counterfactual-new"), {"case": case.pk, "slice": 1})
    form = page.context["form"]
    assert form["was_severity"].value() == "0"
    assert (form["was_age"].value(), form["was_sex"].value()) == (58.0, "M")
    assert form["to_severity"].value() == "3"
    assert form["slice_number"].value() == 2
    text = page.content.decode()
    assert "no evidence about the patient" in text
    assert text.count("field__hint") >= len(form.now + form.then + form.more)


def test_without_a_case_one_is_chosen(browser: Client, case: Any, model: Any) -> None:
    page = browser.get(reverse("jobs:counterfactual-new"))
    assert case.name in page.content.decode()
    assert browser.get(reverse("jobs:counterfactual-list")).status_code == 200


def test_handing_the_form_in_leads_to_the_workspace(browser: Client, case: Any, model: Any) -> None:
    sent = edit_form(case, model, to_severity="2.5", to_steatosis="2", to_age="80", to_sex="F")
    answer = browser.post(reverse("jobs:counterfactual-new"), sent)
    item = SynthesisRequest.objects.get()
    assert answer["Location"] == reverse("jobs:counterfactual-detail", args=[item.pk])
    after = item.parameters["condition"]
    assert after["severity_level"] == 2.5
    assert (after["steatosis"], after["age"], after["sex"]) == (2, 80.0, "F")
    assert item.parameters["before"]["age"] == 58.0
    assert item.parameters["edit"]["undo"] is True
    page = browser.get(answer["Location"]).content.decode()
    assert "Waiting" in page
    assert "edit-cancel" in page


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"to_severity": ""}, "Nothing is to change"),
        ({"count": "2", "variety": "0"}, "every seed makes the same image"),
        ({"strength": "3"}, "Choose a number from 0 to 1; 3 is outside."),
        ({"slice_number": "9"}, "The case has slices 1 to 3; 9 is none of them."),
        ({"method": "guided", "to_severity": "", "to_age": "70"}, "follows the severity reader"),
    ],
)
def test_the_check_says_what_cannot_be_done(
    browser: Client, case: Any, model: Any, changed: dict[str, Any], words: str
) -> None:
    sent = edit_form(case, model, **changed)
    assert words in browser.post(reverse("jobs:counterfactual-check"), sent).content.decode()
    answer = browser.post(reverse("jobs:counterfactual-new"), sent)
    assert answer.status_code == 422
    assert not SynthesisRequest.objects.exists()


@pytest.mark.parametrize(
    ("name", "sent", "near"), [("steps", "500", "64"), ("drift", "-9.5", "-5"), ("slice_number", "0", "1")]
)
def test_the_nearest_number_is_put_in_with_one_click(
    browser: Client, case: Any, model: Any, name: str, sent: str, near: str
) -> None:
    values = edit_form(case, model, **{name: sent})
    page = browser.post(reverse("jobs:counterfactual-check"), values).content.decode()
    assert f'value="{name}:{near}"' in page
    assert f"Use {near}" in page
    form = browser.post(reverse("jobs:counterfactual-apply"), values | {"apply": f"{name}:{near}"})
    assert form.context["form"][name].value() == near
    assert browser.post(reverse("jobs:counterfactual-new"), values | {name: near}).status_code == 302


def test_what_is_no_number_has_no_nearest_one(browser: Client, case: Any, model: Any) -> None:
    for sent in ("nan", "many", "1e999"):
        values = edit_form(case, model, drift=sent)
        page = browser.post(reverse("jobs:counterfactual-check"), values).content.decode()
        assert "Enter a number" in page
        assert 'value="drift:' not in page


def test_the_check_says_that_no_device_could_hold_the_model(browser: Client, case: Any, model: Any) -> None:
    model.recipe = {name: RECIPE[name] for name in ("components", "backbone")} | model.recipe
    model.save(update_fields=["recipe"])
    worker("cpu", 100_000_000)
    page = browser.post(reverse("jobs:counterfactual-check"), edit_form(case, model)).content.decode()
    assert "has 90 MB for it" in page


def test_the_check_shows_where_the_change_belongs(browser: Client, case: Any, model: Any) -> None:
    page = browser.post(reverse("jobs:counterfactual-check"), edit_form(case, model)).content.decode()
    assert "tinted where the change belongs" in page
    assert "data:image/png" in page
    assert "No cirrhosis → Severe cirrhosis" in page


def test_another_method_brings_its_own_settings(browser: Client, case: Any, model: Any) -> None:
    sent = edit_form(case, model, method="guided", apply="method:")
    page = browser.post(reverse("jobs:counterfactual-apply"), sent, headers={"HX-Request": "true"})
    assert "id_reach" in page.content.decode()
    assert "id_strength" not in page.content.decode()


def test_the_workspace_shows_three_images_and_numbers(browser: Client, clinician: Any, case: Any) -> None:
    result = edited_result(clinician, request=edit_request(clinician, case=case))
    address = reverse("jobs:counterfactual-detail", args=[result.request_id])
    page = browser.get(address)
    titles = [pane["title"] for pane in page.context["config"]["panes"]]
    assert titles == ["Original", "Counterfactual", "Difference", "Change undone"]
    rows = {row.name: row.value for row in page.context["numbers"]}
    assert rows["Change inside"] == "25.0 HU"
    assert rows["Change outside"] == "0.0 HU"
    assert rows["Severity as read"] == "0.0 → 2.6"
    assert page.context["lost"][1].value == "2.0 HU"
    undone = browser.get(address, {"show": "undone"})
    assert [pane["title"] for pane in undone.context["config"]["panes"]] == [
        *("Original", "Counterfactual", "Change undone", "What was lost")
    ]
    led = browser.get(reverse("jobs:result-detail", args=[result.pk]))
    assert led["Location"] == f"{address}?image=1"


def test_the_pictures_are_the_pixels(browser: Client, clinician: Any, case: Any) -> None:
    result = edited_result(clinician, request=edit_request(clinician, case=case))
    panes = browser.get(reverse("jobs:counterfactual-detail", args=[result.request_id])).context["config"][
        "panes"
    ]
    source = case_slice(case, 1).array.astype(np.int16)
    original = panes[0]["case"]
    (header,) = browser.get(f"{original['series_url']}/metadata").json()
    sop = original["frames"][0]["sop"]
    assert header["00080018"]["Value"] == [sop]
    assert header["00280010"]["Value"] == [128]
    frame = browser.get(f"{original['series_url']}/instances/{sop}/frames/1").content
    assert source.astype("<i2").tobytes() in frame
    apart = browser.get(panes[2]["difference"]["url"]).content
    values = np.frombuffer(zlib.decompress(apart), "<i2").reshape(128, 128)
    assert np.array_equal(values, case_slice(result.case, 0).array.astype(np.int16) - source)
    assert panes[2]["difference"]["top"] == 50
    again = browser.get(
        reverse("jobs:counterfactual-difference", args=[result.request_id, 0]), {"of": "undone"}
    )
    assert set(np.frombuffer(zlib.decompress(again.content), "<i2").tolist()) == {0, 2}


def test_without_the_source_only_the_counterfactual_is_shown(
    browser: Client, clinician: Any, case: Any
) -> None:
    result = edited_result(clinician, request=edit_request(clinician, case=case))
    DatasetShare.objects.filter(user=clinician).delete()
    page = browser.get(reverse("jobs:counterfactual-detail", args=[result.request_id]))
    assert [pane["title"] for pane in page.context["config"]["panes"]] == ["Counterfactual"]
    assert "no longer shared" in page.content.decode()
    for name, args in (
        ("counterfactual-difference", [result.request_id, 0]),
        ("counterfactual-metadata", [result.request_id, 0, "original"]),
        ("counterfactual-frame", [result.request_id, 0, "original", "1"]),
    ):
        assert browser.get(reverse(f"jobs:{name}", args=args)).status_code == 404


def test_the_gallery_and_the_list_show_it(browser: Client, clinician: Any, case: Any) -> None:
    edited_result(clinician, request=edit_request(clinician, case=case))
    for name in ("result-list", "counterfactual-list", "job-list", "dashboard"):
        assert "No cirrhosis → severe cirrhosis, CT" in browser.get(reverse(f"jobs:{name}")).content.decode()


def test_again_opens_the_form_with_the_same_settings(browser: Client, clinician: Any, case: Any) -> None:
    item = edit_request(clinician, case=case)
    form = browser.get(reverse("jobs:counterfactual-new"), {"again": item.pk}).context["form"]
    assert (form["to_severity"].value(), form["steps"].value()) == ("3", 2)


def test_a_strip_is_handed_in_whole_and_fills(browser: Client, clinician: Any, case: Any, model: Any) -> None:
    answer = browser.post(reverse("jobs:strip-create"), edit_form(case, model, along="severity"))
    strip = EditStrip.objects.get()
    assert answer["Location"] == reverse("jobs:strip-detail", args=[strip.pk])
    asked = {item.request.parameters["condition"]["severity"] for item in strip.edits.all()}
    assert asked == {"low", "mild", "severe"}
    assert len({item.request.seed for item in strip.edits.all()}) == 1
    assert "0 of 3 are done" in browser.get(answer["Location"]).content.decode()
    first = strip.edits.order_by("request__created_at").first().request
    edited_result(clinician, request=first)
    fragment = browser.get(reverse("jobs:strip-fragment", args=[strip.pk]))
    assert 'data-done="1"' in fragment.content.decode()
    for edit in strip.edits.order_by("request__created_at")[1:]:
        edited_result(clinician, request=edit.request)
    page = browser.get(answer["Location"])
    panes = page.context["config"]["panes"]
    assert [pane["title"] for pane in panes] == ["Original", "Low", "Mild", "Severe"]
    assert [pane.get("blink", {}).get("title") for pane in panes] == [None, *["Original"] * 3]
    assert {pane["blink"]["case"]["series_url"] for pane in panes[1:]} == {panes[0]["case"]["series_url"]}
    assert browser.get(reverse("jobs:strip-fragment", args=[strip.pk]))["HX-Refresh"] == "true"


def test_a_strip_over_strengths_starts_from_the_workspace(browser: Client, clinician: Any, case: Any) -> None:
    item = edit_request(clinician, case=case)
    browser.post(reverse("jobs:counterfactual-strip", args=[item.pk]), {"along": "strength"})
    strengths = [edit.request.parameters["edit"]["strength"] for edit in EditStrip.objects.get().edits.all()]
    assert sorted(strengths) == [0.25, 0.5, 0.75, 1.0]


def test_a_strip_that_does_not_fit_the_quota_is_not_begun(
    browser: Client, clinician: Any, case: Any, model: Any
) -> None:
    Quota.objects.create(user=clinician, active_jobs=2)
    page = browser.post(reverse("jobs:strip-create"), edit_form(case, model, along="severity"))
    assert page.status_code == 422
    assert "Nothing was handed in" in page.content.decode()
    assert not Job.objects.exists()
    assert not EditStrip.objects.exists()


def test_without_its_source_nothing_is_promised_and_no_strip_is_made(
    browser: Client, clinician: Any, case: Any
) -> None:
    item = edit_request(clinician, case=case)
    address = reverse("jobs:counterfactual-detail", args=[item.pk])
    assert "appear here as soon as" in browser.get(address).content.decode()
    case.delete()
    page = browser.get(address).content.decode()
    assert "The source was deleted" in page
    assert "appear here as soon as" not in page
    strip = reverse("jobs:counterfactual-strip", args=[item.pk])
    answer = browser.post(strip, {"along": "severity"}, follow=True)
    assert answer.redirect_chain == [(address, 302)]
    assert "source or its mask was deleted" in answer.content.decode()
    assert not EditStrip.objects.exists()
    assert browser.get(reverse("jobs:counterfactual-new"), {"again": item.pk}).status_code == 200


@pytest.mark.parametrize("is_synthetic", [True, False])
def test_only_a_real_image_is_said_to_be_no_evidence(
    browser: Client, clinician: Any, case: Any, is_synthetic: bool
) -> None:
    result = edited_result(clinician, request=edit_request(clinician, case=case))
    Case.objects.filter(pk=case.pk).update(is_synthetic=is_synthetic)
    page = browser.get(reverse("jobs:counterfactual-detail", args=[result.request_id])).content.decode()
    assert ("What a model made of a real image is no evidence" in page) is not is_synthetic
    assert "This model knows phantoms only" not in page


def test_again_leads_from_a_comparison_to_the_form_of_its_kind(
    browser: Client, clinician: Any, case: Any
) -> None:
    changed = edited_result(clinician, request=edit_request(clinician, case=case))
    made = factories.result(clinician)
    page = browser.get(reverse("jobs:result-compare", args=[changed.pk, made.pk])).content.decode()
    forms = {"jobs:counterfactual-new": changed, "jobs:synthesise": made}
    for name, result in forms.items():
        assert f'href="{reverse(name)}?again={result.request_id}"' in page
    for name in forms:
        for result in forms.values():
            assert browser.get(reverse(name), {"again": result.request_id}).status_code == 200


def test_a_plain_request_has_no_workspace(browser: Client, clinician: Any) -> None:
    item = factories.synthesis_request(clinician)
    assert browser.get(reverse("jobs:counterfactual-detail", args=[item.pk])).status_code == 404


def test_every_severity_of_a_synthesis_is_not_for_counterfactuals(
    browser: Client, clinician: Any, case: Any
) -> None:
    result = edited_result(clinician, request=edit_request(clinician, case=case))
    answer = browser.post(reverse("jobs:result-severities", args=[result.pk]), follow=True)
    assert "strip of its own" in answer.content.decode()


def test_the_spread_is_that_of_the_stored_images(browser: Client, clinician: Any, case: Any) -> None:
    """Of 10, 20 and 60 HU more in the liver, and nothing elsewhere, the standard deviation is known."""
    options = CHANGE["edit"] | {"variety": 0.5}
    item = edit_request(clinician, case=case, count=3, parameters=CHANGE | {"edit": options})
    edited_result(clinician, request=item, shifts=(10, 20, 60))
    apart = float(np.std([10, 20, 60]))
    asked = region_of(item)
    found = spread(item)
    assert found is not None
    assert np.allclose(found, apart * asked)
    figures = spread_of(item)
    assert figures is not None
    assert figures.inside == pytest.approx(apart)
    assert figures.top == 50
    page = browser.get(reverse("jobs:counterfactual-detail", args=[item.pk]), {"image": "2"})
    assert {row.name: row.value for row in page.context["numbers"]}["Spread between images"] == "21.6 HU"
    heat = page.context["config"]["panes"][3]["heat"]
    values = np.frombuffer(zlib.decompress(browser.get(heat["url"]).content), "<u2").reshape(heat["shape"])
    assert np.allclose(values * heat["scale"], found, atol=heat["scale"])


def test_one_image_has_no_spread(clinician: Any, case: Any) -> None:
    result = edited_result(clinician, request=edit_request(clinician, case=case))
    assert spread(result.request) is None
    assert spread_of(result.request) is None


def test_again_says_that_the_source_is_gone(browser: Client, clinician: Any, case: Any, model: Any) -> None:
    from webapp.cases.services import case_delete
    from webapp.jobs.services import request_submit

    edit = edit_request(clinician, case=case, model=model)
    wish = {"condition": {"modality": "CT", "severity": "severe"}, "sampler": {"steps": 3}}
    drawn = request_submit(
        user=clinician, model=model, parameters=wish, case=case, mask=case.masks.get(), slice_index=1
    )
    for view in ("synthesise", "counterfactual-new"):
        page = browser.get(reverse(f"jobs:{view}"), {"case": case.pk})
        assert "was deleted" not in page.content.decode()
    case_delete(user=case.dataset.owner, case=case)
    page = browser.get(reverse("jobs:synthesise"), {"again": drawn.pk})
    assert "opens on a demo anatomy instead" in page.content.decode()
    assert page.context["form"]["severity"].value() == "severe"
    page = browser.get(reverse("jobs:counterfactual-new"), {"again": edit.pk})
    assert "was deleted. Choose another one." in page.content.decode()
    phantom = request_submit(user=clinician, model=model, parameters=wish | {"phantom_seed": 3})
    assert (
        "was deleted" not in browser.get(reverse("jobs:synthesise"), {"again": phantom.pk}).content.decode()
    )
