"""What a trial draw decides: whether a model or an adapter is offered after it was installed."""

from typing import Any

from webapp.core.models import AuditEvent
from webapp.registry.installing import noun_of
from webapp.registry.models import Adapter, GenerativeModel
from webapp.registry.services import model_offer
from webapp.registry.services_adapters import adapter_offer

TRIAL = "no image could be drawn with it"


def trial_failed(*, user: Any, installed: GenerativeModel | Adapter) -> None:
    """Withdraw what no image can be drawn with, and note that this was the reason."""
    _offer(user, installed, offered=False)


def trial_passed(*, user: Any, installed: GenerativeModel | Adapter) -> bool:
    """Offer again what an earlier trial withdrew; whether it (and an adapter's model) is offered now.

    What a person withdrew stays withdrawn.
    """
    installed.refresh_from_db()
    if not installed.is_active and _withdrawn_by_trial(installed):
        _offer(user, installed, offered=True)
        installed.refresh_from_db()
    return installed.is_offered if isinstance(installed, Adapter) else installed.is_active


def _withdrawn_by_trial(installed: GenerativeModel | Adapter) -> bool:
    noun = noun_of(installed)
    told = AuditEvent.objects.filter(
        object_type=installed._meta.label,
        object_id=str(installed.pk),
        action__in=[f"{noun}.offered", f"{noun}.withdrawn"],
    )
    last = told.order_by("-at", "-id").first()
    return last is not None and last.detail.get("because") == TRIAL


def _offer(user: Any, installed: GenerativeModel | Adapter, *, offered: bool) -> None:
    because = "" if offered else TRIAL
    if isinstance(installed, Adapter):
        adapter_offer(user=user, adapter=installed, offered=offered, because=because)
    else:
        model_offer(user=user, model=installed, offered=offered, because=because)
