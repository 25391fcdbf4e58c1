"""The frame around the pages: the rail shows only what the role may, forms are drawn accessibly."""

from collections.abc import Callable
from typing import Any

import pytest
from django import forms
from django.test import Client, RequestFactory

from tests import factories
from webapp.core.navigation import SECTIONS, places_for
from webapp.core.templatetags.frame import query

pytestmark = pytest.mark.django_db


def labels(person: Any, path: str = "/") -> list[str]:
    return [str(place["label"]) for section in places_for(person, path) for place in section["places"]]


def test_an_annotator_sees_the_dashboard_and_the_readings_alone() -> None:
    assert labels(factories.person("annotator")) == ["Dashboard", "Readings"]


def test_somebody_without_a_role_sees_nothing() -> None:
    assert labels(factories.person()) == []


def test_only_administrators_see_administration() -> None:
    for role in factories.ROLES:
        shown = {"People", "Audit trail", "All records"} <= set(labels(factories.person(role)))
        assert shown is (role == "administrator")


def test_only_those_who_ask_see_synthesise() -> None:
    for role in factories.ROLES:
        assert ("Synthesise" in labels(factories.person(role))) is (role in {"clinician", "researcher"})


def test_several_roles_add_up() -> None:
    both = labels(factories.person("clinician", "administrator"))
    assert {"Synthesise", "People"} <= set(both)


@pytest.mark.parametrize(
    ("path", "here"),
    [
        ("/", "Dashboard"),
        ("/people/new/", "People"),
        ("/audit/", "Audit trail"),
        ("/admin/x/", "All records"),
    ],
)
def test_the_present_place_is_marked(path: str, here: str) -> None:
    sections = places_for(factories.person("administrator"), path)
    marked = [str(place["label"]) for section in sections for place in section["places"] if place["is_here"]]
    assert marked == [here]


def test_every_place_exists() -> None:
    superuser = factories.person(is_superuser=True)
    assert len(labels(superuser)) == sum(len(section.places) for section in SECTIONS)


def test_the_page_has_its_frame(client_of: Callable[[Any], Client]) -> None:
    text = client_of(factories.person("clinician")).get("/profile/").content.decode()
    assert "Synthetic images. Not for clinical use." in text
    assert 'data-theme="dark"' in text
    assert "<script>" not in text
    assert " style=" not in text
    assert " onclick=" not in text


def test_the_theme_is_remembered(client_of: Callable[[Any], Client]) -> None:
    client = client_of(factories.person("clinician"))
    client.cookies["theme"] = "light"
    client.cookies["rail"] = "collapsed"
    text = client.get("/profile/").content.decode()
    assert 'data-theme="light"' in text
    assert 'data-rail="collapsed"' in text


def test_a_field_names_its_help_its_unit_and_its_error() -> None:
    class Form(forms.Form):
        spacing = forms.FloatField(max_value=4, help_text="Between two slices.")

        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.fields["spacing"].unit = "mm"

    drawn = str(Form({"spacing": "9"}))
    assert '<label for="id_spacing">Spacing</label>' in drawn
    assert '<span class="field__unit">mm</span>' in drawn
    assert 'aria-invalid="true"' in drawn
    assert 'id="id_spacing_helptext"' in drawn
    assert 'id="id_spacing_error"' in drawn
    assert 'aria-describedby="id_spacing_helptext id_spacing_error"' in drawn


def test_links_of_pages_keep_the_filters() -> None:
    request = RequestFactory().get("/people/?role=clinician&page=2")
    assert query({"request": request}, page=3) == "?role=clinician&page=3"
    assert query({"request": request}, page=None) == "?role=clinician"
    assert query({"request": request}, page="", role=None) == "?"
