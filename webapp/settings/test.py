"""What the tests run under: fast hashing, a throw-away home, the environment's own broker and database."""

import atexit
import os
import shutil
import tempfile

if not os.environ.get("SEMBLANCE_HOME"):
    os.environ["SEMBLANCE_HOME"] = tempfile.mkdtemp(prefix="semblance-test-")
    atexit.register(shutil.rmtree, os.environ["SEMBLANCE_HOME"], ignore_errors=True)

from webapp.settings.base import *  # noqa: F403

DEBUG = False
SECRET_KEY = "for tests only"
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    **STORAGES,  # noqa: F405
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Work of no other use than to be cancelled, killed and hung by tests.
JOB_HANDLERS = {"probe": "tests.integration.jobs.handlers:probe"}
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405  WhiteNoise warns where it is missing
