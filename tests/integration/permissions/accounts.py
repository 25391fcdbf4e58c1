"""Rows about people, tokens and the audit trail."""

from typing import Any

from tests import factories
from tests.integration.permissions.rows import Row
from webapp.accounts.models import ApiToken, User
from webapp.accounts.services import token_create
from webapp.core.models import AuditEvent
from webapp.core.services import audit_record


def own_token(person: Any) -> Any:
    """A token of the acting person (of somebody, where nobody is signed in)."""
    return token_create(user=person or factories.person("researcher"), name="own")[0]


OBJECTS = {
    "people": ("accounts.User", lambda _: User),
    "oneself": ("accounts.User", lambda person: person or factories.person()),
    "somebody": ("accounts.User", lambda _: factories.person("clinician")),
    "tokens": ("accounts.ApiToken", lambda _: ApiToken),
    "own token": ("accounts.ApiToken", own_token),
    "another's token": ("accounts.ApiToken", lambda _: own_token(None)),
    "audit trail": ("core.AuditEvent", lambda _: AuditEvent),
    "audit event": ("core.AuditEvent", lambda person: audit_record(actor=person, action="test.happened")),
    "site": ("", lambda _: type("Site", (), {})),
}

A = "administrator"
TOKENS = "researcher data_manager study_lead administrator"
NEW = {"username": "ada", "roles": ["clinician"]}

ROWS = [
    Row(obj="people", action="view", may=A, asks="GET accounts:people"),
    Row(obj="people", action="create", may=A, asks="GET accounts:person-new"),
    Row(obj="people", action="create", may=A, asks="POST accounts:person-new", data=NEW),
    Row(obj="oneself", action="view", may="all"),
    Row(obj="oneself", action="manage", may=A, sees="all"),
    Row(obj="somebody", action="view", may=A, asks="GET accounts:person"),
    Row(obj="somebody", action="manage", may=A, asks="POST accounts:person", data={"display_name": "Ada"}),
    Row(obj="somebody", action="manage", may=A, asks="POST accounts:person-roles", data={"roles": []}),
    Row(obj="somebody", action="manage", may=A, asks="POST accounts:person-state", data={"active": "no"}),
    Row(obj="somebody", action="manage", may=A, asks="POST accounts:person-password"),
    Row(obj="tokens", action="view", may=A),
    Row(obj="tokens", action="create", may=TOKENS, asks="POST accounts:token-new", data={"name": "batch"}),
    Row(obj="own token", action="view", may="all"),
    Row(obj="own token", action="delete", may="all", asks="POST accounts:token-revoke"),
    Row(obj="another's token", action="view", may=A),
    Row(obj="another's token", action="delete", may=A, asks="POST accounts:token-revoke"),
    Row(obj="audit trail", action="view", may=A, asks="GET core:audit"),
    Row(obj="audit event", action="view", may=A, asks="GET admin:core_auditevent_change"),
    Row(obj="audit trail", may=A, asks="GET admin:core_auditevent_changelist"),
    Row(obj="audit trail", sees=A, asks="GET admin:core_auditevent_add"),
    Row(obj="audit event", sees=A, asks="POST admin:core_auditevent_delete", data={"post": "yes"}),
    Row(obj="site", may=A, asks="GET admin:index"),
    Row(obj="site", may="all", asks="GET accounts:profile"),
    Row(obj="site", may="all", asks="GET accounts:password-change"),
    Row(obj="site", may="all anonymous", asks="GET core:healthz", accepts=(200, 503)),
]
