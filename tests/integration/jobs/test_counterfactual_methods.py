"""The form of "Change one thing" by what the chosen model offers: methods, their settings, its words."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from synthesis.drift_size import SCHEMES
from tests import factories
from tests.factories_edits import edit_form, edited_result
from webapp.jobs.models import EditStrip, SynthesisRequest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


@pytest.fixture
def worded(db: None) -> Any:
    """A model whose pixels look at the words of a prompt."""
    made = factories.generative_model(name="worded")
    made.recipe["backbone"] = {"name": "stable_diffusion"}
    made.save()
    return made


@pytest.fixture
def paired(db: None) -> Any:
    """A model that was trained to change images."""
    made = factories.generative_model(name="paired")
    made.recipe["backbone"] = {"name": "unet", "takes_image": True}
    made.save()
    return made


def offered(form: Any) -> list[str]:
    return [value for value, _label in form.fields["method"].choices]


def test_only_the_methods_of_the_chosen_model_are_offered_each_in_a_sentence(
    browser: Client, case: Any, model: Any, worded: Any, paired: Any
) -> None:
    apply = reverse("jobs:counterfactual-apply")
    wanted = {
        model: ["flow_inversion", "guided"],
        worded: ["flow_inversion", "pix2pix_zero", "guided"],
        paired: ["instruct_pix2pix"],
    }
    for chosen, methods in wanted.items():
        page = browser.post(apply, edit_form(case, chosen, apply="model:"), headers={"HX-Request": "true"})
        assert offered(page.context["form"]) == methods
        assert page.context["form"].method_name == methods[0]
        text = page.content.decode()
        assert text.count("choices__hint") == len(methods) + len(SCHEMES)
        assert ("Every seed makes another one" in text) is (chosen is paired)
        assert ("id_image_guidance" in text) is (chosen is paired)
    page = browser.get(reverse("jobs:counterfactual-new"), {"case": case.pk})
    first = page.context["form"]["model"].value() or next(iter(page.context["form"].models))
    assert offered(page.context["form"]) == wanted[page.context["form"].models[str(first)]]


def test_another_method_brings_its_usual_steps_unless_others_were_chosen(
    browser: Client, case: Any, worded: Any
) -> None:
    apply = reverse("jobs:counterfactual-apply")
    for before, method, after in (("8", "pix2pix_zero", "20"), ("20", "flow_inversion", "8"), ("5",) * 3):
        method = "pix2pix_zero" if method == "5" else method
        sent = edit_form(case, worded, method=method, steps=before, apply="method:")
        page = browser.post(apply, sent, headers={"HX-Request": "true"})
        assert str(page.context["form"]["steps"].value()) == after


def test_a_change_along_words_is_handed_in_with_its_own_settings(
    browser: Client, clinician: Any, case: Any, worded: Any
) -> None:
    sent = edit_form(
        case, worded, method="pix2pix_zero", strength="", attention="0.2", guidance="", negative=""
    )
    answer = browser.post(reverse("jobs:counterfactual-new"), sent)
    item = SynthesisRequest.objects.get()
    options = item.parameters["edit"]
    assert (options["method"], options["attention"]) == ("pix2pix_zero", 0.2)
    assert not {"guidance", "negative", "regularisation", "image_guidance"} & set(options)
    page = browser.get(answer["Location"]).content.decode()
    assert "Hold the layout" in page
    assert "Along the words of the change" in page
    again = browser.get(reverse("jobs:counterfactual-new"), {"again": item.pk}).context["form"]
    assert (again.method_name, again["attention"].value()) == ("pix2pix_zero", 0.2)
    edited_result(clinician, request=item)
    shown = browser.get(reverse("jobs:counterfactual-detail", args=[item.pk])).content.decode()
    assert "Every strength" in shown
    assert "Hold the layout" in shown


def test_a_model_that_is_told_patients_in_words_is_asked_for_a_diagnosis(
    browser: Client, case: Any, worded: Any
) -> None:
    worded.recipe["prompts"] = {"image": "MRI", "diagnoses": {"N": "no disease", "HF-I": "heart failure"}}
    worded.save()
    page = browser.get(reverse("jobs:counterfactual-new"), {"case": case.pk})
    text = page.content.decode()
    assert [field.name for field in page.context["form"].now] == ["was_diagnosis", "was_age", "was_sex"]
    assert "heart failure</option>" in text
    assert "id_was_severity" not in text
    assert "Every severity" not in text
    assert "Estimate from the image" not in text
    sent = edit_form(case, worded, method="pix2pix_zero", was_diagnosis="N", to_diagnosis="HF-I")
    answer = browser.post(reverse("jobs:counterfactual-new"), sent)
    assert answer.status_code == 302, answer.content.decode()
    item = SynthesisRequest.objects.get()
    before, after = item.parameters["before"], item.parameters["condition"]
    assert (before["diagnosis"], after["diagnosis"]) == ("N", "HF-I")
    assert before["severity"] == after["severity"] == "none"
    assert "N → HF-I, CT" in browser.get(answer["Location"]).content.decode()
    again = browser.get(reverse("jobs:counterfactual-new"), {"again": item.pk}).context["form"]
    assert (again["was_diagnosis"].value(), again["to_diagnosis"].value()) == ("N", "HF-I")


@pytest.mark.parametrize(
    ("style", "names"),
    [("generic", []), ("diagnosis", ["diagnosis"]), ("patient", ["diagnosis", "age", "sex"])],
)
def test_only_what_the_words_have_a_place_for_is_asked_and_recorded(
    browser: Client, clinician: Any, case: Any, worded: Any, style: str, names: list[str]
) -> None:
    told = {"image": "MRI", "style": style, "diagnoses": {"N": "no disease", "HF-I": "heart failure"}}
    worded.recipe["prompts"] = told
    worded.save()
    form = browser.get(reverse("jobs:counterfactual-new"), {"case": case.pk}).context["form"]
    assert [field.name for field in form.now] == [f"was_{name}" for name in names]
    assert [field.name for field in form.then] == [f"to_{name}" for name in names]
    assert "guided" not in offered(form)
    words = {"was_diagnosis": "N", "to_diagnosis": "HF-I", "to_age": "80"}
    answer = browser.post(
        reverse("jobs:counterfactual-new"), edit_form(case, worded, method="pix2pix_zero", **words)
    )
    if not names:
        assert answer.status_code == 422
        assert "Nothing is to change" in answer.content.decode()
        return
    condition = SynthesisRequest.objects.get().parameters["condition"]
    assert condition["diagnosis"] == "HF-I"
    assert (condition.get("age"), condition.get("sex")) == ((80.0, "M") if "age" in names else (None, None))


def test_a_drift_is_handed_in_with_what_it_moves_and_how_far_that_is(
    browser: Client, clinician: Any, case: Any, model: Any
) -> None:
    """|delta| sqrt(d) of the model's own state (math.md 4): here its pixels."""
    model.recipe["backbone"] = {"name": "unet"}
    model.save()
    image = model.recipe["image"]
    far = f"{0.1 * (image['rows'] * image['columns']) ** 0.5:.1f} of its standard deviations"
    form = browser.get(reverse("jobs:counterfactual-new"), {"case": case.pk}).context["form"]
    assert form["drift_scheme"].value() == "init_only"
    assert "so an untrained model draws the same image" in str(form["drift_scheme"])
    check, new = reverse("jobs:counterfactual-check"), reverse("jobs:counterfactual-new")
    assert "of its standard deviations" not in browser.post(check, edit_form(case, model)).content.decode()
    for scheme, moved in (("", "the start alone"), ("noise", "the noise and every step")):
        sent = edit_form(case, model, drift="0.1", drift_scheme=scheme)
        told = browser.post(check, sent).content.decode()
        assert far in told
        assert moved in told
        page = browser.post(new, sent)
        item = SynthesisRequest.objects.latest("created_at")
        assert item.parameters["edit"]["drift_scheme"] == (scheme or "init_only")
        edited_result(clinician, request=item)
        assert far in browser.get(page["Location"]).content.decode()
        again = browser.get(new, {"again": item.pk}).context["form"]
        assert again["drift_scheme"].value() == (scheme or "init_only")
    wrong = browser.post(new, edit_form(case, model, drift="0.1", drift_scheme="sideways"))
    assert wrong.status_code == 422
    assert "Choose one of the four ways to drift" in wrong.content.decode()
    browser.post(new, edit_form(case, model))
    still = SynthesisRequest.objects.latest("created_at")
    again = browser.get(new, {"again": still.pk}).context["form"]
    assert again["drift_scheme"].value() == "init_only"


def test_a_method_that_the_model_does_not_offer_is_refused_in_the_form(
    browser: Client, case: Any, model: Any, paired: Any
) -> None:
    for chosen, method in ((model, "pix2pix_zero"), (paired, "flow_inversion")):
        sent = edit_form(case, chosen, method=method)
        answer = browser.post(reverse("jobs:counterfactual-new"), sent)
        assert answer.status_code == 422
        assert "does not offer this method" in answer.content.decode()
        page = browser.post(reverse("jobs:counterfactual-check"), sent).content.decode()
        assert "does not offer this method" in page
    assert not SynthesisRequest.objects.exists()


@pytest.mark.parametrize("method", ["flow_inversion", "pix2pix_zero", "guided"])
def test_a_strip_over_strengths_is_for_methods_that_have_one(
    browser: Client, case: Any, worded: Any, method: str
) -> None:
    sent = edit_form(case, worded, method=method)
    form = browser.post(reverse("jobs:counterfactual-apply"), sent | {"apply": "method:"})
    answer = browser.post(reverse("jobs:strip-create"), sent | {"along": "strength"})
    if method == "guided":
        assert "Every strength" not in form.content.decode()
        assert "This method has no strength" in answer.content.decode()
    else:
        assert "Every strength" in form.content.decode()
        strip = EditStrip.objects.get()
        made = {one.request.parameters["edit"]["method"] for one in strip.edits.all()}
        assert made == {method}
