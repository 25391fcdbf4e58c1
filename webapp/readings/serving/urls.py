"""The study-scoped DICOMweb of one item, below take/<place>/items/<token>/dicomweb/."""

from django.urls import path

from webapp.readings.serving import views

SERIES = "studies/<str:study>/series/<str:series>"

urlpatterns = [
    path(f"{SERIES}/metadata", views.metadata, name="take-metadata"),
    path(f"{SERIES}/instances/<str:instance>/frames/<int:number>", views.frame, name="take-frame"),
]
