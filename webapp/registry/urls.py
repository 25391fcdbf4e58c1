"""Addresses of the registry app."""

from django.urls import path

from webapp.registry import views

app_name = "registry"
urlpatterns = [
    path("models/", views.model_list, name="model-list"),
    path("models/new/", views.model_install, name="model-install"),
    path("models/<slug:name>/", views.model_detail, name="model-detail"),
    path("models/<slug:name>/<str:version>/offered/", views.model_set_offered, name="model-offered"),
]
