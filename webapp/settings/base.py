"""What every deployment shares."""

from pathlib import Path
from urllib.parse import urlsplit

from webapp.settings import env

BASE_DIR = Path(__file__).resolve().parent.parent.parent
SEMBLANCE_HOME = env.folder("SEMBLANCE_HOME", BASE_DIR / "var")
SEMBLANCE_HOME.mkdir(parents=True, exist_ok=True)
WEIGHTS_DIR = env.folder("WEIGHTS_DIR", BASE_DIR / "weights")

INSTALLED_APPS = [
    "webapp.core",
    "webapp.accounts",
    "webapp.cases",
    "webapp.registry",
    "webapp.jobs",
    "webapp.readings",
    "webapp.api",
    "webapp.core.apps.RecordsConfig",  # django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.forms",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "axes",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "webapp.core.middleware.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "webapp.core.middleware.LocalTimeMiddleware",
    "webapp.accounts.middleware.PasswordChangeMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "webapp.core.middleware.ApplicationErrorMiddleware",
]

ROOT_URLCONF = "webapp.urls"
WSGI_APPLICATION = "webapp.wsgi.application"
ASGI_APPLICATION = "webapp.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

FORM_RENDERER = "webapp.core.forms.ComponentRenderer"

DATABASES = {"default": env.database(env.text("DATABASE_URL"), home=SEMBLANCE_HOME)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "webapp.accounts.backends.AdministratorBackend",
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "jobs:dashboard"
LOGOUT_REDIRECT_URL = "accounts:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # the time that the lockout page names stays true
AXES_LOCKOUT_CALLABLE = "webapp.accounts.views.locked_out"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]  # one line per translation that exists: never a page in two languages
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["webapp.core.formats"]
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = SEMBLANCE_HOME / "static"
FRONTEND_DIST = BASE_DIR / "frontend" / "dist"
STATICFILES_DIRS = [FRONTEND_DIST] if FRONTEND_DIST.is_dir() else []
WHITENOISE_ALLOW_ALL_ORIGINS = False
# Both Vite's names (chunk-1a2B3c4D.js) and Django's (logo.0123456789ab.svg) carry a hash of their content.
WHITENOISE_IMMUTABLE_FILE_TEST = r"^.+[.-][0-9A-Za-z_-]{8}\.(js|css|wasm|svg)$|^.+\.[0-9a-f]{12}\..+$"
MEDIA_ROOT = SEMBLANCE_HOME / "storage"
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": MEDIA_ROOT},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Uploads land here before a worker parses them: same disk as the storage, never in memory.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
FILE_UPLOAD_TEMP_DIR = SEMBLANCE_HOME / "uploads"
FILE_UPLOAD_TEMP_DIR.mkdir(parents=True, exist_ok=True)
DATA_UPLOAD_MAX_NUMBER_FILES = 20_000
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024
MODEL_MAX_BYTES = env.number("MODEL_MAX_MIB", 20_480) * 1024 * 1024  # of one uploaded checkpoint
MODEL_INBOX = env.folder("MODEL_INBOX", SEMBLANCE_HOME / "inbox")  # where pages may name models
MODEL_PATH_MAX_BYTES = env.number("MODEL_PATH_MAX_MIB", 65_536) * 1024 * 1024  # of one from a folder

# Where services to the left of `jobs` hand in work (webapp.core.work).
JOB_SUBMIT = "webapp.jobs.services.job_submit"
JOB_LEASE_SECONDS = env.seconds("JOB_LEASE_SECONDS", 20.0)  # renewed three times within it
JOB_STAGE_SECONDS = env.seconds("JOB_STAGE_SECONDS", 600.0)  # a stage that names no limit of its own
JOB_POLL_SECONDS = env.seconds("JOB_POLL_SECONDS", 2.0)  # how often an idle worker looks unasked
JOB_REAP_SECONDS = env.seconds("JOB_REAP_SECONDS", 5.0)
JOB_RETRY_SECONDS = env.seconds("JOB_RETRY_SECONDS", 5.0)  # doubled with every attempt
JOB_HEARTBEAT_SECONDS = env.seconds("JOB_HEARTBEAT_SECONDS", 2.0)
JOB_SHUTDOWN_SECONDS = env.seconds("JOB_SHUTDOWN_SECONDS", 10.0)  # for a job to stop between two steps
JOB_MAX_KILLS = 2  # workers that may die on a job before it is set aside
JOB_QUOTA = env.number("JOB_QUOTA", 100)  # waiting or running jobs of one person
WORKER_DEVICE = env.text("WORKER_DEVICE")  # "cpu", "cuda:0" ...; empty: the first GPU, else the CPU
WORKER_DEVICES = env.words("WORKER_DEVICES")  # one compute process each; empty: every GPU, else the CPU
WORKER_THREADS = env.number("WORKER_THREADS", 1)  # more than one only where the cores are not shared
WORKER_PRELOAD = env.flag("WORKER_PRELOAD", True)  # import what jobs need before the first one is taken
WORKER_PULSE_FILE = env.text("WORKER_PULSE_FILE")  # touched while alive; the supervisor watches it
WORKER_PARENT = env.number("WORKER_PARENT", 0)  # process id of the supervisor; ends with it
JOB_HANDLERS: dict[str, str] = {}  # kinds of work beyond those in workers.tasks: {"kind": "module:function"}

_broker = env.text("BROKER_URL", "filesystem://localhost")
CELERY_BROKER_URL = _broker
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False  # the database row is the truth; a message is only a wake-up
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "records"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
if urlsplit(_broker).scheme == "filesystem":
    _messages = SEMBLANCE_HOME / "broker"
    for _name in ("messages", "control", "processed"):
        (_messages / _name).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_messages / "messages"),
        "data_folder_out": str(_messages / "messages"),
        "control_folder": str(_messages / "control"),
        "processed_folder": str(_messages / "processed"),
        "store_processed": False,
        "polling_interval": 0.1,
    }

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "webapp.accounts.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "EXCEPTION_HANDLER": "webapp.core.problems.problem_handler",
    "DEFAULT_PAGINATION_CLASS": "webapp.api.pagination.CreatedCursorPagination",
    "PAGE_SIZE": 50,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Semblance",
    "DESCRIPTION": "Synthetic medical images on request. Not for clinical use.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {"JobStateEnum": "webapp.jobs.models.Job.State"},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "webapp.api.schema.add_common_problems",
    ],
}

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
CSRF_FAILURE_VIEW = "webapp.core.problems.csrf_failure"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"highdicom": {"level": "WARNING"}, "axes": {"level": "WARNING"}},
}
