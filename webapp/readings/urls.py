"""Addresses of the readings app."""

from django.urls import URLPattern, URLResolver, include, path

app_name = "readings"
urlpatterns: list[URLPattern | URLResolver] = [
    path("readings/", include("webapp.readings.urls_design")),
    path("readings/<uuid:id>/", include("webapp.readings.urls_report")),
    path("take/<uuid:place_id>/", include("webapp.readings.urls_taking")),
]
