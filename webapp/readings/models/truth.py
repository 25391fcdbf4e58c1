"""The truth of a study: which arm an item is of, and everything that was made from knowing it.

Nothing that serves a reader imports this module (tests/contracts hold that).
"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from webapp.core.models import Record
from webapp.readings.models.study import Reading, ReadingItem


def new_salt() -> str:
    """256 random bits in hex."""
    return secrets.token_hex(32)


class ItemTruth(Record):
    """Where an item came from. A copy of what matters stays when its source is deleted."""

    class Arm(models.TextChoices):
        """What is to be told apart."""

        REAL = "real", _("Real")
        SYNTHETIC = "synthetic", _("Synthetic")

    class Control(models.TextChoices):
        """Whether the item controls the study itself."""

        NONE = "", _("None")
        KNOWN_BAD = "known_bad", _("Known-bad synthetic (positive control)")
        RECONSTRUCTED = "reconstructed", _("Reconstructed real (negative control)")

    item = models.OneToOneField(ReadingItem, on_delete=models.CASCADE, related_name="truth")
    arm = models.CharField(max_length=10, choices=Arm)
    control = models.CharField(max_length=14, choices=Control, blank=True, default=Control.NONE)
    case = models.ForeignKey(
        "cases.Case", on_delete=models.SET_NULL, null=True, blank=True, related_name="reading_items"
    )
    result = models.ForeignKey(
        "jobs.Result", on_delete=models.SET_NULL, null=True, blank=True, related_name="reading_items"
    )
    first_slice = models.PositiveIntegerField(default=0)
    slice_count = models.PositiveIntegerField(default=1)
    stratum = models.CharField(max_length=80, blank=True, default="")
    patient = models.CharField(
        max_length=64, help_text=_("Pseudonym under which items of one patient are clustered.")
    )
    attributes = models.JSONField(default=dict, blank=True, help_text=_("Severity and the like, as known."))
    expected = models.JSONField(
        default=dict, blank=True, help_text=_("Question -> right value, of an attention check.")
    )
    source = models.JSONField(default=dict, blank=True, help_text=_("What the source was, in words."))

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(arm__in=["real", "synthetic"]), name="truth_arm_known"),
            models.CheckConstraint(
                condition=Q(control__in=["", "known_bad", "reconstructed"]), name="truth_control_known"
            ),
            models.CheckConstraint(
                condition=~Q(control="known_bad") | Q(arm="synthetic"), name="truth_known_bad_is_synthetic"
            ),
            models.CheckConstraint(
                condition=~Q(control="reconstructed") | Q(arm="real"), name="truth_reconstructed_is_real"
            ),
        ]

    def __str__(self) -> str:
        return f"truth of {self.item_id}"


class Preparation(Record):
    """What harmonising did to both arms, what the leak audit found, and what the lead said to it.

    `key` is the digest of items and protocol that this preparation belongs to: when they change,
    the study has to be prepared anew. `salt` goes into the digest of the truth that the protocol
    carries, so that the digest tells nothing until the salt is published with the truth.
    """

    reading = models.OneToOneField(Reading, on_delete=models.CASCADE, related_name="preparation")
    key = models.CharField(max_length=64)
    salt = models.CharField(max_length=64, default=new_salt, editable=False)
    harmonisation = models.JSONField(default=dict)
    audit = models.JSONField(default=dict)
    is_blocked = models.BooleanField(default=True, help_text=_("A metadata leak blocks the launch."))
    needs_acceptance = models.BooleanField(default=False)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    accepted_at = models.DateTimeField(null=True, blank=True)
    acceptance = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return f"preparation of {self.reading_id}"


class ReadingReport(Record):
    """The report of an unblinded study, as it was computed; a later one is a row of its own."""

    reading = models.ForeignKey(Reading, on_delete=models.CASCADE, related_name="reports")
    figures = models.JSONField(default=dict)
    seconds = models.FloatField(default=0.0)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"report of {self.reading_id}"
