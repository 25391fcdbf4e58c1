"""What people fill in about people, themselves and tokens."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webapp.accounts.models import Role, User
from webapp.core.choices import Hinted

ROLE_HINTS = {
    Role.CLINICIAN: _("Sees shared datasets, asks for synthetic images, decides on the own results."),
    Role.ANNOTATOR: _("Reads in the studies that invite them, and nothing else."),
    Role.STUDY_LEAD: _("Builds, launches, watches, closes and unblinds reader studies."),
    Role.DATA_MANAGER: _("Imports, curates, shares and deletes datasets; installs models."),
    Role.RESEARCHER: _("All that a clinician may, also in batches and by API token."),
    Role.ADMINISTRATOR: _("People, roles and the audit trail."),
}


class SignInForm(AuthenticationForm):
    """Name and password, in the words that the rest of the site uses."""

    error_messages = {
        "invalid_login": _("This name and password do not go together. Both are case-sensitive."),
        "inactive": _("This account is closed. Ask an administrator."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("Sign-in name")


class RoleChoices(Hinted, forms.CheckboxSelectMultiple):
    """The roles as checkboxes, each with a sentence about what it may do."""

    hints = ROLE_HINTS


class RolesForm(forms.Form):
    """Which roles a person holds."""

    roles = forms.MultipleChoiceField(
        label=_("Roles"), choices=Role.choices, widget=RoleChoices, required=False
    )


class PersonForm(forms.Form):
    """The names and address of a person."""

    display_name = forms.CharField(
        label=_("Name"), max_length=150, required=False, help_text=_("As others see it.")
    )
    email = forms.EmailField(label=_("E-mail address"), required=False)


class NewPersonForm(forms.Form):
    """A person to be created."""

    username = forms.CharField(
        label=_("Sign-in name"),
        max_length=150,
        help_text=_("Letters, digits and @ . + - _"),
        validators=User._meta.get_field("username").validators,
        widget=forms.TextInput(attrs={"autocapitalize": "none", "autocomplete": "off", "autofocus": True}),
    )
    display_name = forms.CharField(
        label=_("Name"), max_length=150, required=False, help_text=_("As others see it.")
    )
    email = forms.EmailField(label=_("E-mail address"), required=False)
    roles = forms.MultipleChoiceField(
        label=_("Roles"), choices=Role.choices, widget=RoleChoices, required=False
    )
    password = forms.CharField(
        label=_("First password"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Leave empty to have one made. Either way it must be changed at the first sign-in."),
    )

    def clean_username(self) -> str:
        """Say at once that a name is taken."""
        username = str(self.cleaned_data["username"]).strip()
        if User.objects.filter(username__iexact=username).exists():
            raise forms.ValidationError(_("This sign-in name is taken."))
        return username


class PeopleFilterForm(forms.Form):
    """What the list of people shows."""

    search = forms.CharField(label=_("Name"), required=False, widget=forms.SearchInput())
    role = forms.ChoiceField(label=_("Role"), required=False, choices=[("", _("Any role")), *Role.choices])
    state = forms.ChoiceField(
        label=_("Account"),
        required=False,
        choices=[("", _("Any")), ("active", _("Active")), ("closed", _("Closed"))],
    )


class TokenForm(forms.Form):
    """A token to be made."""

    LIFETIMES = [("30", _("30 days")), ("90", _("90 days")), ("365", _("1 year")), ("", _("No end"))]

    name = forms.CharField(
        label=_("What it is for"), max_length=100, help_text=_("For example “nightly batch”.")
    )
    days = forms.ChoiceField(label=_("Valid for"), choices=LIFETIMES, initial="90", required=False)

    def expires_at(self) -> Any:
        """When the token ends, or None."""
        days = self.cleaned_data["days"]
        return timezone.now() + timedelta(days=int(days)) if days else None
