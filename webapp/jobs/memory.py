"""Whether a model fits on any of the devices that are at work: asked before a job is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from synthesis.edit_request import BACKWARDS
from synthesis.footprint import (
    HELD_BACK,
    PLANS,
    STAGED,
    WAYS,
    WHOLE,
    Footprint,
    footprint,
    footprint_of_edit,
    in_gigabytes,
)
from synthesis.imaging.uncertainty import PROBES_AT_ONCE
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


def fit_of(model: Any, method: str = "", count: int = 1) -> Fit | None:
    """How the model fits the workers that are alive; None where it, they or one of them do not tell.

    method: how images are to be changed, where they are; count: how many of them in one batch.
    """
    need = _need(model, method, count)
    workers = workers_alive(Job.Queue.COMPUTE)
    if need is None or not workers or not all(_tells(row) for row in workers):
        return None
    return _best(need, workers)


def refuse_too_large(model: Any, method: str = "", count: int = 1) -> None:
    """Raise ApplicationError, with both numbers, for a model that no living worker could hold.

    With a method of change, while it changes `count` images at once; and where the method takes gradients
    through the network also where its layers would come one by one: there is no way back through layers
    that have left.
    """
    fit = fit_of(model)
    if fit is not None and not fit.plan:
        raise ApplicationError(fit.words, field="model", code="too_large")
    if not method or _suits(model, method, count):
        return
    if count > 1 and _suits(model, method, 1):
        _refuse_so_many(model, method, count)
    need, back = _need(model, method, 1), fit_of(model, method)
    if need is not None and back is not None:
        words = _(
            "This method follows changes back through the model, for which it would have to lie on the "
            "device whole. It takes about %(need)s, and the largest device at work has %(memory)s for it. "
            "Choose another method, or a smaller model."
        )
        sizes = {"need": in_gigabytes(need.need(STAGED, 2)), "memory": in_gigabytes(back.memory)}
        raise ApplicationError(words % sizes, field="method", code="too_large")


def _refuse_so_many(model: Any, method: str, count: int) -> None:
    many = fit_of(model, method, count)
    if many is None:
        return
    words = _(
        "To change %(count)d images at once this model needs about %(need)s of memory, and the largest "
        "device at work has %(memory)s for it. Ask for fewer images."
    )
    sizes = {"need": in_gigabytes(many.need), "memory": in_gigabytes(many.memory)}
    raise ApplicationError(words % {"count": count, **sizes}, field="count", code="too_large")


def _suits(model: Any, method: str, count: int) -> bool:
    """Whether a device at work can make such a change, as far as they tell."""
    fit = fit_of(model, method, count)
    return fit is None or fit.plan in ((WHOLE, STAGED) if method in BACKWARDS else PLANS)


def _need(model: Any, method: str, count: int) -> Footprint | None:
    return footprint_of_edit(model.recipe, method=method, count=count)


def map_problem(model: Any) -> str | None:
    """Why no device at work could make an uncertainty map with the model; None where one can, or none tells.

    A map follows changes back through the whole network, so that must lie on the device as a whole, with
    everything beside it that the way back needs (`Footprint.need_pulled`).
    """
    need = footprint(model.recipe)
    workers = workers_alive(Job.Queue.COMPUTE)
    if need is None or not workers or not all(_tells(row) for row in workers):
        return None
    fit = _best(need, workers)
    if not fit.plan:
        return None  # the model itself is refused, with its own numbers
    if fit.plan != WHOLE:
        return _(
            "This model would not lie on the worker's device as a whole, and an uncertainty map needs that."
        )
    wanted, room = _room_for_map(need, workers)
    if wanted <= room:
        return None
    return _(
        "An uncertainty map with this model needs about %(need)s of memory, and the largest device at work "
        "has %(room)s for it."
    ) % {"need": in_gigabytes(wanted), "room": in_gigabytes(room)}


def refuse_map(model: Any) -> None:
    """Raise ApplicationError for an uncertainty map that no living worker could make."""
    problem = map_problem(model)
    if problem is not None:
        raise ApplicationError(
            _("%(problem)s Leave the map out.") % {"problem": problem}, field="uncertainty", code="too_large"
        )


def _room_for_map(need: Footprint, workers: Iterable[WorkerHeartbeat]) -> tuple[int, int]:
    """What a map takes and what there is for it, in bytes, where the two are nearest to fitting."""
    pairs = []
    for row in workers:
        memory = int(row.memory or 0)
        found = need.plan(row.device, memory)
        if found is not None and found[0] == WHOLE:
            wanted = need.need_pulled(found[1], probes=PROBES_AT_ONCE)
            pairs.append((wanted, int(memory * (1 - HELD_BACK))))
    return min(pairs, key=lambda pair: pair[0] - pair[1])


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
