"""The left rail: one table of the places to go to, by role.

Places are named by their address names, so that this table knows every app's front door without
importing any; a name that does not exist (an app that is not installed) is left out.
"""

from dataclasses import dataclass
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, kw_only=True)
class Place:
    """One entry of the rail."""

    label: str | Promise
    icon: str
    url_name: str
    roles: frozenset[str]  # who sees it
    prefixes: tuple[str, ...] = ()  # further addresses that belong to it


@dataclass(frozen=True, kw_only=True)
class Section:
    """A group of entries, with a heading or without."""

    label: str | Promise
    places: tuple[Place, ...]


_IMAGES = frozenset({"clinician", "researcher", "data_manager", "study_lead"})
_ASKS = frozenset({"clinician", "researcher"})
_EVERYBODY = _IMAGES | {"annotator", "administrator"}
_WORKS = _IMAGES | {"administrator"}
_READINGS = frozenset({"study_lead", "annotator", "clinician", "researcher"})
_TOKENS = frozenset({"researcher", "data_manager", "study_lead", "administrator"})
_ADMINISTRATORS = frozenset({"administrator"})

SECTIONS = (
    Section(
        label="",
        places=(
            Place(label=_("Dashboard"), icon="layout-dashboard", url_name="jobs:dashboard", roles=_EVERYBODY),
            Place(
                label=_("Datasets"),
                icon="database",
                url_name="cases:dataset-list",
                roles=_IMAGES,
                prefixes=("/cases/", "/imports/"),
            ),
            Place(label=_("Synthesise"), icon="wand-sparkles", url_name="jobs:synthesise", roles=_ASKS),
            Place(
                label=_("Counterfactual"),
                icon="git-compare-arrows",
                url_name="jobs:counterfactual-list",
                roles=_ASKS,
            ),
            Place(label=_("Jobs"), icon="activity", url_name="jobs:job-list", roles=_WORKS),
            Place(label=_("Results"), icon="images", url_name="jobs:result-list", roles=_IMAGES),
            Place(
                label=_("Readings"),
                icon="microscope",
                url_name="readings:reading-list",
                roles=_READINGS,
                prefixes=("/take/",),
            ),
            Place(
                label=_("Models"),
                icon="boxes",
                url_name="registry:model-list",
                roles=_IMAGES,
                prefixes=("/adapters/",),
            ),
            Place(label=_("API"), icon="webhook", url_name="api:docs", roles=_TOKENS),
        ),
    ),
    Section(
        label=_("Administration"),
        places=(
            Place(label=_("People"), icon="users", url_name="accounts:people", roles=_ADMINISTRATORS),
            Place(label=_("Audit trail"), icon="scroll-text", url_name="core:audit", roles=_ADMINISTRATORS),
            Place(label=_("All records"), icon="table", url_name="admin:index", roles=_ADMINISTRATORS),
        ),
    ),
)


def places_for(user: Any, path: str) -> list[dict[str, Any]]:
    """The sections of the rail that this person may use, with the present place marked."""
    sections = []
    for section in SECTIONS:
        entries = [entry for place in section.places if (entry := _entry(place, user, path))]
        if entries:
            sections.append({"label": section.label, "places": entries})
    return sections


def _entry(place: Place, user: Any, path: str) -> dict[str, Any] | None:
    if not user.has_role(*place.roles):
        return None
    try:
        address = reverse(place.url_name)
    except NoReverseMatch:
        return None
    is_here = path == "/" if address == "/" else path.startswith((address, *place.prefixes))
    return {"label": place.label, "icon": place.icon, "address": address, "is_here": is_here}
