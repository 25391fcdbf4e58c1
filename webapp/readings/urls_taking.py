"""A reader's addresses, below take/<place>/."""

from django.urls import include, path

from webapp.readings import views_taking as views

urlpatterns = [
    path("", views.welcome, name="take-welcome"),
    path("read/", views.read, name="take-read"),
    path("state/", views.state, name="take-state"),
    path("resume/", views.resume, name="take-resume"),
    path("pause/", views.pause, name="take-pause"),
    path("finish/", views.finish, name="take-finish"),
    path("items/<str:token>/answers/", views.answers, name="take-answers"),
    path("items/<str:token>/viewing/", views.viewing, name="take-viewing"),
    path("items/<str:token>/dicomweb/", include("webapp.readings.serving.urls")),
]
