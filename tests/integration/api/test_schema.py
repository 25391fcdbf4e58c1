"""The schema: committed, served, honest; and the page that is drawn from it."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import get_resolver, reverse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.validation import validate_schema

from tests import factories
from webapp.api.docs import SCHEMA, reading

COMMAND = "manage.py spectacular --validate --file webapp/api/schema.yaml"


def generated() -> dict[str, Any]:
    """The schema as the code is now."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return yaml.safe_load(OpenApiYamlRenderer().render(schema, renderer_context={}))


def test_the_committed_schema_is_the_codes() -> None:
    assert generated() == yaml.safe_load(SCHEMA.read_text(encoding="utf-8")), f"write it anew: {COMMAND}"


def test_it_is_valid_and_complete() -> None:
    schema = generated()
    validate_schema(schema)
    served = {
        str(pattern.pattern)
        for pattern in get_resolver("webapp.api.urls").url_patterns
        if str(pattern.pattern).startswith("v1/")
    }
    described = {path.removeprefix("/api/").replace("{id}", "<uuid:id>") for path in schema["paths"]}
    assert served - described == {"v1/schema/"}


def test_every_operation_says_what_it_does_and_how_it_fails() -> None:
    for path, methods in generated()["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            answers = operation["responses"]
            assert {"401", "404"} <= set(answers), (method, path)
            if method == "post" and "202" in answers:
                assert "Location" in answers["202"]["headers"], (method, path)


@pytest.mark.django_db
def test_it_is_served_to_everybody() -> None:
    answer = Client().get(reverse("api:schema"))
    assert answer.status_code == 200
    assert yaml.safe_load(answer.content)["info"]["title"] == "Semblance"


@pytest.mark.django_db
def test_the_page_names_every_operation(client_of: Callable[[Any], Client]) -> None:
    page = client_of(factories.person("researcher")).get(reverse("api:docs"))
    assert page.status_code == 200
    text = page.content.decode()
    groups, _ = reading()
    assert list(groups) == [
        *("adapters", "cases", "counterfactuals", "datasets", "exports", "imports"),
        *("jobs", "masks", "models", "requests", "results", "severities"),
    ]
    for operations in groups.values():
        for operation in operations:
            assert f'id="{operation.id}"' in text
    assert "<script>" not in text
    assert "style=" not in text
