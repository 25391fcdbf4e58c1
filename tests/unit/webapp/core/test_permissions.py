"""404 for what a person may not see, 403 for what they may see but not do."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404

from tests import factories
from webapp.accounts.models import RoleGrant, User
from webapp.core.permissions import can, register, require

pytestmark = pytest.mark.django_db


def test_unseen_is_404_and_seen_is_403() -> None:
    clinician, other = factories.person("clinician"), factories.person("clinician")
    with pytest.raises(Http404):
        require(clinician, "manage", other)
    with pytest.raises(PermissionDenied):
        require(clinician, "manage", clinician)
    require(clinician, "view", clinician)


def test_a_refused_view_is_always_404() -> None:
    with pytest.raises(Http404):
        require(factories.person("clinician"), "view", factories.person("clinician"))


def test_the_anonymous_and_the_closed_may_nothing() -> None:
    closed = factories.person("administrator", is_active=False)
    assert not can(AnonymousUser(), "view", closed)
    assert not can(None, "view", closed)
    assert not can(closed, "view", closed)


def test_a_superuser_may_everything_that_has_a_rule() -> None:
    superuser = User.objects.create_superuser("root", password="x")
    assert can(superuser, "manage", factories.person())
    assert can(superuser, "create", User)


def test_an_unknown_action_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="got action 'install'"):
        can(factories.person(), "install", factories.person())


def test_an_object_without_rules_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="RoleGrant"):
        can(factories.person(), "view", RoleGrant())


def test_rules_must_name_known_actions_and_view() -> None:
    with pytest.raises(ValueError, match="'fly'"):
        register(RoleGrant, {"view": lambda *_: True, "fly": lambda *_: True})
    with pytest.raises(ValueError, match="'view'"):
        register(RoleGrant, {"manage": lambda *_: True})


def test_roles_read_once_are_read_anew_when_they_change() -> None:
    person = factories.person("clinician")
    assert person.has_role("clinician")
    RoleGrant.objects.create(user=person, role="administrator")
    assert not person.has_role("administrator")
    person.refresh_from_db()
    assert person.has_role("administrator", "annotator")
    assert not person.has_role("annotator")
