"""The page that explains the REST interface, drawn from its committed schema without any script."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

SCHEMA = Path(__file__).with_name("schema.yaml")
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Field:
    """One parameter, or one field of a body."""

    name: str
    kind: str
    is_required: bool = False
    text: str = ""


@dataclass(frozen=True)
class Answer:
    """One status that an operation answers with."""

    status: str
    text: str
    kind: str


@dataclass(frozen=True)
class Operation:
    """One method on one address."""

    id: str
    method: str
    path: str
    text: str
    parameters: list[Field] = field(default_factory=list)
    body: list[Field] = field(default_factory=list)
    body_type: str = ""
    answers: list[Answer] = field(default_factory=list)


@dataclass(frozen=True)
class Shape:
    """One kind of object that the interface speaks of."""

    name: str
    text: str
    fields: list[Field]


@login_required
@require_GET
def documentation(request: HttpRequest) -> HttpResponse:
    """Every operation and object of the interface."""
    groups, shapes = reading()
    context = {"groups": groups, "shapes": shapes, "base": request.build_absolute_uri("/api/v1/")}
    return render(request, "api/docs.html", context)


@cache
def reading() -> tuple[dict[str, list[Operation]], list[Shape]]:
    """The schema as the page shows it: operations by noun, then the objects."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    groups: dict[str, list[Operation]] = {}
    for operation in _operations(schema):
        noun = operation.path.removeprefix("/api/v1/").split("/")[0]
        groups.setdefault(noun, []).append(operation)
    shapes = [
        Shape(name, _words(shape), _fields(shape))
        for name, shape in schema["components"]["schemas"].items()
        if shape.get("type") == "object" and not name.startswith("Paginated")
    ]
    return groups, shapes


def _operations(schema: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in schema["paths"].items():
        for method in METHODS:
            if method not in methods:
                continue
            described = methods[method]
            body_type, body = _body(schema, described)
            yield Operation(
                id=described["operationId"],
                method=method.upper(),
                path=path,
                text=_words(described),
                parameters=[
                    Field(item["name"], _kind(item["schema"]), item.get("required", False), _words(item))
                    for item in described.get("parameters", [])
                    if item["in"] in {"path", "query"}
                ],
                body=body,
                body_type=body_type,
                answers=[
                    Answer(str(status), _words(answer), _content(answer))
                    for status, answer in sorted(described["responses"].items())
                ],
            )


def _body(schema: Mapping[str, Any], described: Mapping[str, Any]) -> tuple[str, list[Field]]:
    for media, content in described.get("requestBody", {}).get("content", {}).items():
        shape = content.get("schema", {})
        name = shape.get("$ref", "").rpartition("/")[2]
        return media, _fields(schema["components"]["schemas"].get(name, shape))
    return "", []


def _fields(shape: Mapping[str, Any]) -> list[Field]:
    required = set(shape.get("required", []))
    return [
        Field(name, _kind(inner), name in required and not inner.get("readOnly"), _words(inner))
        for name, inner in shape.get("properties", {}).items()
    ]


def _kind(shape: Mapping[str, Any]) -> str:
    """A type in a few words: text, whole number, list of Label, one of CT, T1, T2 ..."""
    for key in ("allOf", "oneOf", "anyOf"):
        if key in shape:
            return " or ".join(dict.fromkeys(_kind(inner) for inner in shape[key]))
    if "$ref" in shape:
        return str(shape["$ref"]).rpartition("/")[2]
    if "enum" in shape:
        return "one of " + ", ".join(str(value) or "(empty)" for value in shape["enum"])
    if shape.get("type") == "array":
        return f"list of {_kind(shape.get('items', {}))}"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    formats = {"uuid": "id", "date-time": "time", "uri": "address", "binary": "file"}
    return formats.get(shape.get("format", ""), words.get(shape.get("type", ""), "JSON"))


def _words(described: Mapping[str, Any]) -> str:
    return " ".join(str(described.get("description", "")).split())


def _content(answer: Mapping[str, Any]) -> str:
    for media, content in answer.get("content", {}).items():
        kind = _kind(content.get("schema", {}))
        return kind if media == "application/json" else f"{kind} ({media})"
    return ""
