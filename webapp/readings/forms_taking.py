"""What a reader is asked about themselves before they begin."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

PROFESSIONS = [
    ("", _("Choose")),
    ("radiologist", _("Radiologist")),
    ("resident", _("Radiologist in training")),
    ("physician", _("Physician of another field")),
    ("radiographer", _("Radiographer")),
    ("scientist", _("Scientist or engineer")),
    ("student", _("Student")),
    ("other", _("Something else")),
]
SEEN = [
    ("", _("Choose")),
    ("never", _("Never")),
    ("some", _("A few")),
    ("often", _("Often")),
]


class ExperienceForm(forms.Form):
    """Profession and experience: a report of a reader study has to state them."""

    profession = forms.ChoiceField(label=_("Your profession"), choices=PROFESSIONS)
    years = forms.IntegerField(
        label=_("Years of reading such images"),
        min_value=0,
        max_value=70,
        help_text=_("0 if you do not read them in your daily work."),
    )
    synthetic_seen = forms.ChoiceField(label=_("Synthetic medical images you have seen before"), choices=SEEN)
