"""The shared Celery application; it knows no tasks, only where messages go."""

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

TRANSPORT_ALIASES["filesystem"] = "webapp.broker:Transport"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings.development")

app = Celery("semblance")
app.config_from_object("django.conf:settings", namespace="CELERY")
