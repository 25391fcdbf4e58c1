"""Strips: one slice changed more and more, over strengths or severities, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from synthesis.edit_request import GRADED
from synthesis.request import SEVERITIES
from webapp.core.errors import ApplicationError, NotAllowed
from webapp.core.permissions import can
from webapp.core.services import audit_record
from webapp.jobs.edit_numbers import read_level
from webapp.jobs.edit_preparation import change_of
from webapp.jobs.edit_words import level_word
from webapp.jobs.edits import edit_submit
from webapp.jobs.models import EDITED_PIXELS, EditStrip, Job, Result, SynthesisRequest
from webapp.jobs.requests import request_job
from webapp.jobs.submission import quota_room

STRENGTHS = (0.25, 0.5, 0.75, 1.0)


@transaction.atomic
def strip_submit(
    *, user: Any, along: str, parameters: Mapping[str, Any], seed: int | None = None, **source: Any
) -> EditStrip:
    """Ask for the change at every strength, or to every grade of severity but the image's own.

    `parameters` and `source` are those of `edit_submit`, of one slice; a missing seed is drawn once for
    all. Raises QuotaReached where not every job fits into the person's quota, ApplicationError where one
    of them would be refused: then none is handed in.
    """
    if not can(user, "create", SynthesisRequest):
        raise NotAllowed(_("Your role does not include asking for synthetic images."))
    if along not in EditStrip.Along.values:
        raise ApplicationError(_("A strip goes over strengths or severities."), field="along")
    wishes = _wishes(along, parameters)
    quota_room(user, len(wishes))
    strip = EditStrip.objects.create(owner=user, along=along)
    for wish in wishes:
        one = {**source, "count": 1, "slices": None}
        item = edit_submit(user=user, parameters=wish, seed=seed, strip=strip, **one)
        seed = item.seed
    audit_record(
        actor=user, action="strip.requested", obj=strip, detail={"along": along, "jobs": len(wishes)}
    )
    return strip


def _wishes(along: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parameters of every request of the strip."""
    before, _after, options = change_of(parameters)
    edit = {**(parameters.get("edit") or {}), "variety": 0.0}
    if along == EditStrip.Along.STRENGTH:
        if options.method not in GRADED:
            raise ApplicationError(
                _("This method has no strength. Choose the strip over severities, or another method."),
                field="method",
            )
        return [{**parameters, "edit": {**edit, "strength": strength}} for strength in STRENGTHS]
    condition = dict(parameters.get("condition") or {})
    condition.pop("severity_level", None)
    wanted = [name for place, name in enumerate(SEVERITIES) if place != before.level]
    return [{**parameters, "edit": edit, "condition": {**condition, "severity": name}} for name in wanted]


@dataclass(frozen=True, kw_only=True)
class StripCell:
    """One place of a strip: its request, the newest job for it, and the image once there is one."""

    words: str
    place: float
    request: SynthesisRequest
    job: Job
    result: Result | None

    @property
    def numbers(self) -> dict[str, Any]:
        """What was measured; empty until there is an image."""
        return dict(self.result.edited.numbers) if self.result is not None else {}

    @property
    def read(self) -> str:
        """The severity that the reader sees afterwards."""
        level = read_level((self.numbers.get("severity") or {}).get("after"))
        return "" if level is None else f"{level:.1f}"

    @property
    def inside(self) -> str:
        """The change inside the region."""
        return _figure(self.numbers.get("inside"))

    @property
    def outside(self) -> str:
        """The change outside of it."""
        return _figure(self.numbers.get("outside"))


def strip_cells(strip: EditStrip) -> list[StripCell]:
    """The cells in order of strength or severity."""
    items = SynthesisRequest.objects.filter(edit__strip=strip).select_related("model", "case", "mask")
    cells = []
    for item in items:
        place, words = _place(strip, item)
        cells.append(
            StripCell(
                words=words,
                place=place,
                request=item,
                job=request_job(item),
                result=item.results.select_related("case", "mask", "edited").defer(*EDITED_PIXELS).first(),
            )
        )
    return sorted(cells, key=lambda cell: cell.place)


def _place(strip: EditStrip, item: SynthesisRequest) -> tuple[float, str]:
    if strip.along == EditStrip.Along.STRENGTH:
        strength = float(item.parameters["edit"]["strength"])
        return strength, _("Strength %(value)g") % {"value": strength}
    level = float(SEVERITIES.index(item.parameters["condition"]["severity"]))
    return level, level_word(level)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
