"""Addresses of the registry app."""

from django.urls import path

from webapp.registry import views, views_adapters

app_name = "registry"
urlpatterns = [
    path("models/", views.model_list, name="model-list"),
    path("models/new/", views.model_install, name="model-install"),
    path("models/<slug:name>/", views.model_detail, name="model-detail"),
    path("models/<slug:name>/<str:version>/offered/", views.model_set_offered, name="model-offered"),
    path("adapters/new/", views_adapters.adapter_install, name="adapter-install"),
    path("adapters/<slug:name>/", views_adapters.adapter_detail, name="adapter-detail"),
    path(
        "adapters/<slug:name>/<str:version>/offered/",
        views_adapters.adapter_set_offered,
        name="adapter-offered",
    ),
]
