"""Addresses of the core app."""

from django.urls import path

from webapp.core import views

app_name = "core"
urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("audit/", views.audit, name="audit"),
]
