"""The people and profile pages do what their buttons say, and show secrets exactly once."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests import factories
from webapp.accounts.models import ApiToken, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator() -> Any:
    return factories.person("administrator", display_name="Ada Reyes")


@pytest.fixture
def browser(administrator: Any, client_of: Callable[[Any], Client]) -> Client:
    return client_of(administrator)


def secret(text: str, id: str) -> str:
    found = re.search(rf'<code id="{id}">([^<]+)</code>', text)
    assert found, f"no {id} on the page"
    return found[1]


def test_a_new_person_gets_a_password_that_is_shown_once(browser: Client) -> None:
    response = browser.post(
        "/people/new/", {"username": "jonas", "display_name": "Jonas Weber", "roles": ["clinician"]}
    )
    text = response.content.decode()
    person = User.objects.get(username="jonas")
    password = secret(text, "one-time-password")
    assert person.check_password(password)
    assert person.must_change_password
    assert "no-store" in response.headers["Cache-Control"]
    assert password not in browser.get(f"/people/{person.pk}/").content.decode()
    assert [str(role) for role in person.roles] == ["clinician"]


def test_a_password_that_the_administrator_set_is_not_shown(browser: Client) -> None:
    response = browser.post("/people/new/", {"username": "jonas", "password": "a given password 3"})
    assert "one-time-password" not in response.content.decode()
    person = User.objects.get(username="jonas")
    assert person.check_password("a given password 3")
    assert person.must_change_password


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"username": "JONAS"}, "This sign-in name is taken."),
        ({"username": "bo!"}, "Enter a valid username"),
        ({"username": "bo", "password": "short"}, "too short"),
        ({"username": "bo", "email": "x"}, "valid email"),
    ],
)
def test_a_wrong_form_comes_back_with_a_sentence(browser: Client, values: dict, sentence: str) -> None:
    factories.person(username="jonas")
    response = browser.post("/people/new/", values)
    assert response.status_code == 400
    assert sentence in response.content.decode()


def test_roles_are_set_on_the_page(browser: Client) -> None:
    person = factories.person("clinician")
    browser.post(f"/people/{person.pk}/roles/", {"roles": ["annotator", "study_lead"]})
    person.refresh_from_db()
    assert sorted(map(str, person.roles)) == ["annotator", "study_lead"]


def test_the_last_administrator_is_kept_with_a_sentence(browser: Client, administrator: Any) -> None:
    response = browser.post(f"/people/{administrator.pk}/roles/", {"roles": []}, follow=True)
    assert "last active administrator" in response.content.decode()
    administrator.refresh_from_db()
    assert administrator.has_role("administrator")


def test_an_administrator_who_steps_down_lands_on_their_profile(browser: Client, administrator: Any) -> None:
    factories.person("administrator")
    response = browser.post(f"/people/{administrator.pk}/roles/", {"roles": ["clinician"]})
    assert response.headers["Location"] == "/profile/"
    assert browser.get("/people/").status_code == 404


def test_an_account_is_closed_and_opened(browser: Client) -> None:
    person = factories.person("clinician")
    browser.post(f"/people/{person.pk}/state/", {"active": "no"})
    assert not User.objects.get(pk=person.pk).is_active
    browser.post(f"/people/{person.pk}/state/", {"active": "yes"})
    assert User.objects.get(pk=person.pk).is_active


def test_a_closed_account_is_signed_out_at_once(browser: Client, client_of: Callable[[Any], Client]) -> None:
    person = factories.person("clinician")
    theirs = client_of(person)
    assert theirs.get("/profile/").status_code == 200
    browser.post(f"/people/{person.pk}/state/", {"active": "no"})
    assert theirs.get("/profile/").status_code == 302


def test_a_fresh_password_is_shown_once(browser: Client) -> None:
    person = factories.person("clinician")
    text = browser.post(f"/people/{person.pk}/password/").content.decode()
    person.refresh_from_db()
    assert person.check_password(secret(text, "one-time-password"))


def test_the_list_filters_and_escapes(browser: Client) -> None:
    factories.person("researcher", display_name="<b>Mina</b>")
    factories.person("clinician", display_name="Jonas Weber")
    text = browser.get("/people/?role=researcher").content.decode()
    assert "&lt;b&gt;Mina&lt;/b&gt;" in text
    assert "<b>Mina</b>" not in text
    assert "Jonas" not in text
    assert "Nobody matches" in browser.get("/people/?search=nonesuch").content.decode()


def test_the_list_takes_as_many_queries_for_many_as_for_few(
    browser: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        factories.person("clinician", "researcher")
    with django_assert_max_num_queries(8):
        browser.get("/people/")


def test_a_profile_is_saved(client_of: Callable[[Any], Client]) -> None:
    person = factories.person("clinician")
    client_of(person).post("/profile/", {"display_name": "Dr. Weber", "email": "w@example.org"})
    person.refresh_from_db()
    assert (str(person), person.email) == ("Dr. Weber", "w@example.org")


def test_a_token_is_shown_once_and_works_until_revoked(client_of: Callable[[Any], Client]) -> None:
    person = factories.person("researcher")
    client = client_of(person)
    response = client.post("/profile/tokens/", {"name": "nightly", "days": "30"})
    plaintext = secret(response.content.decode(), "new-token")
    assert "no-store" in response.headers["Cache-Control"]
    assert plaintext not in client.get("/profile/").content.decode()
    token = ApiToken.objects.get()
    assert token.digest == ApiToken.digest_of(plaintext)
    client.post(f"/profile/tokens/{token.pk}/revoke/")
    token.refresh_from_db()
    assert not token.is_usable
    assert "revoked" in client.get("/profile/").content.decode()


def test_a_token_without_a_name_comes_back_with_a_sentence(client_of: Callable[[Any], Client]) -> None:
    response = client_of(factories.person("researcher")).post("/profile/tokens/", {"name": ""})
    assert response.status_code == 400
    assert "This field is required" in response.content.decode()


def test_a_clinician_is_offered_no_token(client_of: Callable[[Any], Client]) -> None:
    assert "API tokens" not in client_of(factories.person("clinician")).get("/profile/").content.decode()


def test_the_audit_page_shows_and_filters(browser: Client) -> None:
    person = factories.person("clinician", display_name="Jonas")
    browser.post(f"/people/{person.pk}/state/", {"active": "no"})
    text = browser.get("/audit/?action=person.deactivated").content.decode()
    assert "Person deactivated" in text
    assert "Signed in" not in text.split("<tbody>")[1]
    assert "Nothing matches" in browser.get("/audit/?person=nonesuch").content.decode()
    assert browser.get("/audit/?since=not-a-day").status_code == 200


@pytest.mark.parametrize("model", ["user", "apitoken", "rolegrant"])
def test_the_records_show_people_tokens_and_roles(browser: Client, model: str) -> None:
    person = factories.person("researcher")
    browser.post("/profile/tokens/", {"name": "x"})
    response = browser.get(f"/admin/accounts/{model}/")
    assert response.status_code == 200
    assert (person.username if model == "user" else "Ada Reyes") in response.content.decode()


def test_the_records_change_names_and_nothing_that_matters(browser: Client, administrator: Any) -> None:
    response = browser.post(
        f"/admin/accounts/user/{administrator.pk}/change/",
        {
            "display_name": "Ada",
            "email": "",
            "is_superuser": "on",
            "username": "root",
            "role_grants-TOTAL_FORMS": "0",
            "role_grants-INITIAL_FORMS": "0",
        },
    )
    assert response.status_code == 302
    administrator.refresh_from_db()
    assert administrator.display_name == "Ada"
    assert not administrator.is_superuser
    assert administrator.username != "root"
    assert browser.get("/audit/?action=record.changed").content.decode().count("Record changed") >= 1
