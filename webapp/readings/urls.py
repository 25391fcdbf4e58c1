"""Addresses of the readings app."""

from django.urls import URLPattern, URLResolver

app_name = "readings"
urlpatterns: list[URLPattern | URLResolver] = []
