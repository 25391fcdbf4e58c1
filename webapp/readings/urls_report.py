"""The lead's addresses about answers, below readings/<study>/."""

from django.urls import path

from webapp.readings import views_report as views

urlpatterns = [
    path("progress/", views.progress, name="reading-progress"),
    path("report/", views.report, name="reading-report"),
    path("report/live/", views.report_live, name="report-live"),
    path("report/again/", views.report_again, name="report-again"),
    path("report/print/", views.report_print, name="report-print"),
    path("report/items/<int:number>.png", views.report_item, name="report-item"),
    path("report/<slug:name>.svg", views.report_figure, name="report-figure"),
    path("export/<slug:kind>/", views.export, name="reading-export"),
]
