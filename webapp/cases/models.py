"""Datasets, the cases in them, the files behind a case, its masks, and what each import did."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from webapp.core.models import Record


def new_key() -> str:
    """256 random bits in hex."""
    return secrets.token_hex(32)


class Dataset(Record):
    """A curated collection of cases with a licence, a purpose and a version.

    `pseudonym_key` is the secret under which patients' numbers and UIDs are replaced on the way in:
    the same file gives the same pseudonyms in this dataset and unrelated ones in any other.
    """

    name = models.CharField(_("name"), max_length=120, unique=True)
    slug = models.SlugField(max_length=140, unique=True, editable=False)
    description = models.TextField(_("description"), blank=True)
    licence = models.CharField(_("licence"), max_length=200, blank=True)
    purpose = models.CharField(_("purpose"), max_length=300, blank=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    pseudonym_key = models.CharField(max_length=64, default=new_key, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="datasets", verbose_name=_("owner")
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="dataset_has_a_name"),
            models.CheckConstraint(condition=Q(version__gte=1), name="dataset_version_from_one"),
        ]

    def __str__(self) -> str:
        return self.name


class ShareLevel(models.TextChoices):
    """What a share allows; each level includes those before it."""

    VIEW = "view", _("View")
    ANNOTATE = "annotate", _("Annotate")
    MANAGE = "manage", _("Manage")


class DatasetShare(Record):
    """One person's access to one dataset."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="shares")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="dataset_shares",
        verbose_name=_("person"),
    )
    level = models.CharField(_("level"), max_length=10, choices=ShareLevel.choices, default=ShareLevel.VIEW)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "user"], name="one_share_per_person_and_dataset"),
            models.CheckConstraint(condition=Q(level__in=ShareLevel.values), name="share_level_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.dataset}: {self.user} may {self.level}"


class SourceFormat(models.TextChoices):
    """What a case came from."""

    DICOM = "dicom", "DICOM"
    NIFTI = "nifti", "NIfTI"
    RASTER = "raster", _("PNG or JPEG")
    SYNTHETIC = "synthetic", _("Synthetic")


class Case(Record):
    """One image object: a DICOM series, a NIfTI volume or a 2D image, always held as DICOM instances.

    A case belongs to a dataset, or to one person (a synthetic result that nobody has filed yet).
    `name` and `patient` are pseudonyms. `spacing_mm` is [between rows, between columns, between
    slices or null]. `stack` says where each slice lies: [instance number, frame from 0], in the
    order of position along the normal. `geometry` is `synthesis.imaging.geometry.Geometry.to_json()`
    with "slope" and "intercept" added: one number per slice, or one for all.
    `original_file` keeps a NIfTI or raster source with its voxels untouched.
    """

    dataset = models.ForeignKey(
        Dataset, null=True, blank=True, on_delete=models.CASCADE, related_name="cases"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="cases"
    )
    name = models.CharField(_("name"), max_length=120)
    patient = models.CharField(_("patient pseudonym"), max_length=64, blank=True)
    modality = models.CharField(_("modality"), max_length=16)
    source_format = models.CharField(_("source"), max_length=10, choices=SourceFormat.choices)
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)
    study_uid = models.CharField(max_length=64, db_index=True)
    series_uid = models.CharField(max_length=64, db_index=True)
    frame_of_reference_uid = models.CharField(max_length=64, blank=True)
    series_description = models.CharField(max_length=200, blank=True)
    rows = models.PositiveIntegerField()
    columns = models.PositiveIntegerField()
    slice_count = models.PositiveIntegerField()
    spacing_mm = models.JSONField(default=list)
    units = models.CharField(max_length=16, blank=True)
    window_center = models.FloatField(null=True, blank=True)
    window_width = models.FloatField(null=True, blank=True)
    is_synthetic = models.BooleanField(_("synthetic"), default=False)
    derived_from = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="derived",
        help_text=_("The case whose pixels it was made from; it goes when that one goes."),
    )
    is_colour = models.BooleanField(default=False)
    geometry = models.JSONField(default=dict)
    stack = models.JSONField(default=list)
    original_file = models.CharField(max_length=300, blank=True)
    content_sha256 = models.CharField(max_length=64, db_index=True)

    class Meta:
        ordering = ["name", "created_at"]
        indexes = [models.Index(fields=["dataset", "modality"]), models.Index(fields=["dataset", "patient"])]
        constraints = [
            models.CheckConstraint(
                condition=Q(dataset__isnull=False) | Q(owner__isnull=False), name="case_has_dataset_or_owner"
            ),
            models.CheckConstraint(
                condition=Q(rows__gte=1) & Q(columns__gte=1) & Q(slice_count__gte=1), name="case_is_not_empty"
            ),
            models.CheckConstraint(
                condition=Q(source_format__in=SourceFormat.values), name="case_source_is_known"
            ),
            models.UniqueConstraint(
                fields=["dataset", "series_uid"],
                condition=Q(dataset__isnull=False),
                name="one_case_per_series_and_dataset",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Instance(Record):
    """One stored DICOM file of a case, with what is needed to answer for it without opening it.

    `metadata` is the DICOM JSON model without pixel data. `frame_index` has one entry per frame: a
    list of [offset, length] byte ranges in `file`, one range for native pixels, one or more
    fragments for encapsulated ones. `position_mm` lies along the stack's normal (first frame's).
    `pixel_sha256` is taken over the decoded stored values, so lossless encodings of the same
    pixels share it.
    """

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="instances")
    sop_instance_uid = models.CharField(max_length=64, unique=True)
    sop_class_uid = models.CharField(max_length=64)
    number = models.PositiveIntegerField()
    instance_number = models.IntegerField(null=True, blank=True)
    rows = models.PositiveIntegerField()
    columns = models.PositiveIntegerField()
    frame_count = models.PositiveIntegerField(default=1)
    transfer_syntax_uid = models.CharField(max_length=64)
    file = models.CharField(max_length=300)
    size = models.PositiveBigIntegerField()
    pixel_sha256 = models.CharField(max_length=64)
    position_mm = models.FloatField(null=True, blank=True)
    metadata = models.JSONField(default=dict)
    frame_index = models.JSONField(default=list)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["case", "number"], name="one_instance_per_place_in_the_stack"),
            models.CheckConstraint(condition=Q(frame_count__gte=1), name="instance_has_a_frame"),
            models.CheckConstraint(condition=Q(number__gte=1), name="instance_number_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.case} #{self.number}"


class MaskOrigin(models.TextChoices):
    """Where a mask came from."""

    IMPORTED = "imported", _("Imported")
    PAINTED = "painted", _("Painted")
    SYNTHETIC = "synthetic", _("Synthetic")
    DERIVED = "derived", _("Derived")


class Mask(Record):
    """A labelled segmentation bound to a case; each save is a new version that replaces the last.

    `file` holds a zlib-compressed little-endian uint16 array [slices, rows, columns] in the case's
    stack order, C order, zero meaning no label. `labels` is [{"value", "name", "color"}].
    """

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="masks")
    name = models.CharField(_("name"), max_length=120)
    origin = models.CharField(_("origin"), max_length=10, choices=MaskOrigin.choices)
    labels = models.JSONField(_("labels"), default=list)
    file = models.CharField(max_length=300)
    shape = models.JSONField(default=list)
    content_sha256 = models.CharField(max_length=64)
    version = models.PositiveIntegerField(default=1)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="masks"
    )
    replaced_by = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replaces"
    )

    class Meta:
        ordering = ["case", "name", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["case", "name", "version"], name="one_mask_per_case_name_and_version"
            ),
            models.CheckConstraint(condition=Q(version__gte=1), name="mask_version_from_one"),
            models.CheckConstraint(condition=Q(origin__in=MaskOrigin.values), name="mask_origin_is_known"),
            models.CheckConstraint(
                condition=Q(replaced_by__isnull=True) | ~Q(replaced_by=F("id")),
                name="mask_never_replaces_itself",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} (version {self.version})"


class ImportState(models.TextChoices):
    """How far an import is."""

    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    FINISHED = "finished", _("Finished")
    FAILED = "failed", _("Stopped")


class ImportRun(Record):
    """One import into a dataset and its counts.

    `staged_path` is the folder of uploaded files inside the storage, or the absolute path on the
    worker that the command line named. `open_case_id` is the case whose files are being written, so
    that a worker that takes over a killed import can clear them away.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="imports")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="imports"
    )
    job_id = models.UUIDField(null=True, blank=True, db_index=True)
    source_name = models.CharField(_("source"), max_length=300)
    state = models.CharField(
        _("state"), max_length=10, choices=ImportState.choices, default=ImportState.WAITING
    )
    taken = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    duplicate = models.PositiveIntegerField(default=0)
    staged_path = models.CharField(max_length=1000, blank=True)
    open_case_id = models.UUIDField(null=True, blank=True, editable=False)
    message = models.TextField(blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ImportState.values), name="import_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.source_name} → {self.dataset}"


class Outcome(models.TextChoices):
    """What an import did with one file."""

    TAKEN = "taken", _("Taken")
    CHANGED = "changed", _("Taken, changed")
    REFUSED = "refused", _("Refused")
    DUPLICATE = "duplicate", _("Already here")


class ImportEntry(Record):
    """What became of one file of an import, and why."""

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="entries")
    path = models.CharField(_("file"), max_length=500)
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome.choices)
    reason = models.TextField(_("reason"), blank=True)
    case = models.ForeignKey(
        Case, null=True, blank=True, on_delete=models.SET_NULL, related_name="import_entries"
    )

    class Meta:
        ordering = ["path"]
        indexes = [models.Index(fields=["run", "outcome"])]
        constraints = [
            models.UniqueConstraint(fields=["run", "path"], name="one_entry_per_file_of_an_import"),
            models.CheckConstraint(condition=Q(outcome__in=Outcome.values), name="import_outcome_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.path}: {self.outcome}"
