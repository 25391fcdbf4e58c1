"""One machine, one person: what `make run` uses unless production settings are named."""

from webapp.settings import env
from webapp.settings.base import *  # noqa: F403
from webapp.settings.base import SEMBLANCE_HOME
from webapp.settings.secret import secret_key

DEBUG = False
SECRET_KEY = env.text("SECRET_KEY") or secret_key(SEMBLANCE_HOME / "secret-key")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
