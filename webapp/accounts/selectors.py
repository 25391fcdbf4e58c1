"""Reading people and tokens."""

from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from webapp.accounts.models import ApiToken, Role, RoleGrant, User
from webapp.core.errors import NotVisible
from webapp.core.permissions import require


def _holds(role: str) -> Exists:
    return Exists(RoleGrant.objects.filter(user=OuterRef("pk"), role=role))


def administrator_count(*, besides: User | None = None, lock: bool = False) -> int:
    """How many active people administer the site, by role or as superuser.

    Args:
        besides: leave this person out.
        lock: hold their rows until the transaction ends.
    """
    people = User.objects.filter(is_active=True).filter(Q(is_superuser=True) | _holds(Role.ADMINISTRATOR))
    if lock:
        people = people.select_for_update()
    return sum(1 for person in people.order_by("pk") if besides is None or person.pk != besides.pk)


def person_list_for(*, user: User, search: str = "", role: str = "", state: str = "") -> QuerySet[User]:
    """The people that this person may see: all for an administrator, else only themselves.

    Args:
        search: part of the sign-in name, shown name or e-mail address.
        role: only those who hold it.
        state: "active" or "closed"; anything else for both.
    """
    people = User.objects.prefetch_related("role_grants")
    if not user.has_role(Role.ADMINISTRATOR):
        return people.filter(pk=user.pk)
    if search:
        people = people.filter(
            Q(username__icontains=search) | Q(display_name__icontains=search) | Q(email__icontains=search)
        )
    if role:
        people = people.filter(_holds(role))
    if state in {"active", "closed"}:
        people = people.filter(is_active=state == "active")
    return people


def person_get_for(*, user: User, id: UUID, action: str = "view") -> User:
    """One person, where this person may do the action to them.

    Raises:
        NotVisible, Http404: when there is nobody, or nobody that they may see.
        PermissionDenied: when they may see but not do it.
    """
    person = User.objects.prefetch_related("role_grants").filter(pk=id).first()
    if person is None:
        raise NotVisible
    require(user, action, person)
    return person


def token_list_for(*, user: User, owner: User | None = None) -> QuerySet[ApiToken]:
    """The tokens of one person (of oneself unless named), newest first."""
    return ApiToken.objects.filter(user=owner or user).select_related("user")
