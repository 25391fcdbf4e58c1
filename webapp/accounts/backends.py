"""Administrators by role may use Django admin; what it lets them change, each admin page says itself."""

from typing import Any

from django.contrib.auth.backends import BaseBackend

from webapp.accounts.models import Role, User


class AdministratorBackend(BaseBackend):
    """Answers Django's permission questions for those who hold the administrator's role."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Every permission, while the account is open."""
        return isinstance(user_obj, User) and user_obj.is_active and user_obj.has_role(Role.ADMINISTRATOR)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Every app's pages."""
        return self.has_perm(user_obj, "")
