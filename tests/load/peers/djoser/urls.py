"""The routes of djoser, and those of profiles."""

from accounts.views import ProfileDetail
from django.urls import include, path, re_path

urlpatterns = [
    path("auth/", include("djoser.urls")),
    path("auth/", include("djoser.urls.jwt")),
    re_path(r"^api/accounts/profile/(?P<pk>[0-9]+)$", ProfileDetail.as_view()),
]
