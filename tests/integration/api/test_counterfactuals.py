"""Counterfactuals by API: asked for, listed, read, over strips; refusals as problem documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from tests import factories
from tests.factories_edits import CHANGE, edit_request, edited_result, phantom_case
from webapp.jobs.models import Job, SynthesisRequest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]
ApiOf = Callable[[Any], APIClient]


def at(view: str, *arguments: Any) -> str:
    return reverse(f"api:{view}", args=arguments)


def body(case: Any, **changed: Any) -> dict[str, Any]:
    return {
        "model": str(factories.generative_model().pk),
        "case": str(case.pk),
        "mask": str(case.masks.get().pk),
        "slice_index": 1,
        "parameters": CHANGE,
        "seed": 5,
    } | changed


def test_a_counterfactual_is_asked_for_followed_and_read(api_of: ApiOf) -> None:
    person = factories.person("researcher")
    client = api_of(person)
    case = phantom_case(person)
    answer = client.post(at("counterfactual-list"), body(case), format="json")
    assert answer.status_code == 202, answer.content
    item = SynthesisRequest.objects.get()
    assert answer["Location"].endswith(at("job-detail", item.jobs.get().pk))
    assert answer.json()["images"] == []
    assert answer.json()["parameters"]["before"]["severity"] == "none"
    result = edited_result(person, request=item)
    (listed,) = client.get(at("counterfactual-list")).json()["results"]
    (image,) = listed["images"]
    assert image["numbers"]["inside"] == pytest.approx(25.0)
    assert image["pixel_sha256"] == result.pixel_sha256
    read = client.get(at("counterfactual-detail", item.pk)).json()
    assert read == listed
    assert client.get(image["result"]).json()["case"] == image["case"]


@pytest.mark.parametrize(
    "changed",
    [
        {"parameters": {**CHANGE, "condition": CHANGE["before"]}},
        {"parameters": {**CHANGE, "edit": {"strength": 2}}},
        {"count": 3},
        {"slice_index": 40},
    ],
)
def test_what_cannot_be_done_is_a_problem_document(api_of: ApiOf, changed: dict[str, Any]) -> None:
    person = factories.person("researcher")
    answer = api_of(person).post(
        at("counterfactual-list"), body(phantom_case(person), **changed), format="json"
    )
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("heart", "the model has no such structure. It has: body"),
        ("ascites", "The mask shows no ascites in this slice"),
        ("painted", "Nothing is painted in this slice"),
    ],
)
def test_a_place_that_is_not_there_is_a_clear_refusal(api_of: ApiOf, where: str, words: str) -> None:
    person = factories.person("researcher")
    wish = {"parameters": {**CHANGE, "edit": {"where": where}}}
    client, case = api_of(person), phantom_case(person)
    for slices in ({}, {"slices": {"first": 0, "last": 2}}):
        answer = client.post(at("counterfactual-list"), body(case, **wish, **slices), format="json")
        assert answer.status_code == 400
        said = answer.json()["detail"]
        assert words in said or "In none of the slices" in said


def test_a_place_is_asked_for_by_name_or_as_before(api_of: ApiOf) -> None:
    person = factories.person("researcher")
    client, case = api_of(person), phantom_case(person)
    for edit, place in (
        ({"where": "spleen"}, ("spleen", True)),
        ({"where": "everywhere"}, ("everywhere", False)),
        ({"confined": False}, (None, False)),
        ({"where": None}, (None, True)),
    ):
        wish = {"parameters": {**CHANGE, "edit": edit}}
        answer = client.post(at("counterfactual-list"), body(case, **wish), format="json")
        assert answer.status_code == 202, answer.content
        asked = answer.json()["parameters"]["edit"]
        assert (asked.get("where"), asked["confined"]) == place


def test_a_method_that_the_model_does_not_offer_is_a_clear_refusal(api_of: ApiOf) -> None:
    person = factories.person("researcher")
    client, case = api_of(person), phantom_case(person)
    wish = {"parameters": {**CHANGE, "edit": {"method": "pix2pix_zero"}}}
    answer = client.post(at("counterfactual-list"), body(case, **wish), format="json")
    assert answer.status_code == 400
    said = answer.json()["detail"]
    assert "does not offer this method (Along the words of the change" in said
    assert "It offers: Back to the noise and forth again" in said
    assert not Job.objects.exists()


def test_what_is_left_out_is_as_usual_for_the_model(api_of: ApiOf) -> None:
    person = factories.person("researcher")
    client, case = api_of(person), phantom_case(person)
    wanted = {
        "unet": ({}, "flow_inversion", 8),
        "stable_diffusion": ({"method": "pix2pix_zero", "negative": None}, "pix2pix_zero", 20),
        "instruct": ({}, "instruct_pix2pix", 8),
    }
    for name, (edit, method, steps) in wanted.items():
        model = factories.generative_model()
        model.recipe["backbone"] = {"name": name, "takes_image": name == "instruct"}
        model.save()
        wish = {"model": str(model.pk), "parameters": {**CHANGE, "edit": edit}}
        answer = client.post(at("counterfactual-list"), body(case, **wish), format="json")
        assert answer.status_code == 202, answer.content
        asked = answer.json()["parameters"]["edit"]
        assert (asked["method"], asked["steps"]) == (method, steps)


def test_a_case_of_others_does_not_exist(api_of: ApiOf) -> None:
    case = phantom_case(factories.person("clinician"))
    answer = api_of(factories.person("clinician")).post(at("counterfactual-list"), body(case), format="json")
    assert answer.status_code == 404


def test_a_strip_is_handed_in_and_read(api_of: ApiOf) -> None:
    person = factories.person("clinician")
    client = api_of(person)
    answer = client.post(at("strip-list"), body(phantom_case(person), along="strength"), format="json")
    assert answer.status_code == 202, answer.content
    assert [cell["place"] for cell in answer.json()["cells"]] == [0.25, 0.5, 0.75, 1.0]
    assert client.get(answer["Location"]).json() == answer.json()


def test_a_longer_list_costs_no_more_queries(
    api_of: ApiOf, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    person = factories.person("clinician")
    client, case = api_of(person), phantom_case(person)
    counted = []
    for _ in range(3):
        edited_result(person, request=edit_request(person, case=case))
        with django_assert_max_num_queries(60) as queries:
            listed = client.get(at("counterfactual-list")).json()["results"]
        counted.append(len(queries))
        assert all(image["numbers"]["inside"] > 0 for one in listed for image in one["images"])
    assert counted[1] == counted[2]


def test_a_plain_request_is_no_counterfactual(api_of: ApiOf) -> None:
    person = factories.person("clinician")
    item = factories.synthesis_request(person)
    client = api_of(person)
    assert client.get(at("counterfactual-detail", item.pk)).status_code == 404
    assert client.get(at("counterfactual-list")).json()["results"] == []


def test_a_series_is_asked_for_with_an_adapter(api_of: ApiOf) -> None:
    person = factories.person("researcher")
    client, case = api_of(person), phantom_case(person)
    model = factories.generative_model()
    adapter = factories.adapter(base=model)
    wish = body(case, model=str(model.pk), adapter=str(adapter.pk), slices={"first": 0, "last": 1})
    answer = client.post(at("counterfactual-list"), wish, format="json")
    assert answer.status_code == 202, answer.content
    made = answer.json()
    assert made["adapter"] == str(adapter.pk)
    assert made["parameters"]["slices"] == {"first": 0, "last": 1, "edited": 2}
    assert made["prepared"]["series"]["edited"] == [0, 1]
    for changed, status in (
        ({"slices": {"first": 0, "last": 9}}, 400),
        ({"slices": {"first": 1}}, 400),
        ({"adapter": str(factories.adapter().pk)}, 400),
        ({"adapter": str(case.pk)}, 404),
    ):
        assert client.post(at("counterfactual-list"), wish | changed, format="json").status_code == status
    assert SynthesisRequest.objects.count() == 1


def test_the_severity_of_a_slice_is_read(api_of: ApiOf) -> None:
    from webapp.jobs.services import job_claim, job_finish

    person = factories.person("researcher")
    client, case = api_of(person), phantom_case(person)
    wish = {
        **{"model": str(factories.generative_model().pk), "case": str(case.pk), "modality": "CT"},
        **{"mask": str(case.masks.get().pk), "slice_index": 1},
    }
    answer = client.post(at("severity-estimate-list"), wish, format="json")
    assert answer.status_code == 202, answer.content
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    read = {"severity": {"level": 2.1, "read": "mild", "shares": [0.0, 0.1, 0.7, 0.2]}}
    job_finish(job_id=claim.job_id, token=claim.token, outcome=read)
    job = client.get(answer["Location"]).json()
    assert (job["kind"], job["outcome"]["severity"]["read"]) == ("estimate_severity", "mild")
    assert client.post(at("severity-estimate-list"), wish | {"modality": "T1"}).status_code == 400
    stranger = api_of(factories.person("clinician"))
    assert stranger.post(at("severity-estimate-list"), wish, format="json").status_code == 404


def test_a_drift_moves_the_start_unless_another_way_is_said(api_of: ApiOf) -> None:
    person = factories.person("researcher")
    client, case = api_of(person), phantom_case(person)
    ask = body(case)
    for said, kept in (({}, "init_only"), ({"drift_scheme": "prior"}, "prior")):
        edit = {**CHANGE.get("edit", {}), "drift": 0.1, **said}
        answer = client.post(
            at("counterfactual-list"), ask | {"parameters": {**CHANGE, "edit": edit}}, format="json"
        )
        assert answer.status_code == 202, answer.content
        assert answer.json()["parameters"]["edit"]["drift_scheme"] == kept
    for edit, words in (
        (
            {"drift": 0.1, "drift_scheme": "sideways"},
            "There is no way to drift called sideways; choose one of",
        ),
        ({"drift": 0.1, "method": "guided"}, "draws no noise, so nothing can drift"),
    ):
        answer = client.post(
            at("counterfactual-list"), ask | {"parameters": {**CHANGE, "edit": edit}}, format="json"
        )
        assert answer.status_code == 400
        assert words in answer.content.decode()
