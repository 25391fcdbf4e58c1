"""Signing in and out, and one's own account."""

from typing import Any
from uuid import UUID

from axes.helpers import get_client_ip_address, get_cool_off
from axes.models import AccessAttempt
from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from webapp.accounts.forms import PersonForm, SignInForm, TokenForm
from webapp.accounts.models import ApiToken
from webapp.accounts.requests import PersonRequest
from webapp.accounts.selectors import token_list_for
from webapp.accounts.services import password_changed, person_update, token_create, token_revoke
from webapp.core.permissions import can, require
from webapp.core.problems import problem_response, wants_document


class LoginView(auth_views.LoginView):
    """Sign in; somebody who is signed in already goes straight on."""

    template_name = "accounts/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True


class LogoutView(auth_views.LogoutView):
    """Sign out (by POST only, so that no link can do it)."""


@method_decorator(never_cache, name="dispatch")
class PasswordChangeView(auth_views.PasswordChangeView):
    """Choose a new password; every other session of the person ends."""

    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("accounts:profile")

    def form_valid(self, form: Any) -> HttpResponse:
        """Store it and say so."""
        response = super().form_valid(form)
        password_changed(user=form.user)
        messages.success(self.request, _("Your password is changed. Your other sessions are signed out."))
        return response


def locked_out(
    request: HttpRequest,
    original_response: HttpResponse | None = None,
    credentials: dict[str, Any] | None = None,
) -> HttpResponse:
    """Too many failed sign-ins from this address for this name: say when to try again (429)."""
    username = (credentials or {}).get("username") or request.POST.get("username", "")
    attempt = (
        AccessAttempt.objects.filter(username=username, ip_address=get_client_ip_address(request))
        .order_by("-attempt_time")
        .first()
    )
    cool_off = get_cool_off(request)
    again_at = (attempt.attempt_time if attempt else timezone.now()) + cool_off if cool_off else None
    if wants_document(request):
        return problem_response(request, 429, _("Too many failed sign-ins. Wait before trying again."))
    response = render(request, "accounts/locked_out.html", {"again_at": again_at}, status=429)
    if again_at:
        response.headers["Retry-After"] = str(max(1, int((again_at - timezone.now()).total_seconds())))
    return response


@never_cache
@login_required
def profile(request: PersonRequest) -> HttpResponse:
    """One's name and address, roles, password and tokens."""
    form = PersonForm(
        request.POST or None,
        initial={"display_name": request.user.display_name, "email": request.user.email},
    )
    if request.method == "POST" and form.is_valid():
        person_update(actor=request.user, user=request.user, **form.cleaned_data)
        messages.success(request, _("Your profile is saved."))
        return redirect("accounts:profile")
    return _profile_page(request, form=form)


def _profile_page(
    request: PersonRequest,
    *,
    form: PersonForm | None = None,
    token_form: TokenForm | None = None,
    new_token: tuple[ApiToken, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    initial = {"display_name": request.user.display_name, "email": request.user.email}
    context = {
        "form": form or PersonForm(initial=initial),
        "token_form": token_form or TokenForm(),
        "may_hold_tokens": can(request.user, "create", ApiToken),
        "tokens": token_list_for(user=request.user),
        "new_token": new_token,
    }
    return render(request, "accounts/profile.html", context, status=status)


@never_cache
@login_required
@require_POST
def token_new(request: PersonRequest) -> HttpResponse:
    """Make a token. The page that answers shows it this once: it is never stored, nor put into a session."""
    require(request.user, "create", ApiToken)
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _profile_page(request, token_form=form, status=400)
    made = token_create(user=request.user, name=form.cleaned_data["name"], expires_at=form.expires_at())
    return _profile_page(request, new_token=made)


@login_required
@require_POST
def token_end(request: PersonRequest, id: UUID) -> HttpResponse:
    """Revoke a token."""
    token = get_object_or_404(ApiToken.objects.select_related("user"), pk=id)
    require(request.user, "delete", token)
    token_revoke(actor=request.user, token=token)
    messages.success(request, _("The token “%(name)s” is revoked and works no more.") % {"name": token.name})
    if token.user_id != request.user.pk:
        return redirect("accounts:person", id=token.user_id)
    return redirect("accounts:profile")
