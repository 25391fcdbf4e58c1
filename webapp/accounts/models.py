"""People, the roles that they hold, and the tokens that act for them."""

import hashlib
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from webapp.core.models import Record


class Role(models.TextChoices):
    """What a person may do; a person may hold several."""

    CLINICIAN = "clinician", _("Clinician")
    ANNOTATOR = "annotator", _("Annotator")
    STUDY_LEAD = "study_lead", _("Study lead")
    DATA_MANAGER = "data_manager", _("Data manager")
    RESEARCHER = "researcher", _("Researcher")
    ADMINISTRATOR = "administrator", _("Administrator")


class User(Record, AbstractUser):
    """A person who can sign in."""

    display_name = models.CharField(_("name shown to others"), max_length=150, blank=True)
    must_change_password = models.BooleanField(
        _("must choose a new password"),
        default=False,
        help_text=_("Set while the person still has the one-time password that an administrator gave."),
    )

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        ordering = ["username"]

    def __str__(self) -> str:
        return self.display_name or self.get_full_name() or self.username

    @cached_property
    def roles(self) -> frozenset[Role]:
        """The roles that the person holds."""
        return frozenset(Role(grant.role) for grant in self.role_grants.all())

    @property
    def role_labels(self) -> list[str]:
        """The roles in words, in the order in which they are listed everywhere."""
        return [str(role.label) for role in Role if role in self.roles]

    def has_role(self, *roles: str) -> bool:
        """Whether the person holds at least one of the roles; a superuser holds all."""
        return self.is_superuser or any(role in self.roles for role in roles)

    def roles_forget(self) -> None:
        """Forget the roles read so far, so that they are read anew."""
        self.__dict__.pop("roles", None)

    def refresh_from_db(
        self, using: str | None = None, fields: Iterable[str] | None = None, from_queryset: Any = None
    ) -> None:
        """Read the person again, roles included."""
        super().refresh_from_db(using=using, fields=fields, from_queryset=from_queryset)
        self.roles_forget()


class RoleGrant(models.Model):
    """One person holds one role."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="role_grants")
    role = models.CharField(_("role"), max_length=20, choices=Role.choices)
    granted_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(_("given"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("role of a person")
        verbose_name_plural = _("roles of people")
        ordering = ["user", "role"]
        constraints = [
            models.UniqueConstraint(fields=["user", "role"], name="accounts_one_grant_per_role"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="accounts_known_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()}"


class ApiToken(Record):
    """A secret with which a program acts for a person. Only its SHA-256 is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("what it is for"), max_length=100)
    prefix = models.CharField(_("begins with"), max_length=12, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def is_usable(self) -> bool:
        """Whether a request that carries it is let in."""
        return self.revoked_at is None and not self.is_expired and self.user.is_active

    @staticmethod
    def digest_of(plaintext: str) -> str:
        """SHA-256 in hex. The secret has 256 random bits, so no slow hash is needed."""
        return hashlib.sha256(plaintext.encode()).hexdigest()
