"""Generative models that are installed here: versioned, hashed weights with their card."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse

from synthesis.edit_request import takes_image
from synthesis.imaging.adapted import adapted_recipe
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
    companions = models.JSONField(
        default=dict,
        blank=True,
        help_text="Files beside the weights: name, SHA-256 and bytes of each index of training cases.",
    )
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
    def changes_images(self) -> bool:
        """Whether it was trained to change images and draws none from nothing."""
        return takes_image(self.recipe)

    @property
    def parameters_millions(self) -> str:
        """The size of the network in words."""
        return f"{self.parameters / 1e6:.1f}"

    def recipe_with(self, adapter: "Adapter | None") -> dict[str, Any]:
        """What it draws, and how, while that adapter lies on it; its own recipe without one."""
        return self.recipe if adapter is None else adapted_recipe(self.recipe, adapter.recipe)

    def label_set_with(self, adapter: "Adapter | None") -> list[dict[str, Any]]:
        """The labels of the masks that it takes while that adapter lies on it."""
        return list((adapter.label_set if adapter is not None else None) or self.label_set)


class Adapter(Record):
    """A low-rank adapter (LoRA) of one model: small weights that change what the model draws.

    Its weights are immutable, and so are rank, alpha and layers, which say how they are laid on, and what
    its recipe says instead of the model's (`synthesis.imaging.adapted`). `recipe` is what came with it;
    `label_set` is the adapter's own, empty where it takes the model's masks.
    """

    base = models.ForeignKey(GenerativeModel, on_delete=models.PROTECT, related_name="adapters")
    name = models.SlugField(max_length=80, help_text="Short name, the same for every version.")
    version = models.CharField(
        max_length=40,
        validators=[RegexValidator(r"^[0-9A-Za-z][0-9A-Za-z.+_-]*\Z", "Letters, digits, dots and dashes.")],
    )
    title = models.CharField(max_length=200)
    method = models.CharField(max_length=80, help_text="How it was trained.")
    summary = models.TextField(blank=True)
    licence = models.CharField(max_length=120)
    rank = models.PositiveIntegerField(help_text="r of the matrices A [r, in] and B [out, r].")
    alpha = models.FloatField(help_text="Its strength is alpha / rank.")
    layers = models.JSONField(default=list, help_text="The layers of the network that it changes.")
    weights_sha256 = models.CharField(max_length=64)
    conditioning_sha256 = models.CharField(
        max_length=64, blank=True, default="", help_text="Of what was trained beside its layers."
    )
    weights_path = models.CharField(max_length=300, help_text="Name of the weights in the storage.")
    weights_size = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    parameters = models.PositiveBigIntegerField(default=0, help_text="Numbers in the weights.")
    card = models.TextField(blank=True, help_text="Adapter card, Markdown.")
    recipe = models.JSONField(default=dict)
    label_set = models.JSONField(default=list, blank=True)
    measures = models.JSONField(default=dict, blank=True)
    installed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="installed_adapters",
    )
    is_active = models.BooleanField(default=True, help_text="Offered in the form.")

    class Meta:
        ordering = ["name", "-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="adapter_name_version_unique"),
            models.UniqueConstraint(fields=["weights_sha256", "base"], name="adapter_once_per_model"),
            models.CheckConstraint(
                condition=models.Q(weights_sha256__regex=r"^[0-9a-f]{64}$"), name="adapter_sha256_is_hex"
            ),
            models.CheckConstraint(
                condition=models.Q(rank__gte=1, alpha__gt=0), name="adapter_has_rank_and_strength"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} {self.version}"

    def get_absolute_url(self) -> str:
        """The page of this version."""
        address = reverse("registry:adapter-detail", args=[self.name])
        return f"{address}?{urlencode({'version': self.version})}"

    @property
    def is_offered(self) -> bool:
        """Whether it can be asked for: it is on offer, and so is its model."""
        return self.is_active and self.base.is_active

    @property
    def modalities(self) -> list[str]:
        """What its model makes with it."""
        return list(self.base.recipe_with(self).get("modalities", []))

    @property
    def share_percent(self) -> float | None:
        """Its numbers as per cent of its model's; None where the model's are not known."""
        return 100.0 * self.parameters / self.base.parameters if self.base.parameters else None
