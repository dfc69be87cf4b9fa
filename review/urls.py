"""The addresses of the review desk."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from .views import desk, documents, history, leases, vocabulary

urlpatterns = [
    path("", desk.queue, name="queue"),
    path("candidates/<int:candidate_id>/choose", desk.choose, name="choose"),
    path("proposals/<int:proposal_id>/correct", desk.give, name="correct"),
    path("proposals/<int:proposal_id>/none", desk.none, name="none"),
    path("proposals/<int:proposal_id>/skip", desk.pass_on, name="skip"),
    path("undo", desk.take_back, name="undo"),
    path("next", desk.following, name="next"),
    path("leases/renew", leases.renew, name="renew"),
    path("leases/release", leases.release, name="release"),
    path("vocabulary.json", vocabulary.vocabulary, name="vocabulary"),
    path("history", history.history, name="history"),
    path("documents/<path:external_id>.json", documents.tags_json, name="document_json"),
    path("documents/<path:external_id>", documents.page, name="document_page"),
    path("sign-in/", LoginView.as_view(redirect_authenticated_user=True), name="sign_in"),
    path("sign-out/", LogoutView.as_view(), name="sign_out"),
]
