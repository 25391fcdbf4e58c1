"""Addresses of the api app: version 1, its schema, and the page that explains it."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import AllowAny

from webapp.api.docs import documentation
from webapp.api.v1 import (
    adapters,
    cases,
    counterfactuals,
    datasets,
    exports,
    jobs,
    masks,
    models,
    requests,
    results,
    severities,
)

app_name = "api"
urlpatterns = [
    path("v1/datasets/", datasets.DatasetList.as_view(), name="dataset-list"),
    path("v1/datasets/<uuid:id>/", datasets.DatasetDetail.as_view(), name="dataset-detail"),
    path("v1/datasets/<uuid:id>/imports/", datasets.DatasetImports.as_view(), name="dataset-imports"),
    path("v1/datasets/<uuid:id>/exports/", exports.DatasetExports.as_view(), name="dataset-exports"),
    path("v1/exports/<uuid:id>/", exports.ExportDetail.as_view(), name="export-detail"),
    path("v1/exports/<uuid:id>/download/", exports.ExportDownload.as_view(), name="export-download"),
    path("v1/imports/<uuid:id>/", datasets.ImportDetail.as_view(), name="import-detail"),
    path("v1/cases/", cases.CaseList.as_view(), name="case-list"),
    path("v1/cases/<uuid:id>/", cases.CaseDetail.as_view(), name="case-detail"),
    path("v1/masks/", masks.MaskList.as_view(), name="mask-list"),
    path("v1/masks/<uuid:id>/", masks.MaskDetail.as_view(), name="mask-detail"),
    path("v1/masks/<uuid:id>/content/", masks.MaskContent.as_view(), name="mask-content"),
    path("v1/models/", models.ModelList.as_view(), name="model-list"),
    path("v1/models/<uuid:id>/", models.ModelDetail.as_view(), name="model-detail"),
    path("v1/adapters/", adapters.AdapterList.as_view(), name="adapter-list"),
    path("v1/adapters/<uuid:id>/", adapters.AdapterDetail.as_view(), name="adapter-detail"),
    path("v1/requests/", requests.RequestList.as_view(), name="request-list"),
    path("v1/requests/<uuid:id>/", requests.RequestDetail.as_view(), name="request-detail"),
    path("v1/requests/<uuid:id>/again/", requests.RequestAgain.as_view(), name="request-again"),
    path("v1/severities/", severities.SeverityGridList.as_view(), name="severity-list"),
    path("v1/severities/<uuid:id>/", severities.SeverityGridDetail.as_view(), name="severity-grid"),
    path("v1/counterfactuals/", counterfactuals.CounterfactualList.as_view(), name="counterfactual-list"),
    path(
        "v1/counterfactuals/<uuid:id>/",
        counterfactuals.CounterfactualDetail.as_view(),
        name="counterfactual-detail",
    ),
    path(
        "v1/counterfactuals/severity/",
        counterfactuals.SeverityEstimates.as_view(),
        name="severity-estimate-list",
    ),
    path("v1/counterfactuals/strips/", counterfactuals.StripList.as_view(), name="strip-list"),
    path("v1/counterfactuals/strips/<uuid:id>/", counterfactuals.StripDetail.as_view(), name="strip-detail"),
    path("v1/jobs/", jobs.JobList.as_view(), name="job-list"),
    path("v1/jobs/<uuid:id>/", jobs.JobDetail.as_view(), name="job-detail"),
    path("v1/jobs/<uuid:id>/cancel/", jobs.JobCancel.as_view(), name="job-cancel"),
    path("v1/jobs/<uuid:id>/retry/", jobs.JobRetry.as_view(), name="job-retry"),
    path("v1/results/", results.ResultList.as_view(), name="result-list"),
    path("v1/results/<uuid:id>/", results.ResultDetail.as_view(), name="result-detail"),
    path("v1/results/<uuid:id>/decision/", results.ResultDecision.as_view(), name="result-decision"),
    path("v1/results/<uuid:id>/download/", results.ResultDownload.as_view(), name="result-download"),
    path("v1/results/<uuid:id>/again/", results.ResultReproduction.as_view(), name="result-again"),
    path("v1/results/<uuid:id>/severities/", severities.ResultSeverities.as_view(), name="result-severities"),
    path("v1/schema/", SpectacularAPIView.as_view(permission_classes=[AllowAny]), name="schema"),
    path("docs/", documentation, name="docs"),
]
