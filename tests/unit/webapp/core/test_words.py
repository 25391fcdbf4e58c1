"""Stable names in words."""

import pytest

from webapp.core.models import AuditEvent
from webapp.core.words import action_words, actor_words, detail_words, kind_words


@pytest.mark.parametrize(
    ("action", "words"),
    [("session.opened", "Signed in"), ("dataset.shared", "Dataset shared"), ("a.b_c", "A b c")],
)
def test_actions(action: str, words: str) -> None:
    assert action_words(action) == words


def test_kinds() -> None:
    assert kind_words("accounts.ApiToken") == "API token"
    assert kind_words("gone.Model") == "gone.Model"
    assert kind_words("") == ""


def test_details() -> None:
    assert detail_words({"role": "clinician", "at_level": "view"}) == "role: clinician, at level: view"
    assert detail_words({}) == ""
    assert detail_words(None) == ""


def test_actors() -> None:
    assert actor_words(AuditEvent(actor_name="Ada", action="role.given")) == "Ada"
    assert actor_words(AuditEvent(action="session.refused")) == "not signed in"
    assert actor_words(AuditEvent(action="person.created")) == "the system"
