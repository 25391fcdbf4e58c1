"""Counterfactuals: what a request for "the same image with one thing changed" adds, and what comes of it."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from webapp.core.models import Record


class EditStrip(Record):
    """One image changed more and more: requests alike in everything but the strength or the severity."""

    class Along(models.TextChoices):
        """What differs from one to the next."""

        STRENGTH = "strength", _("Strength")
        SEVERITY = "severity", _("Severity")

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="edit_strips")
    along = models.CharField(max_length=10, choices=Along)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(along__in=["strength", "severity"]), name="strip_along_known")
        ]

    def __str__(self) -> str:
        """A short id, for admin and logs."""
        return f"strip {str(self.id)[:8]}"


class Edit(models.Model):
    """What a request for a counterfactual adds: the image to be changed, as the model will see it.

    It goes with the source case, and with it what was made of those pixels. The conditions before and
    after, and how to make the change, stand in the request's parameters.
    """

    request = models.OneToOneField(
        "jobs.SynthesisRequest", on_delete=models.CASCADE, primary_key=True, related_name="edit"
    )
    source = models.ForeignKey("cases.Case", on_delete=models.CASCADE, related_name="edits")
    image = models.BinaryField(
        editable=False, help_text=_("zlib over int16 [rows, columns], C order: HU or signal.")
    )
    labels_after = models.BinaryField(
        default=bytes, editable=False, help_text=_("The label map to come, like `labels`; empty: the same.")
    )
    strip = models.ForeignKey(
        EditStrip, on_delete=models.SET_NULL, null=True, blank=True, related_name="edits"
    )

    def __str__(self) -> str:
        """The request it belongs to, for logs."""
        return f"edit {str(self.request_id)[:8]}"


EDITED_PIXELS = ("edited__original", "edited__undone")
"""The whole stacks that a list of results leaves unread."""


class Edited(models.Model):
    """What a counterfactual's result adds: how far it is from its source, and the change taken back."""

    result = models.OneToOneField(
        "jobs.Result", on_delete=models.CASCADE, primary_key=True, related_name="edited"
    )
    numbers = models.JSONField(default=dict, help_text=_("As `synthesis.edit` measures them."))
    undone = models.BinaryField(
        default=bytes,
        editable=False,
        help_text=_("The image with the change taken back, like `image` of the edit; empty: not tried."),
    )
    original = models.BinaryField(
        default=bytes,
        editable=False,
        help_text=_("Of a series: its source on the same grid, [slices, rows, columns]; empty: one slice."),
    )

    def __str__(self) -> str:
        """The result it belongs to, for logs."""
        return f"edited {str(self.result_id)[:8]}"
