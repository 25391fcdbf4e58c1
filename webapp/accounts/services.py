"""Writing people, roles and tokens."""

import secrets
from collections.abc import Collection
from datetime import datetime

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.models import ApiToken, Role, RoleGrant, User
from webapp.accounts.selectors import administrator_count
from webapp.core.errors import ApplicationError, Conflict
from webapp.core.services import audit_record

TOKEN_MARK = "sbl_"  # noqa: S105  lets a leaked token be recognised in logs and repositories
PREFIX_LENGTH = 10
# Without 0 O 1 l I: a one-time password is read off a screen and typed.
PASSWORD_ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # noqa: S105


def password_make() -> str:
    """A fresh password of four groups of four characters: 93 random bits."""
    groups = ("".join(secrets.choice(PASSWORD_ALPHABET) for _place in range(4)) for _group in range(4))
    return "-".join(groups)


# --- people


@transaction.atomic
def person_create(
    *,
    actor: User | None,
    username: str,
    display_name: str = "",
    email: str = "",
    roles: Collection[str] = (),
    password: str | None = None,
    must_change_password: bool = True,
) -> tuple[User, str]:
    """Make a person with the given roles; returns them and their password, which is kept nowhere in plain.

    Args:
        actor: who does it; None for the command line.
        password: the first password; a fresh one is made where none is given.
        must_change_password: whether the person must choose their own at the first sign-in.

    Raises:
        ApplicationError: when the name is taken or not valid, or the password too weak.
    """
    plaintext = password or password_make()
    user = User(username=username.strip(), display_name=display_name.strip()[:150], email=email.strip())
    user.must_change_password = must_change_password
    user.set_password(plaintext)
    try:
        user.full_clean(exclude=["password"])
        if password:
            validate_password(password, user)
    except ValidationError as error:
        raise _plain(error) from error
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise ApplicationError(_("This sign-in name is taken."), field="username", code="taken") from error
    audit_record(actor=actor, action="person.created", obj=user, detail={"username": user.username})
    if roles:
        roles_set(actor=actor, user=user, roles=roles)
    return user, plaintext


def _plain(error: ValidationError) -> ApplicationError:
    """The first sentence of Django's validation error, with its field."""
    if hasattr(error, "error_dict"):
        field, sentences = next(iter(error.message_dict.items()))
        return ApplicationError(" ".join(sentences), field=None if field == "__all__" else field)
    return ApplicationError(" ".join(error.messages), field="password")


@transaction.atomic
def person_update(*, actor: User, user: User, display_name: str, email: str) -> User:
    """Change the name that others see, and the e-mail address."""
    user.display_name = display_name.strip()[:150]
    user.email = email.strip()
    user.save(update_fields=["display_name", "email", "updated_at"])
    audit_record(actor=actor, action="person.changed", obj=user)
    return user


@transaction.atomic
def roles_set(*, actor: User | None, user: User, roles: Collection[str]) -> User:
    """Give and take roles so that the person holds exactly these.

    Raises:
        ApplicationError: for a role that does not exist.
        Conflict: when this would leave no active administrator.
    """
    unknown = set(roles) - set(Role.values)
    if unknown:
        raise ApplicationError(
            _("There is no role called “%(role)s”.") % {"role": sorted(unknown)[0]}, field="roles"
        )
    User.objects.select_for_update().get(pk=user.pk)
    before = set(RoleGrant.objects.filter(user=user).values_list("role", flat=True))
    given, taken = set(roles) - before, before - set(roles)
    if Role.ADMINISTRATOR in taken:
        _keep_an_administrator(user)
    RoleGrant.objects.filter(user=user, role__in=taken).delete()
    granter = actor if actor is not None and actor.is_authenticated else None
    RoleGrant.objects.bulk_create(
        [RoleGrant(user=user, role=role, granted_by=granter) for role in sorted(given)]
    )
    user.roles_forget()
    for role in sorted(given):
        audit_record(actor=actor, action="role.given", obj=user, detail={"role": str(role)})
    for role in sorted(taken):
        audit_record(actor=actor, action="role.taken", obj=user, detail={"role": str(role)})
    return user


@transaction.atomic
def person_deactivate(*, actor: User, user: User) -> User:
    """Close the account: no more signing in, tokens stop at once; what the person made stays.

    Raises:
        Conflict: for oneself, or when this would leave no active administrator.
    """
    if actor == user:
        raise Conflict(_("You cannot deactivate yourself. Ask another administrator."))
    if user.has_role(Role.ADMINISTRATOR):
        _keep_an_administrator(user)
    user.is_active = False
    user.save(update_fields=["is_active", "updated_at"])
    audit_record(actor=actor, action="person.deactivated", obj=user)
    return user


@transaction.atomic
def person_activate(*, actor: User, user: User) -> User:
    """Open a closed account again."""
    user.is_active = True
    user.save(update_fields=["is_active", "updated_at"])
    audit_record(actor=actor, action="person.activated", obj=user)
    return user


def _keep_an_administrator(leaving: User) -> None:
    """Refuse when nobody but this person could administer the site.

    The administrators' rows are locked first, so that two cannot remove each other at the same moment.
    """
    if administrator_count(besides=leaving, lock=True) == 0:
        raise Conflict(
            _("This is the last active administrator. Make somebody else an administrator first."),
            code="last_administrator",
        )


@transaction.atomic
def password_reset(*, actor: User | None, user: User, must_change_password: bool = True) -> str:
    """Give the person a fresh one-time password, returned this once; their open sessions end."""
    plaintext = password_make()
    user.set_password(plaintext)
    user.must_change_password = must_change_password
    user.save(update_fields=["password", "must_change_password", "updated_at"])
    audit_record(actor=actor, action="password.reset", obj=user)
    return plaintext


@transaction.atomic
def password_changed(*, user: User) -> None:
    """Note that the person has chosen a password of their own."""
    user.must_change_password = False
    user.save(update_fields=["must_change_password", "updated_at"])
    audit_record(actor=user, action="password.changed", obj=user)


# --- tokens


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


@transaction.atomic
def token_revoke(*, actor: User, token: ApiToken) -> ApiToken:
    """End a token at once and for good; revoking twice changes nothing."""
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at", "updated_at"])
        audit_record(actor=actor, action="token.revoked", obj=token, detail={"person": token.user.username})
    return token
