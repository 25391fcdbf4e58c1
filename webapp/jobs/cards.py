"""A job in the words of the person who waits for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webapp.cases.selectors import case_list_for
from webapp.core.permissions import can
from webapp.jobs.descriptions import asked_rows
from webapp.jobs.edit_words import change_title
from webapp.jobs.estimates import in_words, job_eta
from webapp.jobs.exports import export_is_ready, export_kept_until
from webapp.jobs.forms import MODALITY_WORDS
from webapp.jobs.heartbeats import workers_alive
from webapp.jobs.kinds import kind_label
from webapp.jobs.models import Job, Result, SynthesisRequest
from webapp.jobs.selectors import queue_position
from webapp.jobs.severities import severity_words
from webapp.jobs.uploads import upload_is_there

TONES = {
    Job.State.QUEUED: ("clock", ""),
    Job.State.RUNNING: ("loader-circle", "badge--info"),
    Job.State.CANCELLING: ("circle-stop", "badge--warn"),
    Job.State.SUCCEEDED: ("circle-check", "badge--ok"),
    Job.State.FAILED: ("circle-x", "badge--error"),
    Job.State.CANCELLED: ("ban", ""),
}


def condition_title(item: SynthesisRequest) -> str:
    """The condition in a few words: "Severe cirrhosis, CT", and what lies on the model; or the change."""
    if "edit" in item.parameters:
        return change_title(item)
    condition = item.parameters.get("condition", {})
    modality = MODALITY_WORDS.get(condition.get("modality", ""), condition.get("modality", ""))
    words = f"{severity_words(condition)}, {modality}"
    return words if item.adapter is None else f"{words}, {item.adapter.title}"


def request_title(item: SynthesisRequest) -> str:
    """What was asked for, in a few words: "Severe cirrhosis, CT, 4 images"."""
    number = ngettext("%(count)d image", "%(count)d images", item.count) % {"count": item.count}
    return f"{condition_title(item)}, {number}"


def result_title(result: Result) -> str:
    """What was asked for and which image of it this is: "Severe cirrhosis, CT · 1 of 4"."""
    number = _("%(index)d of %(count)d") % {"index": result.index + 1, "count": result.request.count}
    return f"{condition_title(result.request)} · {number}"


def tiles(user: Any, results: Iterable[Result], *, titles: bool = True) -> list[Result]:
    """Results for tiles: each with its `title`, and whether the person still sees its image (`is_seen`)."""
    found = list(results)
    seen = case_list_for(user=user).filter(pk__in=[result.case_id for result in found])
    shown = set(seen.values_list("pk", flat=True))
    for result in found:
        result.title = result_title(result) if titles else ""  # type: ignore[attr-defined]
        result.is_seen = result.case_id in shown  # type: ignore[attr-defined]
    return found


class JobCard:
    """What a job's card shows."""

    def __init__(self, job: Job, user: Any) -> None:
        self.job = job
        self.user = user

    @property
    def title(self) -> str:
        """What the job makes."""
        if self.job.request is not None:
            return request_title(self.job.request)
        name = self.job.payload.get("source_name") or self.job.payload.get("title") or ""
        return f"{kind_label(self.job.kind)} {name}".strip()

    @property
    def kind(self) -> str:
        """The kind of work."""
        return kind_label(self.job.kind)

    @property
    def icon(self) -> str:
        """The state's icon."""
        return TONES[Job.State(self.job.state)][0]

    @property
    def tone(self) -> str:
        """The state's badge class."""
        return TONES[Job.State(self.job.state)][1]

    @property
    def state_words(self) -> str:
        """The state in a word."""
        if self.job.reason == "quarantined":
            return _("Set aside")
        return str(self.job.get_state_display())

    @cached_property
    def line(self) -> str:
        """What is happening, in a sentence."""
        job = self.job
        if job.state == Job.State.QUEUED:
            return self._waiting()
        if job.state == Job.State.CANCELLING:
            return _("Stopping at the next step. Nothing of it will be kept.")
        if job.state == Job.State.RUNNING:
            return job.message or _("Starting")
        if job.state == Job.State.FAILED:
            return job.error_message
        if job.state == Job.State.CANCELLED:
            return _("Cancelled. Nothing of it was kept.")
        if job.started_at is not None and job.finished_at is not None:
            spent = in_words((job.finished_at - job.started_at).total_seconds())
            return _("Done in %(time)s.") % {"time": spent}
        return _("Done.")

    def _waiting(self) -> str:
        ahead = queue_position(self.job) or 0
        if not workers_alive(self.job.queue):
            return _("Waiting: no worker is running at the moment. It starts by itself when one is back.")
        if self.job.kills or self.job.attempts:
            return _("Waiting to be tried again after its worker was lost.")
        if ahead == 0:
            return _("Waiting: it is next.")
        return ngettext("Waiting: %(count)d job ahead.", "Waiting: %(count)d jobs ahead.", ahead) % {
            "count": ahead
        }

    @cached_property
    def time_left(self) -> str:
        """How long it will still take, where that can be told."""
        words = in_words(job_eta(self.job))
        return _("%(time)s left") % {"time": words} if words else ""

    @property
    def age(self) -> str:
        """How long ago it was handed in."""
        if timezone.now() - self.job.created_at < timedelta(minutes=1):
            return _("just now")
        return _("%(time)s ago") % {"time": timesince(self.job.created_at, depth=1)}

    @property
    def asked(self) -> list[tuple[str, str]]:
        """What was asked for, as names and values."""
        item = self.job.request
        return asked_rows(item) if item is not None else []

    @property
    def shows_progress(self) -> bool:
        """Whether a bar makes sense."""
        return self.job.state in (Job.State.RUNNING, Job.State.CANCELLING)

    @property
    def fraction(self) -> str:
        """Progress for the bar's value."""
        return f"{self.job.progress:.4f}"

    @property
    def may_cancel(self) -> bool:
        """Whether a cancel button stands here."""
        return self.job.state in (Job.State.QUEUED, Job.State.RUNNING) and can(self.user, "cancel", self.job)

    @property
    def may_retry(self) -> bool:
        """Whether a try-again button stands here."""
        is_over = self.job.state in (Job.State.FAILED, Job.State.CANCELLED)
        return is_over and can(self.user, "retry", self.job) and upload_is_there(self.job)

    @cached_property
    def file_url(self) -> str:
        """Where the archive of a finished export of one's own is fetched, while it is kept."""
        if not self.is_mine or not export_is_ready(self.job):
            return ""
        return reverse("jobs:job-file", args=[self.job.pk])

    @property
    def file_words(self) -> str:
        """What that archive holds and how long it is kept."""
        outcome, until = self.job.outcome, export_kept_until(self.job)
        if until is None:
            return ""
        words = [
            ngettext("%(count)d case", "%(count)d cases", outcome["cases"]) % {"count": outcome["cases"]},
            ngettext("%(count)d mask", "%(count)d masks", outcome["masks"]) % {"count": outcome["masks"]},
            filesizeformat(outcome["size"]),
        ]
        if outcome["left_out"]:
            words.append(_("%(count)d left out, see dataset.json") % {"count": outcome["left_out"]})
        words.append(_("kept until %(date)s") % {"date": date_format(timezone.localtime(until))})
        return ", ".join(words)

    @property
    def preview_url(self) -> str:
        """The preview's address; it changes with the picture. A job that stops takes its picture along."""
        if not self.job.preview or self.job.state != Job.State.RUNNING:
            return ""
        return f"{reverse('jobs:job-preview', args=[self.job.pk])}?{self.job.preview.rpartition('/')[2]}"

    @property
    def is_mine(self) -> bool:
        """Whether the reader handed it in."""
        return bool(self.job.owner_id == self.user.pk)
