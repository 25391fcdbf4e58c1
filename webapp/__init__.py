"""The web side of Semblance: people, records and pages; it never imports torch."""

from webapp.celery import app as celery_app

__all__ = ["celery_app"]
