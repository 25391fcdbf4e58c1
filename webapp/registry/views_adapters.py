"""The pages of the adapters: what each changes, and how another is installed."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webapp.core.errors import ApplicationError
from webapp.core.permissions import can, require
from webapp.registry.cards import measure_rows, render_card
from webapp.registry.forms import AdapterUploadForm
from webapp.registry.models import Adapter
from webapp.registry.selectors import adapter_get_for, adapter_versions_for
from webapp.registry.services_adapters import adapter_offer, adapter_upload_submit


@login_required
@require_GET
def adapter_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One version of an adapter (?version=, else the newest offered): its model, card and measures."""
    adapter = adapter_get_for(user=request.user, name=name, version=request.GET.get("version"))
    context = {
        "adapter": adapter,
        "base": adapter.base,
        "card": render_card(adapter.card),
        "measures": measure_rows(adapter.measures),
        "versions": adapter_versions_for(user=request.user, name=name),
        "labels": adapter.label_set,
        "may_manage": can(request.user, "manage", adapter),
        "may_request": can(request.user, "request", adapter),
    }
    return render(request, "registry/adapter_detail.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def adapter_install(request: HttpRequest) -> HttpResponse:
    """Upload an adapter; a worker checks, tries and installs it."""
    require(request.user, "install", Adapter)
    form = AdapterUploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            job = adapter_upload_submit(user=request.user, **form.cleaned_data)
        except ApplicationError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            messages.info(request, _("The adapter is being checked. It is offered once it is installed."))
            return redirect("jobs:job-detail", job.pk)
    status = 400 if form.errors else 200
    return render(request, "registry/adapter_install.html", {"form": form}, status=status)


@login_required
@require_POST
def adapter_set_offered(request: HttpRequest, name: str, version: str) -> HttpResponse:
    """Offer a version, or withdraw it."""
    adapter = adapter_get_for(user=request.user, name=name, version=version)
    offered = request.POST.get("offered") == "yes"
    adapter_offer(user=request.user, adapter=adapter, offered=offered)
    messages.success(
        request, _("The adapter is offered again.") if offered else _("The adapter is withdrawn.")
    )
    return redirect(adapter)
