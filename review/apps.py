"""The app: its start-up checks are hooked in here."""

from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "review"

    def ready(self) -> None:
        from . import checks  # noqa: F401 -- it registers itself
