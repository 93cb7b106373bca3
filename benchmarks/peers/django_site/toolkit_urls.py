"""django-oauth-toolkit's views, at the paths of its documentation."""

from __future__ import annotations

from django.urls import include, path

from .guarded import Me

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")), path("me", Me.as_view())]
