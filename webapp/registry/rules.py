"""Who may see, install and manage generative models and their adapters."""

from typing import Any

from webapp.accounts.models import Role
from webapp.core.permissions import register
from webapp.registry.models import Adapter, GenerativeModel

READERS = (Role.CLINICIAN, Role.RESEARCHER, Role.STUDY_LEAD, Role.DATA_MANAGER)


def may_view(user: Any, model: Any) -> bool:
    """Everyone but those who only read studies; a withdrawn model stays readable, since results name it."""
    return user.has_role(*READERS)


def may_manage(user: Any, model: Any) -> bool:
    """Data managers install and withdraw models."""
    return user.has_role(Role.DATA_MANAGER)


def may_request(user: Any, model: Any) -> bool:
    """Clinicians and researchers ask for images, from models that are offered."""
    if isinstance(model, Adapter):
        offered = model.is_offered
    else:
        offered = model.is_active if isinstance(model, GenerativeModel) else True
    return offered and user.has_role(Role.CLINICIAN, Role.RESEARCHER)


RULES = {
    "view": may_view,
    "create": may_manage,
    "install": may_manage,
    "manage": may_manage,
    "delete": may_manage,
    "request": may_request,
}
register(GenerativeModel, RULES)
register(Adapter, RULES)  # an adapter is seen and managed like the model that it belongs to
