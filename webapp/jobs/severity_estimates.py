"""Reading the severity off a slice: a small job that looks, and stores nothing about the case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from synthesis.imaging.fitting import Fitted
from synthesis.request import MODALITIES, SEVERITIES
from webapp.cases.models import Case, Mask
from webapp.core.errors import ApplicationError, NotAllowed, NotVisible
from webapp.core.permissions import can, require
from webapp.jobs.edit_preparation import fitted_slice, slice_of
from webapp.jobs.models import Job, SynthesisRequest
from webapp.jobs.requests import check_offered
from webapp.jobs.selectors import job_get_for
from webapp.jobs.submission import job_submit
from webapp.registry.models import GenerativeModel

KIND = "estimate_severity"


def severity_estimate_submit(
    *, user: Any, model: Any, case: Any, mask: Any, modality: str, slice_index: int | None = None
) -> Job:
    """Ask for the severity that the shipped reader sees in one slice; the job's outcome says it.

    The case itself is left as it is. Raises ApplicationError where there is nothing to read, NotAllowed for
    people who may not ask for images.
    """
    if not can(user, "create", SynthesisRequest):
        raise NotAllowed(_("Your role does not include asking for synthetic images."))
    require(user, "request", case)
    check_offered(model, None)
    if (modality == "CT") != (case.modality == "CT") or modality not in MODALITIES:
        raise ApplicationError(
            _("This case is %(modality)s, so it is read as such.") % {"modality": case.modality},
            field="modality",
        )
    index = slice_of(case, mask, slice_index)
    if mask.case_id != case.pk:
        raise ApplicationError(_("This mask belongs to another case."), field="mask")
    return job_submit(
        kind=KIND,
        owner=user,
        payload={
            "case": str(case.pk),
            "mask": str(mask.pk),
            "model": str(model.pk),
            "slice_index": index,
            "modality": modality,
        },
        subject_type="cases.Case",
        subject_id=case.pk,
    )


def severity_estimate_for(*, user: Any, id: UUID) -> Job:
    """The person's job that reads a severity; NotVisible for any other."""
    job = job_get_for(user=user, id=id)
    if job.kind != KIND or job.owner_id != user.pk or not can(user, "create", SynthesisRequest):
        raise NotVisible
    return job


def slice_for_worker(job: Job) -> tuple[GenerativeModel, Fitted, str]:
    """The model, its view of the slice, and the kind of image that a job is to read.

    Raises ApplicationError where the case, its mask or the model was deleted meanwhile, or whoever asked
    may no longer see the case.
    """
    wanted = job.payload
    case = Case.objects.filter(pk=wanted["case"]).first()
    mask = Mask.objects.filter(pk=wanted["mask"]).first()
    model = GenerativeModel.objects.filter(pk=wanted["model"]).first()
    if case is None or mask is None or model is None:
        raise ApplicationError(
            _("The image or its mask was deleted, so nothing could be read."), code="source_gone"
        )
    if not can(job.owner, "request", case):
        raise ApplicationError(
            _("The image is no longer shared with you, so nothing was read."), code="source_unseen"
        )
    return model, fitted_slice(case, mask, int(wanted["slice_index"]), model.recipe), wanted["modality"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What was read: the level from 0 to 3, and how sure the reader is of each grade, in order."""

    level: float
    shares: list[float]

    @property
    def choice(self) -> float:
        """The level as the form offers it: to half a grade."""
        return round(self.level * 2) / 2

    @property
    def grades(self) -> list[tuple[str, int]]:
        """Every grade with its share in percent."""
        return [(name, round(100 * share)) for name, share in zip(SEVERITIES, self.shares, strict=True)]


def estimate_of(job: Job) -> Estimate | None:
    """What a finished job has read; None before, and where it failed."""
    found = job.outcome.get("severity") if job.state == Job.State.SUCCEEDED else None
    return None if found is None else Estimate(level=float(found["level"]), shares=list(found["shares"]))
