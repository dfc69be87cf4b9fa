"""Every address of the site."""

from django.urls import include, path

from review.admin import site
from review.api.root import api

urlpatterns = [
    path("admin/", site.urls),
    path("api/v1/", api.urls),
    path("", include("review.urls")),
]

handler500 = "review.views.away.broken"
