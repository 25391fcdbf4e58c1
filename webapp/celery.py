"""The shared Celery application; it knows no tasks, only where messages go."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings.development")

app = Celery("semblance")
app.config_from_object("django.conf:settings", namespace="CELERY")
