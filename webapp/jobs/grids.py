"""Grids of severities: the same mask, seed, sampler and model under every grade, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from synthesis.request import SEVERITIES
from webapp.core.errors import ApplicationError, NotAllowed
from webapp.core.permissions import can
from webapp.core.services import audit_record
from webapp.jobs.models import Job, Result, SeverityGrid, SynthesisRequest
from webapp.jobs.requests import refuse_without_source, request_job, request_submit
from webapp.jobs.severities import GRADE_WORDS
from webapp.jobs.submission import quota_room

RISE = 0.05  # levels of the judge that count as a step: below, two severities are read alike


@transaction.atomic
def grid_submit(
    *, user: Any, model: Any, parameters: Mapping[str, Any], seed: int | None = None, **source: Any
) -> SeverityGrid:
    """Ask for one image under each grade; `parameters` and `source` are those of `request_submit`.

    The anatomy of a phantom keeps the shape that goes with the severity in `parameters`; a missing seed is
    drawn once for all. Raises QuotaReached where not every job fits into the person's quota,
    ApplicationError where one of the requests would be refused: then none is handed in.
    """
    if not can(user, "create", SynthesisRequest):
        raise NotAllowed(_("Your role does not include asking for synthetic images."))
    quota_room(user, len(SEVERITIES))
    grid = SeverityGrid.objects.create(owner=user)
    condition = dict(parameters.get("condition") or {})
    shared = dict(parameters)
    if source.get("case") is None:
        shared.setdefault("phantom_severity", str(condition.get("severity") or SEVERITIES[0]))
    condition.pop("severity_level", None)
    source.pop("count", None)
    for severity in SEVERITIES:
        item = request_submit(
            user=user,
            model=model,
            parameters={**shared, "condition": {**condition, "severity": severity}},
            seed=seed,
            count=1,
            severities=grid,
            **source,
        )
        seed = item.seed
    audit_record(actor=user, action="severities.requested", obj=grid, detail={"model": str(model)})
    return grid


def grid_submit_like(*, user: Any, result: Result) -> SeverityGrid:
    """A grid from a result: its settings, mask and seed; raises ApplicationError where the source is gone."""
    item = result.request
    if "edit" in item.parameters:
        raise ApplicationError(
            _("A counterfactual has a strip of its own over the severities. Nothing was handed in."),
            code="not_a_synthesis",
        )
    refuse_without_source(item)
    return grid_submit(
        user=user,
        model=item.model,
        parameters=item.parameters,
        seed=result.seed,
        adapter=item.adapter,
        case=item.case,
        mask=item.mask,
        slice_index=item.slice_index,
        note=item.note,
    )


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One severity of a grid: its request, the newest job for it, and the image once there is one."""

    severity: str
    words: str
    request: SynthesisRequest
    job: Job
    result: Result | None

    @property
    def read(self) -> dict[str, Any] | None:
        """What the severity judge reads in the image; None where it read nothing."""
        return (self.result.quality or {}).get("severity") if self.result is not None else None

    @property
    def read_words(self) -> str:
        """The grade that the judge reads."""
        return str(GRADE_WORDS[self.read["read"]]) if self.read else ""

    @property
    def level_words(self) -> str:
        """The level that the judge measures."""
        return f"{self.read['level']:.2f}" if self.read else ""

    @property
    def agrees(self) -> bool:
        """Whether the judge reads what was asked for."""
        return self.read is not None and self.read["read"] == self.severity


def grid_cells(grid: SeverityGrid) -> list[Cell]:
    """The cells from none to severe; a severity whose request is gone is left out."""
    found = {}
    for item in grid.requests.select_related("model", "adapter", "case", "mask").order_by("created_at"):
        condition = item.parameters.get("condition", {})
        found[condition.get("severity")] = item
    return [
        Cell(
            severity=name,
            words=str(GRADE_WORDS[name]),
            request=found[name],
            job=request_job(found[name]),
            result=found[name].results.select_related("case", "mask").first(),
        )
        for name in SEVERITIES
        if name in found
    ]


def rises(cells: list[Cell]) -> bool | None:
    """Whether the measured level goes up from each severity to the next; None until all are measured."""
    levels = [cell.read["level"] for cell in cells if cell.read]
    if len(levels) < len(SEVERITIES):
        return None
    return all(after > before + RISE for before, after in pairwise(levels))
