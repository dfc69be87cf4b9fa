"""The wiring of Tagger: settings, URLs, Celery, and the run command's supervisor."""

from .celery import app as celery_app

__all__ = ["celery_app"]
