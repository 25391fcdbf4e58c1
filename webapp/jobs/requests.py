"""Asking for synthetic images: check the wish, prepare the label map, hand in the job."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import transaction
from django.utils.translation import gettext as _

from synthesis.imaging.preflight import Problem
from synthesis.request import SEED_LIMIT
from webapp.core.errors import ApplicationError, NotAllowed
from webapp.core.permissions import can, require
from webapp.core.services import audit_record
from webapp.jobs.memory import refuse_map, refuse_too_large
from webapp.jobs.models import Job, SeverityGrid, SynthesisRequest
from webapp.jobs.preparation import Prepared, prepare
from webapp.jobs.submission import job_submit

COUNT_LIMIT = 16
LARGEST_SEED = SEED_LIMIT - COUNT_LIMIT - 1  # every image of a request has a seed of its own


def request_submit(
    *,
    user: Any,
    model: Any,
    parameters: Mapping[str, Any],
    adapter: Any = None,
    case: Any = None,
    mask: Any = None,
    slice_index: int | None = None,
    count: int = 1,
    seed: int | None = None,
    note: str = "",
    priority: int = 0,
    severities: SeverityGrid | None = None,
) -> SynthesisRequest:
    """Ask for `count` images of one anatomy under one condition; the job is `request.jobs.get()`.

    `parameters` holds "condition" and "sampler" (the fields of `synthesis.request.Condition` and
    `SamplerOptions`) and, where no case is given, "phantom_seed": the demo anatomy to take the mask
    from. `adapter` is one of the model's, laid on it for these images. A missing seed is drawn. Raises
    ApplicationError in plain words for whatever the model was not trained for, NotAllowed for people who
    may not ask for synthesis.
    """
    check_asker(user)
    if case is not None:
        require(user, "request", case)
    check_offered(model, adapter)
    check_count(count, COUNT_LIMIT)
    seed = seed_of(seed)
    prepared = prepare(
        model=model,
        adapter=adapter,
        parameters=parameters,
        case=case,
        mask=mask,
        slice_index=slice_index,
        count=count,
        seed=seed,
    )
    refuse_problems(prepared.problems)
    refuse_too_large(model)
    if prepared.parameters.get("uncertainty"):
        refuse_map(model)
    return _store(
        user=user,
        prepared=prepared,
        model=model,
        adapter=adapter,
        case=case,
        mask=mask,
        slice_index=prepared.notes.get("slice_index"),
        count=count,
        seed=seed,
        note=note[:500],
        priority=priority,
        severities=severities,
    )


def check_asker(user: Any) -> None:
    """Refuse people who may not ask for synthesis."""
    if not can(user, "create", SynthesisRequest):
        raise NotAllowed(_("Your role does not include asking for synthetic images."))


def check_count(count: int, limit: int) -> None:
    """Refuse no images, and more than `limit`."""
    if not 1 <= count <= limit:
        raise ApplicationError(
            _("Ask for 1 to %(limit)d images at a time.") % {"limit": limit}, field="count"
        )


def refuse_problems(problems: Sequence[Problem]) -> None:
    """Say all that speaks against a wish, at the first field of it."""
    if problems:
        words = " ".join(problem.message for problem in problems)
        raise ApplicationError(words, field=problems[0].field, code="preflight")


def seed_of(asked: int | None) -> int:
    """The seed that was asked for, or one that is drawn."""
    seed = secrets.randbelow(LARGEST_SEED) if asked is None else asked
    if not 0 <= seed <= LARGEST_SEED:
        raise ApplicationError(
            _("The seed must be a whole number from 0 to %(limit)d.") % {"limit": LARGEST_SEED}, field="seed"
        )
    return seed


def check_offered(model: Any, adapter: Any) -> None:
    """Refuse what is withdrawn, and an adapter of another model."""
    if not model.is_active:
        raise ApplicationError(_("This model is no longer offered. Choose another one."), field="model")
    if adapter is None:
        return
    if adapter.base_id != model.pk:
        raise ApplicationError(
            _("The adapter %(adapter)s belongs to another model. Choose one of %(model)s, or none.")
            % {"adapter": adapter, "model": model},
            field="adapter",
        )
    if not adapter.is_active:
        raise ApplicationError(
            _("This adapter is no longer offered. Choose another one, or none."), field="adapter"
        )


def _store(*, user: Any, prepared: Prepared, priority: int, **fields: Any) -> SynthesisRequest:
    with transaction.atomic():
        item = SynthesisRequest.objects.create(
            owner=user,
            parameters=prepared.parameters,
            labels=labels_packed(prepared.labels),
            grid=prepared.grid,
            prepared=prepared.notes,
            **fields,
        )
        job = job_submit(
            kind="synthesise",
            owner=user,
            payload={"request_id": str(item.pk)},
            subject_type="jobs.SynthesisRequest",
            subject_id=item.pk,
            request=item,
            priority=priority,
        )
        audit_record(
            actor=user,
            action="synthesis.requested",
            obj=item,
            detail={
                "model": str(item.model),
                **({"adapter": str(item.adapter)} if item.adapter is not None else {}),
                "count": item.count,
                "job": str(job.pk),
            },
        )
    return item


def request_again(*, user: Any, request: SynthesisRequest, seed: int | None = None) -> SynthesisRequest:
    """Hand in the same settings once more; another seed makes another image of the same wish.

    Raises ApplicationError where the source is gone.
    """
    from webapp.jobs.edits import edit_again, is_edit  # it stands on this module

    require(user, "request", request)
    if is_edit(request):
        return edit_again(user=user, request=request, seed=seed)
    refuse_without_source(request)
    return request_submit(
        user=user,
        model=request.model,
        adapter=request.adapter,
        parameters=request.parameters,
        case=request.case,
        mask=request.mask,
        slice_index=request.slice_index,
        count=request.count,
        seed=seed,
        note=request.note,
    )


def refuse_without_source(request: SynthesisRequest) -> None:
    """Raise ApplicationError where the case or the mask that an image was made from was deleted."""
    if "phantom_seed" in request.parameters:
        return
    if request.case is None or request.mask is None:
        raise ApplicationError(
            _("The source or its mask was deleted, so this cannot be made again. Nothing was handed in."),
            code="source_gone",
        )


def request_job(request: SynthesisRequest) -> Job:
    """The newest job of the request: the first one, or the latest retry."""
    return request.jobs.filter(kind__in=("synthesise", "counterfactual")).order_by("-created_at")[0]


def labels_packed(labels: npt.NDArray[np.uint8]) -> bytes:
    """A label map [rows, columns] as it is kept with the request."""
    return zlib.compress(np.ascontiguousarray(labels, dtype=np.uint8).tobytes(), 9)


def labels_of(request: SynthesisRequest) -> npt.NDArray[np.uint8]:
    """The label map [rows, columns] uint8 that the model sees, on its own grid."""
    shape = (int(request.grid["rows"]), int(request.grid["columns"]))
    flat = np.frombuffer(zlib.decompress(bytes(request.labels)), dtype=np.uint8)
    return flat.reshape(shape).copy()
