"""What readers do: their places in a study, the order made for each, their answers, how they looked."""

from __future__ import annotations

import secrets
from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webapp.core.models import AppendOnlyError, AppendOnlyQuerySet, Record
from webapp.readings.models.study import Reading, ReadingItem


def new_token() -> str:
    """128 random bits in hex: names an item to one reader and tells nothing else."""
    return secrets.token_hex(16)


class Place(Record):
    """One reader's place in one study.

    `is_auditor` marks the place through which the leak audit looks while the study is prepared: it
    belongs to the lead, counts as no reader, and is gone when the audit is done.
    """

    class State(models.TextChoices):
        """How far the reader is."""

        INVITED = "invited", _("Invited")
        READING = "reading", _("Reading")
        PAUSED = "paused", _("Paused")
        FINISHED = "finished", _("Finished")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    reading = models.ForeignKey(Reading, on_delete=models.CASCADE, related_name="places")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reading_places"
    )
    number = models.PositiveSmallIntegerField(help_text=_("The reader's number in exports, from 1."))
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.INVITED)
    seed = models.BigIntegerField(default=0, help_text=_("The order was made from it, once."))
    is_auditor = models.BooleanField(default=False, editable=False)
    may_view = models.JSONField(
        default=list,
        blank=True,
        help_text=_("Names of datasets in the study that the reader may look into, confirmed by the lead."),
    )
    experience = models.JSONField(
        default=dict, blank=True, help_text=_("What the reader said of profession and years of experience.")
    )
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["reading", "user"], name="place_once_per_reader"),
            models.UniqueConstraint(fields=["reading", "number"], name="place_number_once"),
            models.CheckConstraint(
                condition=Q(state__in=["invited", "reading", "paused", "finished", "withdrawn"]),
                name="place_state_known",
            ),
            models.CheckConstraint(
                condition=~Q(state="finished") | Q(finished_at__isnull=False), name="place_finished_has_time"
            ),
            models.CheckConstraint(
                condition=Q(is_auditor=True, number=0) | Q(is_auditor=False, number__gte=1),
                name="place_number_from_one",
            ),
        ]

    def __str__(self) -> str:
        return f"reader {self.number}"


class Assignment(models.Model):
    """One position in one reader's order. `token` is all that this reader's browser knows of the item.

    A hidden repeat is an assignment of its own, with a token of its own, that `repeats` an earlier one.
    """

    place = models.ForeignKey(Place, on_delete=models.CASCADE, related_name="assignments")
    position = models.PositiveIntegerField(help_text=_("From 0, over all sessions."))
    session = models.PositiveSmallIntegerField(default=1)
    block = models.PositiveSmallIntegerField(default=0)
    item = models.ForeignKey(ReadingItem, on_delete=models.PROTECT, related_name="assignments")
    repeats = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="repeated_by"
    )
    token = models.CharField(max_length=32, unique=True, default=new_token, editable=False)
    opened_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["place", "position"]
        constraints = [
            models.UniqueConstraint(fields=["place", "position"], name="assignment_position_once"),
            models.CheckConstraint(condition=~Q(repeats=F("id")), name="assignment_repeats_another"),
        ]

    def __str__(self) -> str:
        return f"{self.place_id} #{self.position}"


class _Added(models.Model):
    """A row that may only be added: guarded here and again by triggers in the database."""

    at = models.DateTimeField(default=timezone.now, editable=False)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the row; refuse to write it a second time."""
        if not self._state.adding:
            raise AppendOnlyError("What a reader said or did is only added to; it cannot be changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError("What a reader said or did is only added to; it cannot be deleted.")


class Answer(_Added):
    """One answer to one question about one item, as it was given; a later revision is a row of its own.

    `submission` comes from the browser, so that an answer sent twice is stored once. `seconds` is
    the time that the item was in view before this answer, by the browser's own clock.
    """

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="answers")
    question = models.CharField(max_length=40)
    value = models.JSONField()
    revision = models.PositiveSmallIntegerField(default=0)
    seconds = models.FloatField()
    submission = models.UUIDField()

    class Meta:
        ordering = ["assignment", "question", "revision"]
        constraints = [
            models.UniqueConstraint(
                fields=["assignment", "question", "revision"], name="answer_revision_once"
            ),
            models.UniqueConstraint(fields=["submission", "question"], name="answer_submission_once"),
            models.CheckConstraint(condition=Q(seconds__gte=0), name="answer_seconds_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.assignment_id} {self.question} r{self.revision}"


class ViewingLog(_Added):
    """How a reader looked at an item: slices seen, windows, zoom, time away; one row per report."""

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="viewing")
    submission = models.UUIDField(unique=True)
    log = models.JSONField(default=dict)

    class Meta:
        ordering = ["assignment", "at"]

    def __str__(self) -> str:
        return f"viewing of {self.assignment_id}"


class PlaceEvent(_Added):
    """When a reader began, paused, resumed, began a session or finished."""

    place = models.ForeignKey(Place, on_delete=models.PROTECT, related_name="events")
    kind = models.CharField(max_length=20)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["place", "at", "id"]

    def __str__(self) -> str:
        return f"{self.place_id} {self.kind}"
