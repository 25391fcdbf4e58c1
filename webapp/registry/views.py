"""The pages of the models: which there are, what each can do, and how another is installed."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webapp.core.errors import ApplicationError
from webapp.core.permissions import can, require
from webapp.registry.cards import later_measures, measure_rows, render_card
from webapp.registry.forms import ModelFolderForm, ModelUploadForm
from webapp.registry.models import GenerativeModel
from webapp.registry.selectors import adapter_list_for, model_get_for, model_list_for, model_versions_for
from webapp.registry.services import model_folder_submit, model_offer, model_upload_submit


@login_required
@require_GET
def model_list(request: HttpRequest) -> HttpResponse:
    """Every model, the newest offered version of each first."""
    require(request.user, "view", GenerativeModel)
    context = {
        "models": model_list_for(user=request.user),
        "may_install": can(request.user, "install", GenerativeModel),
    }
    return render(request, "registry/model_list.html", context)


@login_required
@require_GET
def model_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One version of a model (?version=, else the newest offered): card, measures, labels, validity."""
    model = model_get_for(user=request.user, name=name, version=request.GET.get("version"))
    context = {
        "model": model,
        "card": render_card(model.card),
        "measures": measure_rows(model.measures),
        "later": later_measures(model.measures),
        "versions": model_versions_for(user=request.user, name=name),
        "adapters": adapter_list_for(user=request.user, model=model),
        "may_manage": can(request.user, "manage", model),
        "may_request": can(request.user, "request", model),
    }
    return render(request, "registry/model_detail.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def model_install(request: HttpRequest) -> HttpResponse:
    """Upload a model, or name a folder that a worker can read; a worker checks and installs it."""
    require(request.user, "install", GenerativeModel)
    named = request.method == "POST" and "folder" in request.POST
    upload = ModelUploadForm() if named else ModelUploadForm(request.POST or None, request.FILES or None)
    folder = ModelFolderForm(request.POST if named else None)
    form: Any = folder if named else upload
    if request.method == "POST" and form.is_valid():
        submit: Any = model_folder_submit if named else model_upload_submit
        try:
            job = submit(user=request.user, **form.cleaned_data)
        except ApplicationError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            messages.info(request, _("The model is being checked. It is offered once it is installed."))
            return redirect("jobs:job-detail", job.pk)
    context = {"form": upload, "folder_form": folder, "inbox": settings.MODEL_INBOX}
    return render(request, "registry/model_install.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def model_set_offered(request: HttpRequest, name: str, version: str) -> HttpResponse:
    """Offer a version, or withdraw it."""
    model = model_get_for(user=request.user, name=name, version=version)
    offered = request.POST.get("offered") == "yes"
    model_offer(user=request.user, model=model, offered=offered)
    messages.success(request, _("The model is offered again.") if offered else _("The model is withdrawn."))
    return redirect(model)
