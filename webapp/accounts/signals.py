"""Signing in, out and failing to, written into the audit trail."""

from typing import Any

from axes.helpers import get_client_ip_address
from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from webapp.accounts.models import User
from webapp.core.services import audit_record


def _address(request: HttpRequest | None) -> dict[str, str]:
    if request is None or "REMOTE_ADDR" not in request.META:
        return {}
    return {"address": str(get_client_ip_address(request) or "")}


def _known_person(username: str) -> User | None:
    """The person of that name; an unknown name is not kept, it may be a password in the wrong field."""
    return User.objects.filter(username=username).first() if username else None


@receiver(user_logged_in, dispatch_uid="accounts.audit.logged_in")
def note_login(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Somebody signed in."""
    audit_record(actor=user, action="session.opened", obj=user, detail=_address(request))


@receiver(user_logged_out, dispatch_uid="accounts.audit.logged_out")
def note_logout(sender: Any, request: HttpRequest | None, user: User | None, **kwargs: Any) -> None:
    """Somebody signed out."""
    if user is not None:
        audit_record(actor=user, action="session.closed", obj=user, detail=_address(request))


@receiver(user_login_failed, dispatch_uid="accounts.audit.login_failed")
def note_failure(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """Somebody failed to sign in."""
    person = _known_person(str(credentials.get("username") or ""))
    audit_record(actor=None, action="session.refused", obj=person, detail=_address(request))


@receiver(user_locked_out, dispatch_uid="accounts.audit.locked_out")
def note_lockout(sender: Any, request: HttpRequest, username: str | None, **kwargs: Any) -> None:
    """Too many failures: the pair of name and address is locked out for a while."""
    audit_record(
        actor=None, action="session.locked_out", obj=_known_person(username or ""), detail=_address(request)
    )
