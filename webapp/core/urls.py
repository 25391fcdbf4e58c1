"""Addresses of the core app."""

app_name = "core"
urlpatterns: list[object] = []
