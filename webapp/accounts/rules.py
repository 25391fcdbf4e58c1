"""Who may do what to people and tokens."""

from typing import Any

from webapp.accounts.models import ApiToken, Role, User
from webapp.core.permissions import register

# A clinician works in the browser and an annotator only reads; scripts are for these.
TOKEN_ROLES = (Role.RESEARCHER, Role.DATA_MANAGER, Role.STUDY_LEAD, Role.ADMINISTRATOR)


def _administers(user: User, _obj: Any) -> bool:
    return user.has_role(Role.ADMINISTRATOR)


def _oneself_or_administers(user: User, obj: Any) -> bool:
    return user.has_role(Role.ADMINISTRATOR) or (isinstance(obj, User) and obj.pk == user.pk)


def _may_hold_tokens(user: User, _obj: Any) -> bool:
    return user.has_role(*TOKEN_ROLES)


def _own_token_or_administers(user: User, obj: Any) -> bool:
    return user.has_role(Role.ADMINISTRATOR) or (isinstance(obj, ApiToken) and obj.user_id == user.pk)


register(User, {"view": _oneself_or_administers, "create": _administers, "manage": _administers})
register(
    ApiToken,
    {"view": _own_token_or_administers, "create": _may_hold_tokens, "delete": _own_token_or_administers},
)
