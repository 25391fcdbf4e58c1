"""Requests, jobs and results: what was asked for, the work it takes, and what came of it."""

from typing import Any

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from webapp.core.models import Record
from webapp.jobs.models_edits import EDITED_PIXELS as EDITED_PIXELS
from webapp.jobs.models_edits import Edit as Edit
from webapp.jobs.models_edits import Edited as Edited
from webapp.jobs.models_edits import EditStrip as EditStrip


class SeverityGrid(Record):
    """One request for each grade of severity, alike in everything else: mask, seed, sampler and model."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="severity_grids"
    )

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        """A short id, for admin and logs."""
        return f"grid {str(self.id)[:8]}"


class SynthesisRequest(Record):
    """What a person asks for; it never changes, so "again with these settings" can always be offered."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="synthesis_requests"
    )
    model = models.ForeignKey("registry.GenerativeModel", on_delete=models.PROTECT, related_name="requests")
    adapter = models.ForeignKey(
        "registry.Adapter",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="requests",
        help_text=_("What lies on the model; empty for the model as it was trained."),
    )
    case = models.ForeignKey(
        "cases.Case",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="synthesis_requests",
        help_text=_("The source; empty when the anatomy is a phantom's."),
    )
    mask = models.ForeignKey(
        "cases.Mask", on_delete=models.SET_NULL, null=True, blank=True, related_name="synthesis_requests"
    )
    slice_index = models.PositiveIntegerField(null=True, blank=True)
    parameters = models.JSONField(default=dict)
    seed = models.BigIntegerField()
    count = models.PositiveSmallIntegerField(default=1)
    note = models.CharField(max_length=500, blank=True, default="")
    labels = models.BinaryField(
        default=bytes,
        editable=False,
        help_text=_("The label map as the model will see it: zlib over uint8 [rows, columns], C order."),
    )
    grid = models.JSONField(
        default=dict, help_text=_("rows, columns and spacing_mm [row, column] of the label map.")
    )
    prepared = models.JSONField(
        default=dict, blank=True, help_text=_("What was mapped, derived and resampled to get the label map.")
    )

    severities = models.ForeignKey(
        SeverityGrid,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="requests",
        help_text=_("The grid that it belongs to, where it is one of several severities."),
    )

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["owner", "-created_at"], name="request_owner_created")]
        constraints = [
            models.CheckConstraint(condition=Q(count__gte=1), name="request_count_positive"),
            models.CheckConstraint(condition=Q(seed__gte=0), name="request_seed_not_negative"),
        ]

    def __str__(self) -> str:
        """The request in a few words, for admin and logs."""
        return f"request {str(self.id)[:8]}"

    @property
    def label_set(self) -> list[dict[str, Any]]:
        """What the values of its label map mean: the model's labels, or its adapter's."""
        return self.model.label_set_with(self.adapter)


class Job(Record):
    """One unit of work on a worker. This row is the truth; a Celery message only says "look again"."""

    class Queue(models.TextChoices):
        """Who does the work."""

        COMPUTE = "compute", _("Compute")
        RECORDS = "records", _("Records")

    class State(models.TextChoices):
        """Where the job stands."""

        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Running")
        CANCELLING = "cancelling", _("Stopping")
        SUCCEEDED = "succeeded", _("Done")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    HELD = (State.RUNNING, State.CANCELLING)
    ACTIVE = (State.QUEUED, State.RUNNING, State.CANCELLING)
    FINISHED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)

    kind = models.CharField(max_length=40)
    queue = models.CharField(max_length=10, choices=Queue)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    sequence = models.PositiveIntegerField(default=0, help_text=_("Rises by one with every change of state."))
    priority = models.SmallIntegerField(default=0, help_text=_("Among one person's jobs; higher goes first."))
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="jobs")
    request = models.ForeignKey(
        SynthesisRequest, on_delete=models.CASCADE, null=True, blank=True, related_name="jobs"
    )
    payload = models.JSONField(default=dict, blank=True)
    outcome = models.JSONField(default=dict, blank=True, help_text=_("What the job reports when it is done."))
    subject_type = models.CharField(max_length=40, blank=True, default="")
    subject_id = models.UUIDField(null=True, blank=True)
    available_at = models.DateTimeField(
        help_text=_("Not before this moment: the wait before another attempt.")
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    kills = models.PositiveSmallIntegerField(
        default=0, help_text=_("How many workers died or hung while they held this job.")
    )
    lease_token = models.BigIntegerField(default=0, help_text=_("Fencing token of the latest claim."))
    lease_owner = models.CharField(max_length=120, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    ran_on = models.CharField(max_length=120, blank=True, default="", help_text=_("Host and device."))
    stage = models.CharField(max_length=40, blank=True, default="")
    stage_deadline_at = models.DateTimeField(null=True, blank=True)
    step = models.PositiveIntegerField(default=0)
    steps_total = models.PositiveIntegerField(default=0)
    progress = models.FloatField(default=0.0)
    message = models.CharField(max_length=300, blank=True, default="")
    preview = models.CharField(max_length=200, blank=True, default="")
    error_code = models.CharField(max_length=40, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    error_detail = models.TextField(blank=True, default="", help_text=_("For administrators only."))
    reason = models.CharField(max_length=40, blank=True, default="")
    retry_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="retries"
    )
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["queue", "state", "owner", "-priority", "created_at"], name="job_next"),
            models.Index(fields=["owner", "-created_at"], name="job_owner_created"),
            models.Index(fields=["state", "lease_expires_at"], name="job_lease"),
            models.Index(fields=["kind", "state", "-finished_at"], name="job_history"),
            models.Index(fields=["subject_type", "subject_id"], name="job_subject"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    state__in=["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
                ),
                name="job_state_known",
            ),
            models.CheckConstraint(condition=Q(queue__in=["compute", "records"]), name="job_queue_known"),
            models.CheckConstraint(
                condition=Q(progress__gte=0.0) & Q(progress__lte=1.0), name="job_progress_is_fraction"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["running", "cancelling"])
                | (Q(lease_expires_at__isnull=False) & ~Q(lease_owner="") & Q(lease_token__gt=0)),
                name="job_running_has_lease",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["running", "cancelling"]) | Q(lease_expires_at__isnull=True),
                name="job_lease_only_while_running",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["succeeded", "failed", "cancelled"], finished_at__isnull=False)
                | (Q(state__in=["queued", "running", "cancelling"], finished_at__isnull=True)),
                name="job_finished_has_time",
            ),
            models.CheckConstraint(condition=~Q(retry_of=F("id")), name="job_retry_of_another"),
        ]

    def __str__(self) -> str:
        """Kind and short id, for admin and logs."""
        return f"{self.kind} {str(self.id)[:8]}"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to this job."""
        return self.state in self.FINISHED

    @property
    def percent(self) -> int:
        """Progress as whole percent; 100 only when done."""
        return 100 if self.state == self.State.SUCCEEDED else min(99, int(self.progress * 100))


class JobEvent(models.Model):
    """One change of a job's state, in order: the job's own history."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    sequence = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=Job.State)
    note = models.CharField(max_length=300, blank=True, default="")
    at = models.DateTimeField()

    class Meta:
        ordering = ["job", "sequence"]
        constraints = [models.UniqueConstraint(fields=["job", "sequence"], name="jobevent_once")]

    def __str__(self) -> str:
        """Job, sequence number and state."""
        return f"{self.job_id} #{self.sequence} {self.state}"


class QueueTurn(models.Model):
    """One row per queue: its lock while a worker chooses, and the last fencing token given out."""

    queue = models.CharField(max_length=10, choices=Job.Queue, primary_key=True)
    token = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        """Queue and last token."""
        return f"{self.queue} {self.token}"


class QueueShare(models.Model):
    """When each person was last served on a queue, counted in tokens: the order of the round robin."""

    queue = models.CharField(max_length=10, choices=Job.Queue)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    served = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "owner"], name="queueshare_once")]

    def __str__(self) -> str:
        """Queue, person and last turn."""
        return f"{self.queue} {self.owner_id} {self.served}"


class Quota(Record):
    """How many jobs one person may have waiting or running, where it differs from the common limit."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="job_quota")
    active_jobs = models.PositiveIntegerField(validators=[MinValueValidator(0)])

    def __str__(self) -> str:
        """Person and limit."""
        return f"{self.user}: {self.active_jobs}"


class WorkerHeartbeat(models.Model):
    """A worker's sign of life: which queue it serves, on what device, with which models warm."""

    worker = models.CharField(max_length=120, primary_key=True)
    queue = models.CharField(max_length=10, choices=Job.Queue)
    host = models.CharField(max_length=120)
    device = models.CharField(max_length=60, blank=True, default="")
    memory = models.PositiveBigIntegerField(
        null=True, blank=True, help_text=_("Bytes of the device, in all.")
    )
    warm_models = models.JSONField(default=list, blank=True, help_text=_("Names of the models in memory."))
    job_id = models.UUIDField(null=True, blank=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["queue", "seen_at"], name="heartbeat_seen")]

    def __str__(self) -> str:
        """The worker's name."""
        return self.worker


class Result(Record):
    """One synthetic image: the personal case that holds its DICOM, and the recipe that made its pixels."""

    class Decision(models.TextChoices):
        """What the person who asked for it says of it."""

        OPEN = "", _("Not decided")
        ACCEPTED = "accepted", _("Accepted")
        REJECTED = "rejected", _("Rejected")

    request = models.ForeignKey(SynthesisRequest, on_delete=models.CASCADE, related_name="results")
    job = models.ForeignKey(Job, on_delete=models.RESTRICT, related_name="results")
    index = models.PositiveSmallIntegerField()
    case = models.OneToOneField("cases.Case", on_delete=models.CASCADE, related_name="result")
    mask = models.ForeignKey(
        "cases.Mask", on_delete=models.SET_NULL, null=True, blank=True, related_name="results"
    )
    seed = models.BigIntegerField()
    recipe = models.JSONField(default=dict)
    pixel_sha256 = models.CharField(max_length=64)
    quality = models.JSONField(default=dict, blank=True)
    decision = models.CharField(max_length=10, choices=Decision, blank=True, default=Decision.OPEN)
    decision_note = models.CharField(max_length=1000, blank=True, default="")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    is_offered = models.BooleanField(default=False, help_text=_("Study leads may use it in reader studies."))

    class Meta:
        ordering = ["-created_at", "index"]
        indexes = [models.Index(fields=["request", "index"], name="result_request")]
        constraints = [
            models.UniqueConstraint(fields=["request", "index"], name="result_once_per_request"),
            models.CheckConstraint(
                condition=Q(decision__in=["", "accepted", "rejected"]), name="result_decision_known"
            ),
            models.CheckConstraint(
                condition=Q(decision="", decided_at__isnull=True)
                | (~Q(decision="") & Q(decided_at__isnull=False)),
                name="result_decided_has_time",
            ),
        ]

    def __str__(self) -> str:
        """Short id and number within the request."""
        return f"result {str(self.id)[:8]} ({self.index + 1})"

    @property
    def owner(self) -> models.Model:
        """Whoever asked for it."""
        return self.request.owner


class Uncertainty(models.Model):
    """A result's uncertainty map: one standard deviation per pixel, in the image's own unit."""

    result = models.OneToOneField(
        Result, on_delete=models.CASCADE, primary_key=True, related_name="uncertainty"
    )
    values = models.BinaryField(
        editable=False, help_text=_("zlib over uint16 [rows, columns], C order; times `scale` the deviation.")
    )
    scale = models.FloatField()
    rows = models.PositiveIntegerField()
    columns = models.PositiveIntegerField()
    about = models.JSONField(default=dict, help_text=_("Where and how closely it was measured, in sum."))

    def __str__(self) -> str:
        """The result it belongs to, for logs."""
        return f"uncertainty of {self.result_id}"
