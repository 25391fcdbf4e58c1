"""Adapters by program: listed, handed in, asked for with a level of severity and a sampler's option."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from rest_framework.test import APIClient

from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]
ApiOf = Callable[[Any], APIClient]


def at(view: str, *arguments: Any) -> str:
    return reverse(f"api:{view}", args=arguments)


def test_an_adapter_a_level_and_an_option_are_asked_for(api_of: ApiOf) -> None:
    model = factories.generative_model()
    adapter, others = factories.adapter(base=model), factories.adapter()
    client = api_of(factories.person("researcher"))
    listed = client.get(at("adapter-list"), {"model": str(model.pk)}).json()["results"]
    assert [row["id"] for row in listed] == [str(adapter.pk)]
    assert client.get(listed[0]["base"]).json()["id"] == str(model.pk)
    assert client.get(listed[0]["url"]).json()["is_offered"] is True
    assert client.get(at("adapter-list"), {"model": "nothing"}).status_code == 400
    parameters = {
        "phantom_seed": 3,
        "condition": {"modality": "CT", "severity_level": 1.25},
        "sampler": {"name": "ddim", "steps": 8, "eta": 0.4},
    }
    body = {"model": str(model.pk), "adapter": str(adapter.pk), "parameters": parameters}
    answer = client.post(at("request-list"), body, format="json")
    assert answer.status_code == 202, answer.content
    made = answer.json()
    assert made["adapter"] == str(adapter.pk)
    assert made["parameters"]["condition"]["severity_level"] == 1.25
    assert made["parameters"]["condition"]["severity"] == "low"
    assert made["parameters"]["sampler"]["eta"] == 0.4
    wrong = [
        (body | {"adapter": str(others.pk)}, "belongs to another model"),
        (body | {"parameters": parameters | {"sampler": {"name": "rft", "eta": 0.4}}}, "has no option eta"),
    ]
    for change, words in wrong:
        refused = client.post(at("request-list"), change, format="json")
        assert (refused.status_code, words in refused.json()["detail"]) == (400, True), refused.content


def test_an_adapter_is_handed_in_for_installation(api_of: ApiOf) -> None:
    client = api_of(factories.person("data_manager"))
    files = {name: SimpleUploadedFile(name, b"{}") for name in ("weights", "config", "recipe")}
    answer = client.post(at("adapter-list"), files, format="multipart")
    assert answer.status_code == 202
    assert client.get(answer["Location"]).json()["kind"] == "install_adapter"
