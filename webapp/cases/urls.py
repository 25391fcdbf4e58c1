"""Addresses of the cases app."""

from django.urls import URLPattern, path

from webapp.cases import views_masks, views_viewer

app_name = "cases"
urlpatterns: list[URLPattern] = [
    path("cases/<uuid:case_id>/", views_viewer.case_detail, name="case-detail"),
    path("cases/<uuid:case_id>/preview.png", views_masks.case_preview, name="case-preview"),
    path("cases/<uuid:case_id>/masks/", views_masks.mask_list, name="mask-list"),
    path("cases/<uuid:case_id>/masks/<uuid:mask_id>/voxels", views_masks.mask_voxels, name="mask-voxels"),
    path("cases/<uuid:case_id>/masks/<uuid:mask_id>/preview.png", views_masks.mask_preview, name="mask-preview"),
]
