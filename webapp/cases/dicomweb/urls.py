"""Addresses of DICOMweb, below /dicomweb/."""

from django.urls import path, register_converter

from webapp.cases.dicomweb import views


class UidConverter:
    """A DICOM unique identifier: digits and dots, at most 64 characters."""

    regex = r"[0-9.]{1,64}"

    def to_python(self, value: str) -> str:
        """As it is."""
        return value

    def to_url(self, value: str) -> str:
        """As it is."""
        return value


register_converter(UidConverter, "uid")

app_name = "dicomweb"

STUDY = "studies/<uid:study>"
SERIES = f"{STUDY}/series/<uid:series>"
INSTANCE = f"{SERIES}/instances/<uid:sop>"
FRAMES = f"{INSTANCE}/frames/<str:frames>"

urlpatterns = [
    path("studies", views.StudySearchView.as_view(), name="search-studies"),
    path("series", views.SeriesSearchView.as_view(), name="search-all-series"),
    path("instances", views.InstanceSearchView.as_view(), name="search-all-instances"),
    path(f"{STUDY}/series", views.SeriesSearchView.as_view(), name="search-series"),
    path(f"{STUDY}/instances", views.InstanceSearchView.as_view(), name="search-study-instances"),
    path(f"{SERIES}/instances", views.InstanceSearchView.as_view(), name="search-instances"),
    path(STUDY, views.RetrieveView.as_view(), name="study"),
    path(SERIES, views.RetrieveView.as_view(), name="series"),
    path(INSTANCE, views.RetrieveView.as_view(), name="instance"),
    path(f"{STUDY}/metadata", views.MetadataView.as_view(), name="study-metadata"),
    path(f"{SERIES}/metadata", views.MetadataView.as_view(), name="series-metadata"),
    path(f"{INSTANCE}/metadata", views.MetadataView.as_view(), name="instance-metadata"),
    path(FRAMES, views.FramesView.as_view(), name="frames"),
    path(f"{FRAMES}/rendered", views.RenderedView.as_view(), name="frame-rendered"),
    path(f"{INSTANCE}/rendered", views.RenderedView.as_view(), name="instance-rendered"),
    path(f"{STUDY}/thumbnail", views.ThumbnailView.as_view(), name="study-thumbnail"),
    path(f"{SERIES}/thumbnail", views.ThumbnailView.as_view(), name="series-thumbnail"),
    path(f"{INSTANCE}/thumbnail", views.ThumbnailView.as_view(), name="instance-thumbnail"),
    path(f"{FRAMES}/thumbnail", views.ThumbnailView.as_view(), name="frame-thumbnail"),
]
