"""Whether a model fits on any of the devices that are at work: asked before a job is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from synthesis.footprint import HELD_BACK, PLANS, WAYS, Footprint, footprint, in_gigabytes
from webapp.core.errors import ApplicationError
from webapp.jobs.heartbeats import workers_alive
from webapp.jobs.models import Job, WorkerHeartbeat

PLAN_WORDS = {
    "whole": gettext_lazy("as a whole"),
    "staged": gettext_lazy("its parts one after another, which takes longer"),
    "sequential": gettext_lazy("its layers one by one, which takes much longer"),
}


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a model would run on the best of the devices at work, in bytes; `plan` is empty where on none."""

    need: int
    memory: int
    plan: str

    @property
    def words(self) -> str:
        """The same for the person who asks."""
        if not self.plan:
            return _(
                "This model needs %(need)s of memory even at its most sparing, and the largest device at "
                "work has %(memory)s for it. Choose a smaller model, or ask for a larger device."
            ) % {"need": in_gigabytes(self.need), "memory": in_gigabytes(self.memory)}
        return _("It takes about %(need)s of the %(memory)s on the worker's device, %(way)s.") % {
            "need": in_gigabytes(self.need),
            "memory": in_gigabytes(self.memory),
            "way": str(PLAN_WORDS[self.plan]),
        }


def fit_of(model: Any) -> Fit | None:
    """How the model fits the workers that are alive; None where it, they or one of them do not tell."""
    need = footprint(model.recipe)
    workers = workers_alive(Job.Queue.COMPUTE)
    if need is None or not workers or not all(_tells(row) for row in workers):
        return None
    return _best(need, workers)


def refuse_too_large(model: Any) -> None:
    """Raise ApplicationError, with both numbers, for a model that no living worker could hold."""
    fit = fit_of(model)
    if fit is not None and not fit.plan:
        raise ApplicationError(fit.words, field="model", code="too_large")


def _tells(row: WorkerHeartbeat) -> bool:
    return bool(row.memory) and row.device.partition(":")[0] in WAYS


def _best(need: Footprint, workers: Iterable[WorkerHeartbeat]) -> Fit:
    """The fit on the device that runs it best; among those that cannot, on the largest."""
    order = [*PLANS, ""]
    fits = []
    for row in workers:
        memory = int(row.memory or 0)
        found = need.plan(row.device, memory)
        plan, itemsize = found or ("", 0)
        bytes_needed = need.need(plan, itemsize) if plan else need.least(row.device)
        fits.append(Fit(need=bytes_needed, memory=int(memory * (1 - HELD_BACK)), plan=plan))
    return min(fits, key=lambda fit: (order.index(fit.plan), -fit.memory))
