"""Addresses of the cases app."""

from django.urls import URLPattern, path

from webapp.cases import views_cases, views_datasets, views_imports, views_masks, views_viewer

app_name = "cases"
urlpatterns: list[URLPattern] = [
    path("datasets/", views_datasets.dataset_list, name="dataset-list"),
    path("datasets/new/", views_datasets.dataset_new, name="dataset-create"),
    path("datasets/<uuid:id>/", views_datasets.dataset_detail, name="dataset-detail"),
    path("datasets/<uuid:id>/edit/", views_datasets.dataset_edit, name="dataset-edit"),
    path("datasets/<uuid:id>/share/", views_datasets.dataset_share_view, name="dataset-share"),
    path("datasets/<uuid:id>/delete/", views_datasets.dataset_delete_view, name="dataset-delete"),
    path("datasets/<uuid:id>/import/", views_imports.import_new, name="import-new"),
    path("imports/<uuid:id>/", views_imports.import_detail, name="import-detail"),
    path("imports/<uuid:id>/fragment/", views_imports.import_fragment, name="import-fragment"),
    path("cases/<uuid:case_id>/edit/", views_cases.case_edit, name="case-edit"),
    path("cases/<uuid:case_id>/delete/", views_cases.case_delete_view, name="case-delete"),
    path("cases/<uuid:case_id>/", views_viewer.case_detail, name="case-detail"),
    path("cases/<uuid:case_id>/preview.png", views_masks.case_preview, name="case-preview"),
    path("cases/<uuid:case_id>/masks/", views_masks.mask_list, name="mask-list"),
    path("cases/<uuid:case_id>/masks/<uuid:mask_id>/voxels", views_masks.mask_voxels, name="mask-voxels"),
    path(
        "cases/<uuid:case_id>/masks/<uuid:mask_id>/preview.png", views_masks.mask_preview, name="mask-preview"
    ),
]
