"""Django admin as "All records": for administrators; for every other person it does not exist."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _


class RecordsSite(AdminSite):
    """The admin site; its sign-in is the site's own, which throttles and writes the audit trail."""

    site_header = "Semblance"
    site_title = "Semblance"
    index_title = _("All records")

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the person is an administrator."""
        user: Any = request.user
        return bool(user.is_authenticated and user.is_active and user.has_role("administrator"))

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Hide every page from whoever may not enter.

        Raises:
            Http404: from the page, for a person who is signed in and no administrator.
        """
        guarded: Callable[..., HttpResponseBase] = super().admin_view(view, cacheable)

        @wraps(guarded)
        def hidden(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if self.has_permission(request):
                return guarded(request, *args, **kwargs)
            return self._refuse(request)

        return hidden

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The site's own sign-in page.

        Raises:
            Http404: for a person who is signed in and no administrator.
        """
        return self._refuse(request)

    def _refuse(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            raise Http404
        return redirect_to_login(request.GET.get("next") or request.get_full_path())
