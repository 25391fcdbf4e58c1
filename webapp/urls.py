"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("webapp.core.urls")),
    path("", include("webapp.accounts.urls")),
    path("", include("webapp.cases.urls")),
    path("", include("webapp.registry.urls")),
    path("", include("webapp.jobs.urls")),
    path("", include("webapp.readings.urls")),
    path("dicomweb/", include("webapp.cases.dicomweb.urls")),
    path("api/", include("webapp.api.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "webapp.core.problems.bad_request"
handler403 = "webapp.core.problems.forbidden"
handler404 = "webapp.core.problems.not_found"
handler500 = "webapp.core.problems.server_error"
