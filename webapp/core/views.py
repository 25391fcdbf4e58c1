"""The health report and the audit trail."""

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from webapp.core import health
from webapp.core.models import AuditEvent
from webapp.core.permissions import require
from webapp.core.selectors import audit_actions, audit_list_for
from webapp.core.words import action_words

PAGE_SIZE = 50


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Database, broker, storage, workers and models, for whoever watches over the site: 200 or 503."""
    whole = health.report()
    return JsonResponse(whole, status=200 if whole["state"] == "ok" else 503)


class AuditFilterForm(forms.Form):
    """What the audit page shows."""

    person = forms.CharField(label=_("Person"), required=False, widget=forms.SearchInput())
    action = forms.ChoiceField(label=_("What was done"), required=False)
    about = forms.CharField(label=_("To what"), required=False, widget=forms.SearchInput())
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        choices = [(action, action_words(action)) for action in audit_actions()]
        self.fields["action"].choices = [("", _("Anything")), *choices]  # type: ignore[attr-defined]


@login_required
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """Who did what to which object, newest first; for administrators."""
    require(request.user, "view", AuditEvent)
    form = AuditFilterForm(request.GET)
    wanted = {name: value for name, value in form.cleaned_data.items() if value} if form.is_valid() else {}
    events = audit_list_for(user=request.user, **wanted)
    page = Paginator(events, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "core/audit.html", {"form": form, "page": page, "filtered": bool(wanted)})
