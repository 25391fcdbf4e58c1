"""People and tokens in Django admin.

Roles, passwords and closing an account are on the people page, which keeps the last administrator
and writes the audit trail; here they can be read.
"""

from django.contrib import admin
from django.http import HttpRequest

from webapp.accounts.models import ApiToken, RoleGrant, User
from webapp.core.admin import AuditedAdmin, ReadOnlyAdmin


class RoleGrantInline(admin.TabularInline):
    """The roles that a person holds, to read."""

    model = RoleGrant
    fk_name = "user"
    fields = ("role", "granted_by", "created_at")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """On the people page."""
        return False


@admin.register(User)
class UserAdmin(AuditedAdmin):
    """People."""

    list_display = ("username", "display_name", "email", "roles_shown", "is_active", "last_login")
    list_filter = ("is_active", "is_superuser", "role_grants__role")
    search_fields = ("username", "display_name", "email")
    fields = (
        "username",
        "display_name",
        "email",
        "is_active",
        "is_superuser",
        "must_change_password",
        "last_login",
        "created_at",
    )
    readonly_fields = (
        "username",
        "is_active",
        "is_superuser",
        "must_change_password",
        "last_login",
        "created_at",
    )
    inlines = (RoleGrantInline,)

    @admin.display(description="roles")
    def roles_shown(self, user: User) -> str:
        """The roles in words."""
        return ", ".join(user.role_labels)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """On the people page."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Never: accounts are closed, so that what people made keeps its maker."""
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens; the secret itself is not stored."""

    list_display = ("name", "user", "prefix", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("revoked_at",)
    search_fields = ("name", "user__username", "prefix")
    exclude = ("digest",)


@admin.register(RoleGrant)
class RoleGrantAdmin(ReadOnlyAdmin):
    """Who holds which role."""

    list_display = ("user", "role", "granted_by", "created_at")
    list_filter = ("role",)
    search_fields = ("user__username", "user__display_name")
