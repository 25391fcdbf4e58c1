"""Writing people, roles and tokens."""

import secrets
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.models import ApiToken, User
from webapp.core.errors import ApplicationError
from webapp.core.services import audit_record

TOKEN_MARK = "sbl_"  # noqa: S105  lets a leaked token be recognised in logs and repositories
PREFIX_LENGTH = 10


@transaction.atomic
def token_create(
    *, user: User, name: str, expires_at: datetime | None = None, actor: User | None = None
) -> tuple[ApiToken, str]:
    """Make a token; its plaintext is returned this once and kept nowhere.

    Raises:
        ApplicationError: without a name, for a deactivated person, or with an expiry in the past.
    """
    name = name.strip()
    if not name:
        raise ApplicationError(_("Say what the token is for."), field="name")
    if not user.is_active:
        raise ApplicationError(_("This person is deactivated and cannot have a token."))
    if expires_at is not None and expires_at <= timezone.now():
        raise ApplicationError(_("The expiry date must lie in the future."), field="expires_at")
    plaintext = TOKEN_MARK + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name[:100],
        prefix=plaintext[:PREFIX_LENGTH],
        digest=ApiToken.digest_of(plaintext),
        expires_at=expires_at,
    )
    audit_record(actor=actor or user, action="token.created", obj=token, detail={"person": user.username})
    return token, plaintext
