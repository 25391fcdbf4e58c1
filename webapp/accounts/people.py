"""The administrators' pages about people."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from webapp.accounts.forms import NewPersonForm, PeopleFilterForm, PersonForm, RolesForm
from webapp.accounts.models import Role, User
from webapp.accounts.requests import PersonRequest
from webapp.accounts.selectors import person_get_for, person_list_for, token_list_for
from webapp.accounts.services import (
    password_reset,
    person_activate,
    person_create,
    person_deactivate,
    person_update,
    roles_set,
)
from webapp.core.errors import ApplicationError
from webapp.core.permissions import can

PAGE_SIZE = 50


def _administrators_only(request: PersonRequest) -> None:
    """These pages do not exist for anybody else.

    Raises:
        Http404: for anybody else.
    """
    if not can(request.user, "create", User):
        raise Http404


@login_required
def people(request: PersonRequest) -> HttpResponse:
    """Everybody, with roles and state; filtered by name, role and state."""
    _administrators_only(request)
    form = PeopleFilterForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    found = person_list_for(
        user=request.user,
        search=wanted.get("search", ""),
        role=wanted.get("role", ""),
        state=wanted.get("state", ""),
    )
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(
        request, "accounts/people.html", {"form": form, "page": page, "filtered": any(wanted.values())}
    )


@never_cache
@login_required
def person_new(request: PersonRequest) -> HttpResponse:
    """Create a person. The answering page shows the one-time password this once; it is stored nowhere."""
    _administrators_only(request)
    form = NewPersonForm(request.POST or None, initial={"roles": [Role.CLINICIAN]})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            person, password = person_create(
                actor=request.user,
                username=given["username"],
                display_name=given["display_name"],
                email=given["email"],
                roles=given["roles"],
                password=given["password"] or None,
            )
        except ApplicationError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            shown = "" if given["password"] else password
            return render(
                request, "accounts/password_once.html", {"person": person, "password": shown, "is_new": True}
            )
    return render(request, "accounts/person_new.html", {"form": form}, status=400 if form.is_bound else 200)


@never_cache
@login_required
def person(request: PersonRequest, id: UUID) -> HttpResponse:
    """One person: names, roles, tokens, and closing or opening the account."""
    _administrators_only(request)
    who = person_get_for(user=request.user, id=id, action="manage")
    form = PersonForm(request.POST or None, initial={"display_name": who.display_name, "email": who.email})
    if request.method == "POST" and form.is_valid():
        person_update(actor=request.user, user=who, **form.cleaned_data)
        messages.success(request, _("Saved."))
        return redirect("accounts:person", id=who.pk)
    return _person_page(request, who, form=form)


def _person_page(
    request: PersonRequest, who: User, *, form: PersonForm | None = None, status: int = 200
) -> HttpResponse:
    context = {
        "person": who,
        "form": form or PersonForm(initial={"display_name": who.display_name, "email": who.email}),
        "roles_form": RolesForm(initial={"roles": [str(role) for role in who.roles]}),
        "tokens": token_list_for(user=request.user, owner=who),
    }
    return render(request, "accounts/person.html", context, status=status)


@login_required
@require_POST
def person_roles(request: PersonRequest, id: UUID) -> HttpResponse:
    """Give and take roles."""
    _administrators_only(request)
    who = person_get_for(user=request.user, id=id, action="manage")
    form = RolesForm(request.POST)
    if not form.is_valid():
        raise ApplicationError(_("One of the roles does not exist. Nothing was changed."))
    try:
        roles_set(actor=request.user, user=who, roles=form.cleaned_data["roles"])
    except ApplicationError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The roles of %(name)s are saved.") % {"name": who})
    request.user.roles_forget()
    if not can(request.user, "create", User):
        return redirect("accounts:profile")
    return redirect("accounts:person", id=who.pk)


@login_required
@require_POST
def person_state(request: PersonRequest, id: UUID) -> HttpResponse:
    """Close or open an account."""
    _administrators_only(request)
    who = person_get_for(user=request.user, id=id, action="manage")
    try:
        if request.POST.get("active") == "yes":
            person_activate(actor=request.user, user=who)
            messages.success(request, _("The account of %(name)s is open again.") % {"name": who})
        else:
            person_deactivate(actor=request.user, user=who)
            messages.success(request, _("The account of %(name)s is closed.") % {"name": who})
    except ApplicationError as error:
        messages.error(request, error.message)
    return redirect("accounts:person", id=who.pk)


@never_cache
@login_required
@require_POST
def person_password(request: PersonRequest, id: UUID) -> HttpResponse:
    """Make a fresh one-time password and show it this once."""
    _administrators_only(request)
    who = person_get_for(user=request.user, id=id, action="manage")
    password = password_reset(actor=request.user, user=who)
    return render(
        request, "accounts/password_once.html", {"person": who, "password": password, "is_new": False}
    )
