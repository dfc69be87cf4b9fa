"""The addresses of the review desk."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from .views import desk, documents

urlpatterns = [
    path("", desk.queue, name="queue"),
    path("candidates/<int:candidate_id>/choose", desk.choose, name="choose"),
    path("documents/<path:external_id>.json", documents.tags_json, name="document_json"),
    path("documents/<path:external_id>", documents.page, name="document_page"),
    path("sign-in/", LoginView.as_view(redirect_authenticated_user=True), name="sign_in"),
    path("sign-out/", LogoutView.as_view(), name="sign_out"),
]
