"""The web side starts and answers where torch cannot be imported, as in the web image."""

import subprocess
import sys
from pathlib import Path

from tests.contracts.source import ROOT

SCRIPT = """
import sys

BLOCKED = {"torch", "diffusers", "monai", "transformers", "accelerate", "peft", "safetensors", "einops"}


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not installed in the web image")
        return None


sys.meta_path.insert(0, Blocker())

import importlib
import pkgutil

import django

django.setup()

import webapp
from django.contrib import admin
from django.core.management import call_command, get_commands, load_command_class
from django.urls import get_resolver

for module in pkgutil.walk_packages(webapp.__path__, "webapp."):
    name = module.name
    if name.startswith("webapp.settings.") or name == "webapp.launch.__main__":
        continue
    importlib.import_module(name)
for name, app in get_commands().items():
    if isinstance(app, str) and app.startswith("webapp."):
        load_command_class(app, name)

assert len(get_resolver().url_patterns) > 5
admin.site.get_urls()
call_command("check", verbosity=0)

from webapp.celery import app as celery_app

celery_app.loader.import_default_modules()
import workers.app
for torch_free in ("synthesis.catalog", "synthesis.control.prompts", "synthesis.control.captions",
                   "synthesis.control.patient_prompts", "synthesis.request",
                   "synthesis.drift_size", "synthesis.edit_regions",
                   "synthesis.edit_request", "synthesis.errors", "synthesis.footprint",
                   "synthesis.imaging", "synthesis.patient_splits", "synthesis.phantoms",
                   "synthesis.plain_yaml"):
    package = importlib.import_module(torch_free)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), torch_free + "."):
        if module.name != "synthesis.imaging.tensors":
            importlib.import_module(module.name)

from django.test import Client

from django.test.utils import setup_test_environment

setup_test_environment()
assert Client().get("/no-such-page/").status_code == 404
loaded = sorted(BLOCKED & set(sys.modules))
assert not loaded, loaded
print("the web side runs without", ", ".join(sorted(BLOCKED)))
"""


def test_the_web_side_and_the_records_worker_load_without_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "DJANGO_SETTINGS_MODULE": "webapp.settings.development",
            "SEMBLANCE_HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the web side runs without" in done.stdout


def test_the_blocker_blocks(tmp_path: Path) -> None:
    script = SCRIPT.split("import importlib")[0] + "import torch"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "torch is not installed in the web image" in done.stderr
