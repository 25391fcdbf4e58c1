"""Generative models that are installed here: versioned, hashed weights with their card."""

from urllib.parse import urlencode

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse

from webapp.core.models import Record


class GenerativeModel(Record):
    """One version of one model. The weights are immutable: other weights are another version.

    `recipe` is the JSON that the checkpoint carries; `label_set` (list of value, name, color), `field`
    (what spacing, field of view and matrix the model was trained for) and `measures` (what it reached,
    with goals) are taken from it at installation so that pages need not open the weights.
    """

    name = models.SlugField(max_length=80, help_text="Short name, the same for every version.")
    version = models.CharField(
        max_length=40,
        validators=[RegexValidator(r"^[0-9A-Za-z][0-9A-Za-z.+_-]*\Z", "Letters, digits, dots and dashes.")],
    )
    title = models.CharField(max_length=200)
    method = models.CharField(max_length=80, help_text="How it was trained, for example rectified flow.")
    backbone = models.CharField(max_length=80, help_text="The network family.")
    summary = models.TextField(blank=True)
    licence = models.CharField(max_length=120)
    weights_sha256 = models.CharField(max_length=64, unique=True)
    weights_path = models.CharField(max_length=300, help_text="Name of model.safetensors in the storage.")
    weights_size = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    parameters = models.PositiveBigIntegerField(default=0, help_text="Numbers in the weights.")
    card = models.TextField(blank=True, help_text="Model card, Markdown.")
    recipe = models.JSONField(default=dict)
    label_set = models.JSONField(default=list)
    field = models.JSONField(default=dict)
    measures = models.JSONField(default=dict, blank=True)
    installed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="installed_models",
    )
    is_active = models.BooleanField(default=True, help_text="Offered in the form.")

    class Meta:
        ordering = ["name", "-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="model_name_version_unique"),
            models.CheckConstraint(
                condition=models.Q(weights_sha256__regex=r"^[0-9a-f]{64}$"), name="model_sha256_is_hex"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} {self.version}"

    def get_absolute_url(self) -> str:
        """The page of this version."""
        return f"{reverse('registry:model-detail', args=[self.name])}?{urlencode({'version': self.version})}"

    @property
    def modalities(self) -> list[str]:
        """What it can make: CT, T1, T2."""
        return list(self.recipe.get("modalities", []))

    @property
    def parameters_millions(self) -> str:
        """The size of the network in words."""
        return f"{self.parameters / 1e6:.1f}"
