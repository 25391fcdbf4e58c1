"""Addresses of the jobs app."""

from django.urls import URLPattern, path

from webapp.jobs import (
    views_edits,
    views_exports,
    views_grids,
    views_jobs,
    views_requests,
    views_results,
    views_severity,
    views_workspace,
)

app_name = "jobs"
urlpatterns: list[URLPattern] = [
    path("", views_jobs.dashboard, name="dashboard"),
    path("synthesise/", views_requests.synthesise, name="synthesise"),
    path("synthesise/check/", views_requests.synthesise_check, name="synthesise-check"),
    path("synthesise/apply/", views_requests.synthesise_apply, name="synthesise-apply"),
    path("synthesise/severities/", views_grids.grid_create, name="grid-create"),
    path("severities/<uuid:id>/", views_grids.grid_detail, name="grid-detail"),
    path("severities/<uuid:id>/fragment/", views_grids.grid_fragment, name="grid-fragment"),
    path("counterfactuals/", views_edits.counterfactual_list, name="counterfactual-list"),
    path("counterfactuals/new/", views_edits.counterfactual_new, name="counterfactual-new"),
    path("counterfactuals/check/", views_edits.counterfactual_check, name="counterfactual-check"),
    path("counterfactuals/apply/", views_edits.counterfactual_apply, name="counterfactual-apply"),
    path("counterfactuals/severity/", views_severity.severity_estimate, name="severity-estimate"),
    path(
        "counterfactuals/severity/<uuid:id>/",
        views_severity.severity_estimate_fragment,
        name="severity-estimate-fragment",
    ),
    path("counterfactuals/strip/", views_edits.strip_create, name="strip-create"),
    path("counterfactuals/strips/<uuid:id>/", views_workspace.strip_detail, name="strip-detail"),
    path("counterfactuals/strips/<uuid:id>/fragment/", views_workspace.strip_fragment, name="strip-fragment"),
    path("counterfactuals/<uuid:id>/", views_workspace.counterfactual_detail, name="counterfactual-detail"),
    path(
        "counterfactuals/<uuid:id>/fragment/",
        views_workspace.counterfactual_fragment,
        name="counterfactual-fragment",
    ),
    path(
        "counterfactuals/<uuid:id>/strip/", views_workspace.counterfactual_strip, name="counterfactual-strip"
    ),
    path("counterfactuals/<uuid:id>/spread/", views_workspace.spread_values, name="counterfactual-spread"),
    path(
        "counterfactuals/<uuid:id>/<int:index>/difference/",
        views_workspace.difference_values,
        name="counterfactual-difference",
    ),
    path(
        "counterfactuals/<uuid:id>/<int:index>/images/<str:name>/",
        views_workspace.picture_header,
        name="counterfactual-picture",
    ),
    path(
        "counterfactuals/<uuid:id>/<int:index>/images/<str:name>/metadata",
        views_workspace.picture_header,
        name="counterfactual-metadata",
    ),
    path(
        "counterfactuals/<uuid:id>/<int:index>/images/<str:name>/instances/<str:sop>/frames/1",
        views_workspace.picture_frame,
        name="counterfactual-frame",
    ),
    path("jobs/", views_jobs.job_list, name="job-list"),
    path("jobs/drawer/", views_jobs.drawer, name="drawer"),
    path("jobs/<uuid:id>/", views_jobs.job_detail, name="job-detail"),
    path("jobs/<uuid:id>/fragment/", views_jobs.job_fragment, name="job-fragment"),
    path("jobs/<uuid:id>/cancel/", views_jobs.job_cancel_view, name="job-cancel"),
    path("jobs/<uuid:id>/retry/", views_jobs.job_retry_view, name="job-retry"),
    path("jobs/<uuid:id>/preview.png", views_jobs.job_preview, name="job-preview"),
    path("jobs/<uuid:id>/file/", views_exports.job_file, name="job-file"),
    path("datasets/<uuid:id>/export/", views_exports.dataset_export, name="dataset-export"),
    path("results/", views_results.result_list, name="result-list"),
    path("results/<uuid:id>/", views_results.result_detail, name="result-detail"),
    path("results/<uuid:id>/image.png", views_results.result_image, name="result-image"),
    path("results/<uuid:id>/compare/<uuid:other>/", views_results.result_compare, name="result-compare"),
    path("results/<uuid:id>/decide/", views_results.result_decide_view, name="result-decide"),
    path("results/<uuid:id>/offer/", views_results.result_offer_view, name="result-offer"),
    path("results/<uuid:id>/again/", views_results.result_again, name="result-again"),
    path("results/<uuid:id>/reproduce/", views_results.result_reproduce_view, name="result-reproduce"),
    path("results/<uuid:id>/severities/", views_results.result_severities, name="result-severities"),
    path("results/<uuid:id>/uncertainty/", views_results.result_uncertainty, name="result-uncertainty"),
    path("results/<uuid:id>/nearest.png", views_results.result_nearest_image, name="result-nearest"),
    path("results/<uuid:id>/download/", views_results.result_download_view, name="result-download"),
]
