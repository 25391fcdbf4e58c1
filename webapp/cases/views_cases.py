"""One case: changing what it is said to be, and deleting it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from webapp.accounts.requests import PersonRequest
from webapp.cases.forms import CaseForm, attribute_rows
from webapp.cases.models import Case
from webapp.cases.selectors import case_get_for
from webapp.cases.services import case_delete, case_update
from webapp.core.errors import ApplicationError
from webapp.core.permissions import can, require


@login_required
@never_cache
def case_edit(request: PersonRequest, case_id: UUID) -> HttpResponse:
    """Mend a case's name, modality and attributes."""
    case = _case(request, case_id, "manage")
    data = request.POST if request.method == "POST" else None
    form, rows = CaseForm(data, case=case), attribute_rows(case, data)
    if request.method == "POST" and all([form.is_valid(), rows.is_valid()]):
        try:
            case_update(
                user=request.user,
                case=case,
                name=form.cleaned_data["name"],
                modality=form.cleaned_data["modality"],
                attributes={**form.attributes(), **rows.attributes()},
            )
        except ApplicationError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, _("The case is saved."))
            return redirect("cases:case-detail", case_id=case.pk)
    context = {
        "case": case,
        "dataset": case.dataset,
        "form": form,
        "rows": rows,
        "may_delete": can(request.user, "delete", case),
    }
    refused = request.method == "POST"
    return render(request, "cases/case_form.html", context, status=400 if refused else 200)


@login_required
@require_POST
def case_delete_view(request: PersonRequest, case_id: UUID) -> HttpResponse:
    """Delete one case with its masks."""
    case = _case(request, case_id, "delete")
    dataset, name = case.dataset, case.name
    case_delete(user=request.user, case=case)
    messages.success(request, _("The case “%(name)s” is deleted.") % {"name": name})
    if dataset is None:
        return redirect("jobs:result-list")
    return redirect("cases:dataset-detail", id=dataset.pk)


def _case(request: PersonRequest, case_id: UUID, action: str) -> Case:
    case = case_get_for(user=request.user, id=case_id)
    require(request.user, action, case)
    return case
