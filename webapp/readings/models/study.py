"""A reader study and its items, as far as a reader's browser may ever be told of them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from webapp.core.models import Record


class Reading(Record):
    """One version of one reader study; after launch its protocol and items never change again.

    `protocol` is `webapp.readings.protocol.Protocol.to_json()`: what the lead edits while the study
    is a draft. At launch it is written once more with the order of every reader and the digest of
    every item's pixels, and `protocol_sha256` is the digest of exactly that text.
    """

    class State(models.TextChoices):
        """Where the study stands."""

        DRAFT = "draft", _("Draft")
        PREPARING = "preparing", _("Being prepared")
        READY = "ready", _("Ready to launch")
        OPEN = "open", _("Open for reading")
        CLOSED = "closed", _("Closed, still blinded")
        UNBLINDED = "unblinded", _("Unblinded")

    EDITABLE = (State.DRAFT, State.READY)
    LAUNCHED = (State.OPEN, State.CLOSED, State.UNBLINDED)

    title = models.CharField(_("title"), max_length=160)
    summary = models.TextField(_("summary"), blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="readings",
        verbose_name=_("study lead"),
    )
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    version = models.PositiveIntegerField(default=1)
    replaces = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by"
    )
    protocol = models.JSONField(default=dict)
    protocol_sha256 = models.CharField(max_length=64, blank=True, default="")
    job_id = models.UUIDField(null=True, blank=True, help_text=_("The job that prepares it."))
    prepared_at = models.DateTimeField(null=True, blank=True)
    launched_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    unblinded_at = models.DateTimeField(null=True, blank=True)
    unblinded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    is_simulated = models.BooleanField(
        default=False, help_text=_("Its readers are simulated: every page and export says so.")
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=~Q(title=""), name="reading_has_a_title"),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "preparing", "ready", "open", "closed", "unblinded"]),
                name="reading_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "preparing", "ready"], launched_at__isnull=True)
                | (
                    Q(state__in=["open", "closed", "unblinded"], launched_at__isnull=False)
                    & ~Q(protocol_sha256="")
                ),
                name="reading_launched_is_hashed",
            ),
            models.CheckConstraint(
                condition=~Q(state="unblinded") | Q(unblinded_at__isnull=False, unblinded_by__isnull=False),
                name="reading_unblinded_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} (version {self.version})"

    @property
    def is_editable(self) -> bool:
        """Whether items and protocol may still change."""
        return self.state in self.EDITABLE


class ReadingItem(Record):
    """One thing to be read, and nothing by which its arm could be told.

    `pixels` is the harmonised image in the storage, little-endian int16, [frames, rows, columns]
    in C order under an opaque name; every item of a study has the same shape and the same length.
    `number` is a random permutation made when the study is prepared. `feedback` is filled for training items
    alone, so that answering one needs no look at the truth.
    """

    class Role(models.TextChoices):
        """What the item is there for."""

        MAIN = "main", _("Counted")
        TRAINING = "training", _("Training, with feedback")
        ATTENTION = "attention", _("Attention check")

    reading = models.ForeignKey(Reading, on_delete=models.CASCADE, related_name="items")
    role = models.CharField(max_length=10, choices=Role, default=Role.MAIN)
    number = models.PositiveIntegerField(null=True, blank=True)
    modality = models.CharField(max_length=16, blank=True, default="")
    rows = models.PositiveIntegerField(default=0)
    columns = models.PositiveIntegerField(default=0)
    frames = models.PositiveIntegerField(default=0)
    spacing_mm = models.JSONField(default=list, help_text=_("Between rows, between columns."))
    window_center = models.FloatField(null=True, blank=True)
    window_width = models.FloatField(null=True, blank=True)
    pixels = models.CharField(max_length=200, blank=True, default="")
    pixels_sha256 = models.CharField(max_length=64, blank=True, default="")
    feedback = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["number", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["reading", "number"], condition=Q(number__isnull=False), name="item_number_once"
            ),
            models.CheckConstraint(
                condition=Q(role__in=["main", "training", "attention"]), name="item_role_known"
            ),
            models.CheckConstraint(
                condition=Q(role="training") | Q(feedback=""), name="item_feedback_in_training"
            ),
        ]

    def __str__(self) -> str:
        return f"item {str(self.id)[:8]}"
