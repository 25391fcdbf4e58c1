"""The jobs app."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Registers the app under the label `jobs`."""

    name = "webapp.jobs"
    label = "jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """State the permission rules of requests, jobs and results, and what /healthz says of workers."""
        from webapp.core import health
        from webapp.jobs import rules  # noqa: F401
        from webapp.jobs.heartbeats import worker_health

        health.register("worker", worker_health)
