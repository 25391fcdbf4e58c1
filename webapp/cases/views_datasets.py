"""Datasets: the list, one with its cases, making, editing, sharing and deleting."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.models import User
from webapp.accounts.requests import PersonRequest
from webapp.cases.forms import CaseFilter, DatasetForm, DeleteForm, ShareForm
from webapp.cases.models import Dataset
from webapp.cases.selectors import (
    case_list_for,
    dataset_get_for,
    dataset_list_for,
    import_list_for,
)
from webapp.cases.services import dataset_create, dataset_delete, dataset_share, dataset_update
from webapp.core.errors import ApplicationError
from webapp.core.permissions import can, require

CASES_PER_PAGE = 24
RECENT_IMPORTS = 5
MASKED = {"yes": True, "no": False}


@login_required
@never_cache
@require_safe
def dataset_list(request: HttpRequest) -> HttpResponse:
    """Every dataset that the person owns or that is shared with them."""
    require(request.user, "view", Dataset)
    page = Paginator(dataset_list_for(user=request.user).order_by("name"), CASES_PER_PAGE).get_page(
        request.GET.get("page")
    )
    return render(
        request,
        "cases/dataset_list.html",
        {"page_obj": page, "may_create": can(request.user, "create", Dataset)},
    )


@login_required
def dataset_new(request: PersonRequest) -> HttpResponse:
    """Make a dataset; its page asks for the first import."""
    require(request.user, "create", Dataset)
    form = DatasetForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            dataset = dataset_create(user=request.user, **form.cleaned_data)
        except ApplicationError as error:
            _explain(form, error)
        else:
            messages.success(request, _("The dataset “%(name)s” is made.") % {"name": dataset.name})
            return redirect("cases:import-new", id=dataset.pk)
    return render(request, "cases/dataset_form.html", {"form": form}, status=400 if form.errors else 200)


@login_required
def dataset_edit(request: PersonRequest, id: UUID) -> HttpResponse:
    """Change what a dataset says of itself."""
    dataset = _dataset(request, id, "manage")
    before = str(dataset)
    form = DatasetForm(request.POST if request.method == "POST" else None, instance=dataset)
    if request.method == "POST" and form.is_valid():
        dataset.refresh_from_db()
        try:
            dataset_update(user=request.user, dataset=dataset, **form.cleaned_data)
        except ApplicationError as error:
            _explain(form, error)
        else:
            messages.success(request, _("The dataset is saved."))
            return redirect("cases:dataset-detail", id=dataset.pk)
    context = {"form": form, "dataset": dataset, "dataset_name": before}
    return render(request, "cases/dataset_form.html", context, status=400 if form.errors else 200)


@login_required
@never_cache
@require_safe
def dataset_detail(request: PersonRequest, id: UUID) -> HttpResponse:
    """A dataset: what it is, its cases, who sees it, what was imported."""
    return _dataset_page(request, _dataset(request, id, "view"))


def _dataset_page(
    request: PersonRequest,
    dataset: Dataset,
    *,
    share_form: ShareForm | None = None,
    delete_form: DeleteForm | None = None,
    status: int = 200,
) -> HttpResponse:
    modalities = list(dataset.cases.order_by("modality").values_list("modality", flat=True).distinct())
    narrow = CaseFilter(request.GET or None, modalities=modalities)
    chosen = narrow.cleaned_data if narrow.is_bound and narrow.is_valid() else {}
    cases = case_list_for(
        user=request.user,
        dataset=dataset,
        search=chosen.get("search", ""),
        modality=chosen.get("modality", ""),
        masked=MASKED.get(chosen.get("masked", "")),
    )
    manages = can(request.user, "manage", dataset)
    context: dict[str, Any] = {
        "dataset": dataset,
        "filter": narrow,
        "is_narrowed": any(chosen.get(name) for name in ("search", "modality", "masked")),
        "page_obj": Paginator(cases.order_by("name", "created_at"), CASES_PER_PAGE).get_page(
            request.GET.get("page")
        ),
        "case_total": dataset.cases.count(),
        "may_manage": manages,
    }
    if manages:
        context |= {
            "shares": dataset.shares.select_related("user"),
            "share_form": share_form or ShareForm(),
            "delete_form": delete_form or DeleteForm(dataset=dataset),
            "imports": import_list_for(user=request.user, dataset=dataset)[:RECENT_IMPORTS],
        }
    return render(request, "cases/dataset_detail.html", context, status=status)


@login_required
@require_POST
def dataset_share_view(request: PersonRequest, id: UUID) -> HttpResponse:
    """Share with somebody, change their level, or (empty level) end it."""
    dataset = _dataset(request, id, "manage")
    form = ShareForm(request.POST)
    ends = "level" in request.POST and request.POST["level"] == ""
    if not ends and not form.is_valid():
        return _dataset_page(request, dataset, share_form=form, status=400)
    name = str(request.POST.get("person", "")).strip()
    person = User.objects.filter(username__iexact=name, is_active=True).first()
    try:
        if person is None:
            raise ApplicationError(
                _("Nobody signs in as “%(name)s”. Ask an administrator for the name.") % {"name": name},
                field="person",
            )
        dataset_share(
            user=request.user,
            dataset=dataset,
            person=person,
            level=None if ends else form.cleaned_data["level"],
        )
    except ApplicationError as error:
        _explain(form, error)
        return _dataset_page(request, dataset, share_form=form, status=400)
    said = _("%(person)s sees this dataset no more.") if ends else _("Shared with %(person)s.")
    messages.success(request, said % {"person": person})
    return redirect(reverse("cases:dataset-detail", kwargs={"id": dataset.pk}) + "#sharing")


@login_required
@require_POST
def dataset_delete_view(request: PersonRequest, id: UUID) -> HttpResponse:
    """Delete a dataset with all that is in it, once its name was typed."""
    dataset = _dataset(request, id, "delete")
    form = DeleteForm(request.POST, dataset=dataset)
    if not form.is_valid():
        return _dataset_page(request, dataset, delete_form=form, status=400)
    name, cases = dataset.name, dataset.cases.count()
    try:
        dataset_delete(user=request.user, dataset=dataset)
    except ApplicationError as error:
        form.add_error("name", str(error))
        return _dataset_page(request, dataset, delete_form=form, status=409)
    messages.success(
        request,
        ngettext(
            "The dataset “%(name)s” and its %(count)d case are deleted.",
            "The dataset “%(name)s” and its %(count)d cases are deleted.",
            cases,
        )
        % {"name": name, "count": cases},
    )
    return redirect("cases:dataset-list")


def _dataset(request: PersonRequest, id: UUID, action: str) -> Dataset:
    dataset = dataset_get_for(user=request.user, id=id)
    require(request.user, action, dataset)
    return dataset


def _explain(form: forms.BaseForm, error: ApplicationError) -> None:
    form.add_error(error.field if error.field in form.fields else None, str(error))
