"""The request form: the model's adapters, the sampler's options, severities between the grades."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from synthesis.catalog import SAMPLERS
from synthesis.options import options_of
from tests import factories
from tests.integration.jobs.test_pages import form
from webapp.core.errors import ApplicationError
from webapp.core.models import AuditEvent
from webapp.jobs.cards import condition_title
from webapp.jobs.descriptions import asked_rows
from webapp.jobs.estimates import calls_of
from webapp.jobs.making import condition_terms, making_of
from webapp.jobs.models import SynthesisRequest
from webapp.jobs.services import request_again, request_submit

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]

NOTHING_SAID = {"name": "rft", "steps": 4, "kappa": None, "order": 2, "noise": True, "guidance": 1.0}


@pytest.fixture
def model(db: None) -> Any:
    return factories.generative_model(summary="Draws the abdomen. " + "It does so at length. " * 20)


def page(browser: Client, **query: Any) -> Any:
    return browser.get(reverse("jobs:synthesise"), query)


def hand_in(browser: Client, model: Any, **changes: str) -> Any:
    return browser.post(reverse("jobs:synthesise"), form(model, **changes))


def apply(browser: Client, values: dict[str, str], what: str) -> str:
    answer = browser.post(
        reverse("jobs:synthesise-apply"), {**values, "apply": what}, headers={"HX-Request": "true"}
    )
    return answer.content.decode()


# --- severity


def test_a_severity_between_two_grades_is_asked_for_and_said_everywhere(browser: Client, model: Any) -> None:
    hand_in(browser, model, severity="between", severity_level="1.5")
    request = SynthesisRequest.objects.get()
    condition = request.parameters["condition"]
    assert (condition["severity"], condition["severity_level"]) == ("mild", 1.5)
    assert condition_title(request) == "Cirrhosis 1.5 of 3, low to mild, CT"
    assert dict(asked_rows(request))["Cirrhosis"] == "Cirrhosis 1.5 of 3, low to mild"
    assert condition_terms(request) == "CT, cirrhosis 1.5 of 3 (low to mild)"
    assert any("nearest grade, mild" in note for note in request.prepared["notes"])
    again = page(browser, again=request.pk).context["form"]
    assert (again["severity"].value(), again["severity_level"].value()) == ("between", 1.5)


@pytest.mark.parametrize(("level", "word"), [("0", "none"), ("2", "mild"), ("3.0", "severe"), ("", "none")])
def test_a_level_that_is_a_grade_is_that_grade(browser: Client, model: Any, level: str, word: str) -> None:
    hand_in(browser, model, severity="between", severity_level=level)
    condition = SynthesisRequest.objects.get().parameters["condition"]
    assert condition["severity"] == word
    assert condition.get("severity_level") in (None, 0.0)


def test_the_level_says_nothing_beside_a_grade(browser: Client, model: Any) -> None:
    hand_in(browser, model, severity="low", severity_level="2.5")
    assert SynthesisRequest.objects.get().parameters["condition"] == {
        "modality": "CT",
        "severity": "low",
        "steatosis": 0,
        "age": None,
        "sex": None,
    }


def test_a_level_off_the_scale_is_refused_with_the_nearest(browser: Client, model: Any) -> None:
    values = form(model, severity="between", severity_level="3.5")
    check = browser.post(reverse("jobs:synthesise-check"), values).content.decode()
    assert 'value="severity_level:3.0"' in check
    assert hand_in(browser, model, severity="between", severity_level="-1").status_code == 422
    assert 'value="3.0"' in apply(browser, values, "severity_level:3.0")


# --- the sampler's options


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_sampler_has_its_own_options_and_no_others(browser: Client, model: Any, sampler: str) -> None:
    text = apply(browser, form(model, sampler=sampler), "sampler:")
    shown = {name for name in ALL if f'name="{name}"' in text}
    assert shown == {option.name for option in options_of(sampler)}
    for option in options_of(sampler):
        assert option.label.split(" ")[0] in text
    assert ("no settings of its own" in text) == (not shown)


ALL = {option.name for sampler in SAMPLERS for option in options_of(sampler)}


def test_a_sampler_of_one_step_brings_its_steps(browser: Client, model: Any) -> None:
    assert 'name="steps" value="1"' in apply(browser, form(model, sampler="one_step"), "sampler:")


def test_without_a_script_buttons_bring_the_fields(browser: Client, model: Any) -> None:
    factories.adapter(base=model)
    text = page(browser).content.decode()
    for what in ("model:", "adapter:", "sampler:"):
        assert f'name="apply" value="{what}"' in text.partition("<noscript>")[2]
    whole = browser.post(
        reverse("jobs:synthesise-apply"), {**form(model, sampler="ddim"), "apply": "sampler:"}
    )
    assert "<html" in whole.content.decode()
    assert 'name="eta"' in whole.content.decode()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"sampler": "ddim", "eta": "0.5"}, {"name": "ddim", "eta": 0.5}),
        ({"sampler": "ddim", "eta": ""}, {"name": "ddim"}),
        (
            {"sampler": "victr_literal", "weight": "sqrt_alpha", "strength": "0.5"},
            {"name": "victr_literal", "weight": "sqrt_alpha", "strength": 0.5},
        ),
        ({"sampler": "rft", "kappa": "0.3", "heun": "True", "noise": "False", "order": "1"}, {
            "kappa": 0.3, "heun": True, "noise": False, "order": 1
        }),
        ({"sampler": "heun", "euler_last": "False"}, {"name": "heun", "euler_last": False}),
        ({"sampler": "rft", "eta": "0.5"}, {}),  # another sampler's, left over on the page
    ],
)  # fmt: skip
def test_what_is_said_of_an_option_is_kept_and_comes_back(
    browser: Client, model: Any, said: dict[str, str], kept: dict[str, Any]
) -> None:
    hand_in(browser, model, **said)
    request = SynthesisRequest.objects.get()
    assert request.parameters["sampler"] == NOTHING_SAID | kept
    again = page(browser, again=request.pk).context["form"]
    assert again["sampler"].value() == request.parameters["sampler"]["name"]
    for name in set(kept) - {"name"}:
        assert again[name].value() == kept[name]
    hand_in(browser, model, **{**said, "seed": "5"})
    assert SynthesisRequest.objects.order_by("created_at").last().parameters == request.parameters


@pytest.mark.parametrize(
    ("sampler", "option", "value", "nearest"),
    [("ddim", "eta", "1.5", "1.0"), ("rft", "kappa", "-1", "0.0"), ("victr_literal", "strength", "9", "2.0")],
)
def test_an_option_off_its_range_is_refused_with_the_nearest(
    browser: Client, model: Any, sampler: str, option: str, value: str, nearest: str
) -> None:
    values = form(model, sampler=sampler, **{option: value})
    check = browser.post(reverse("jobs:synthesise-check"), values).content.decode()
    assert f'value="{option}:{nearest}"' in check
    refused = browser.post(reverse("jobs:synthesise"), values)
    assert refused.status_code == 422
    assert refused.context["form"].errors[option]
    assert f'name="{option}" value="{nearest}"' in apply(browser, values, f"{option}:{nearest}")


def test_two_calls_per_step_are_counted(model: Any) -> None:
    plain = {"sampler": {"name": "rft", "steps": 4}}
    assert calls_of(plain, 2) == 8
    assert calls_of({"sampler": {**plain["sampler"], "heun": True}}, 2) == 16


# --- adapters


def test_the_form_shows_the_adapters_of_the_chosen_model(browser: Client, model: Any) -> None:
    other = factories.generative_model()
    mine, withdrawn, others = (
        factories.adapter(base=model, title="Mine", summary="Makes livers brighter."),
        factories.adapter(base=model, title="Withdrawn", is_active=False),
        factories.adapter(base=other, title="Another's"),
    )
    text = page(browser, model=model.name).content.decode()
    assert f'value="{mine.pk}"' in text
    assert f'value="{withdrawn.pk}"' not in text
    assert f'value="{others.pk}"' not in text
    assert "Draws the abdomen." in text  # the model in a line
    chosen = page(browser, adapter=others.pk).context["form"]
    assert (chosen["model"].value(), chosen["adapter"].value()) == (str(other.pk), str(others.pk))
    assert "Makes livers brighter." in page(browser, adapter=mine.pk).content.decode()
    assert f'value="{others.pk}"' in apply(browser, form(other), "model:")


def test_a_model_without_adapters_has_no_such_field(browser: Client, model: Any) -> None:
    assert 'name="adapter"' not in page(browser).content.decode()


def test_asking_with_an_adapter(browser: Client, clinician: Any, model: Any) -> None:
    adapter = factories.adapter(base=model, title="Bright")
    hand_in(browser, model, adapter=str(adapter.pk))
    request = SynthesisRequest.objects.get()
    assert request.adapter == adapter
    assert dict(asked_rows(request))["Adapter"] == "Bright 1"
    assert condition_title(request) == "Severe cirrhosis, CT, Bright"
    assert AuditEvent.objects.get(action="synthesis.requested").detail["adapter"] == "Bright 1"
    assert page(browser, again=request.pk).context["form"]["adapter"].value() == str(adapter.pk)
    assert request_again(user=clinician, request=request).adapter == adapter
    job = request.jobs.get()
    assert "Bright 1" in browser.get(reverse("jobs:job-detail", args=[job.pk])).content.decode()
    record = {"name": "bright", "version": "1", "weights_sha256": "ab" * 32}
    made = making_of(job, request, {"adapter": record})
    assert made.weights.endswith(f"; adapter bright version 1, weights SHA-256 {'ab' * 32}")
    assert "adapter" not in making_of(job, request, {}).weights


def test_an_adapter_of_another_model_or_withdrawn_is_refused(
    browser: Client, clinician: Any, model: Any
) -> None:
    parameters = {"phantom_seed": 1, "condition": {"modality": "CT"}}
    others = factories.adapter()
    with pytest.raises(ApplicationError, match="belongs to another model"):
        request_submit(user=clinician, model=model, adapter=others, parameters=parameters)
    withdrawn = factories.adapter(base=model, is_active=False)
    with pytest.raises(ApplicationError, match="no longer offered"):
        request_submit(user=clinician, model=model, adapter=withdrawn, parameters=parameters)
    refused = hand_in(browser, model, adapter=str(others.pk))
    assert refused.status_code == 422
    assert "does not belong to the chosen model" in refused.content.decode()
    assert not SynthesisRequest.objects.exists()


def test_what_the_adapter_was_trained_for_is_what_is_checked(clinician: Any, model: Any) -> None:
    adapter = factories.adapter(
        base=model,
        recipe={
            "modalities": ["T2"],
            "field": {"spacing_mm": [1.0, 2.0]},
            "sampler": {"name": "euler", "steps": 9},
        },
    )
    parameters = {"phantom_seed": 1, "condition": {"modality": "CT"}}
    with pytest.raises(ApplicationError, match=r"draws T2, not CT.*trained with 1 to 2 mm"):
        request_submit(user=clinician, model=model, adapter=adapter, parameters=parameters)


def test_the_adapters_own_sampler_opens_the_form(browser: Client, model: Any) -> None:
    adapter = factories.adapter(base=model, recipe={"sampler": {"name": "euler", "steps": 9}})
    chosen = page(browser, adapter=adapter.pk).context["form"]
    assert (chosen["sampler"].value(), chosen["steps"].value()) == ("euler", 9)
    text = apply(browser, form(model, adapter=str(adapter.pk)), "adapter:")
    assert 'name="steps" value="9"' in text


# --- patients in words


@pytest.mark.parametrize(
    ("style", "told"),
    [("generic", set()), ("diagnosis", {"diagnosis"}), ("patient", {"diagnosis", "age", "sex"})],
)
def test_only_what_a_model_s_words_have_a_place_for_is_asked_and_kept(
    browser: Client, model: Any, style: str, told: set[str]
) -> None:
    model.recipe["prompts"] = {"style": style, "diagnoses": {"N": "a healthy heart"}}
    model.save(update_fields=["recipe"])
    shown = {field.name for field in page(browser).context["form"].few}
    assert shown & {"age", "sex", "diagnosis"} == told
    hand_in(browser, model, severity="", steatosis="", age="60", sex="F", diagnosis="N")
    condition = SynthesisRequest.objects.get().parameters["condition"]
    assert {name for name in ("age", "sex", "diagnosis") if condition.get(name) is not None} == told
