"""Tagger's settings. Everything that an operator sets comes from the environment, read here.

docs/settings.md lists the variables; a test fails when one is missing there.
"""

import datetime
import os
import tomllib
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from tagger_site.discreet import passwords_in

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("TAGGER_VAR") or BASE_DIR / "var")  # everything that Tagger writes


def env_flag(name: str) -> bool:
    return os.environ.get(name, "").lower() in {"1", "true", "yes", "on"}


def env_list(name: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]


def redis_of_make_run() -> str:
    """The address that `make run` wrote down for the Redis it started; else the usual one.

    A command given in another terminal is to reach that Redis, and not somebody else's.
    """
    kept = VAR / "redis" / "url"
    return kept.read_text().strip() if kept.exists() else "redis://127.0.0.1:6379/0"


VERSION = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]

# --- The environment ---------------------------------------------------------

HOST = os.environ.get("HOST", "127.0.0.1")
PORT = os.environ.get("PORT", "8000")
DEBUG = env_flag("TAGGER_DEBUG")
REDIS_URL = os.environ.get("REDIS_URL") or redis_of_make_run()
DATABASE_URL = os.environ.get("DATABASE_URL", f"sqlite:///{VAR / 'tagger.sqlite3'}")

# The model: a configured endpoint, else the embedded one (review/llm/local_server.py).
OPENAI_BASE_URL = os.environ.get("OPENAI_BASE_URL", "")
OPENAI_API_KEY = os.environ.get("OPENAI_API_KEY", "")
TAGGER_MODEL = os.environ.get("TAGGER_MODEL", "")
TAGGER_EMBEDDED_URL = os.environ.get("TAGGER_EMBEDDED_URL", "")
# Takes over while the first is in trouble.
SECOND_BASE_URL = os.environ.get("TAGGER_SECOND_BASE_URL", "")
SECOND_API_KEY = os.environ.get("TAGGER_SECOND_API_KEY", "")
SECOND_MODEL = os.environ.get("TAGGER_SECOND_MODEL", "")
CALLS_AT_ONCE = int(os.environ.get("TAGGER_CALLS_AT_ONCE", "32"))  # by all workers, at most
MODEL_DEADLINE = int(os.environ.get("TAGGER_MODEL_DEADLINE", "120"))  # seconds, for one document
# Minutes without any model, after which words are counted instead: review/pipeline/stand_in.py.
FALLBACK_AFTER = float(os.environ.get("TAGGER_FALLBACK_AFTER", "0"))

# The Python with torch, in which trainings run: review/pipeline/trainer.py.
TRAIN_PYTHON = Path(
    os.environ.get("TAGGER_TRAIN_PYTHON") or BASE_DIR / ".venv-train" / "bin" / "python"
)

MAX_DOCUMENT_BYTES = int(os.environ.get("TAGGER_MAX_DOCUMENT_BYTES", "1000000"))
MAX_UPLOAD_BYTES = int(os.environ.get("TAGGER_MAX_UPLOAD_BYTES", "2000000000"))
ALLOW_PRIVATE_URLS = env_flag("TAGGER_ALLOW_PRIVATE_URLS")  # see review/guarded.py
API_RATE = int(os.environ.get("TAGGER_API_RATE", "600"))  # calls a minute, for each token
# A request whose body is larger is refused before it is read; files are not counted.
DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000_000  # bytes
LEASE_MINUTES = 5  # how long a reviewer holds a document without a sign of life

HTTPS = env_flag("TAGGER_HTTPS")  # people come by https, which a proxy in front ends
PROXIES = int(os.environ.get("TAGGER_PROXIES", "0"))  # in front of it: see review/caller.py
HSTS_SECONDS = int(os.environ.get("TAGGER_HSTS_SECONDS", "31536000"))  # with HTTPS
# For /metrics; without it, only programs on this machine may read them.
METRICS_TOKEN = os.environ.get("TAGGER_METRICS_TOKEN", "")
LOG_FORMAT = os.environ.get("TAGGER_LOG_FORMAT", "")  # "json", or lines for people
# Where people may sign in as well, with OpenID Connect: review/views/provider.py.
OIDC_URL = os.environ.get("TAGGER_OIDC_URL", "").rstrip("/")
OIDC_CLIENT_ID = os.environ.get("TAGGER_OIDC_CLIENT_ID", "")
OIDC_SECRET = os.environ.get("TAGGER_OIDC_SECRET", "")
OIDC_NAME = os.environ.get("TAGGER_OIDC_NAME", "")  # on the button; else the address's host
ADMIN_MFA = os.environ.get("TAGGER_ADMIN_MFA", "")  # "required", or only of those who have one

LEAST_KEY, LEAST_KEY_CHARACTERS = 32, 8  # how long, and how many different ones
EXAMPLE_KEYS = (
    *("django-insecure-", "change-me", "changeme", "change_me", "your-secret", "secret-key"),
    *("secret_key", "example", "insecure"),
)


def secret_key() -> str:
    """The key from the environment, else one made on first use and kept under var/."""
    if key := os.environ.get("TAGGER_SECRET_KEY"):
        return no_example(key, "TAGGER_SECRET_KEY")
    kept = VAR / "secret_key"
    if not kept.exists():
        VAR.mkdir(parents=True, exist_ok=True)
        try:
            # O_EXCL: of several processes that start at once, one writes and the others read.
            with os.fdopen(os.open(kept, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as f:
                f.write(get_random_secret_key())
        except FileExistsError:
            pass
    return no_example(kept.read_text().strip(), str(kept))


def no_example(key: str, where: str) -> str:
    """The key. Raises ImproperlyConfigured for one that others know, or could guess."""
    short = len(key) < LEAST_KEY or len(set(key)) < LEAST_KEY_CHARACTERS
    if short or key.lower().startswith(EXAMPLE_KEYS):
        what = "too short" if short else "an example that others know"
        raise ImproperlyConfigured(
            f"The key in {where} is {what}, and it signs the sessions: leave the variable and the "
            "file out, and one is made; or make one: openssl rand -base64 48."
        )
    return key


SECRET_KEY = secret_key()
ALLOWED_HOSTS = env_list("TAGGER_HOSTS") or ["localhost", "127.0.0.1", "[::1]", HOST]
CSRF_TRUSTED_ORIGINS = env_list("TAGGER_ORIGINS")  # e.g. https://tags.example.org behind a proxy

# --- Django ------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "ninja",  # the files of the page that tries the API
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    # For its tables, which are there whether a provider is set or not: an archive of one house
    # goes into another. None of its pages has an address.
    "allauth.account",
    "allauth.socialaccount",
    "review",
]

MIDDLEWARE = [
    "tagger_site.logs.requests",  # first: all that is logged is of some request
    "django.middleware.security.SecurityMiddleware",
    # Before what answers by itself: a file and an error carry these headers too.
    "tagger_site.headers.permissions_policy",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "review.api.problem.problems",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",  # allauth does not start without
    "axes.middleware.AxesMiddleware",  # last: it answers in place of the sign-in page
]

ROOT_URLCONF = "tagger_site.urls"
WSGI_APPLICATION = "tagger_site.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "review.views.nav.menu",
            ],
        },
    },
]

DATABASES = {"default": dj_database_url.parse(DATABASE_URL)}
LOCK_SECONDS = 20  # that a statement waits for another's lock: also review/apps.py
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a transaction that reads first and writes later would otherwise die with
    # "database is locked" beside another writer. WAL: readers never wait. FULL: a saved pick
    # survives a power cut.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": LOCK_SECONDS,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
    DATABASES["default"]["TEST"] = {"NAME": str(VAR / "test.sqlite3")}
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# On SQLite too: the last connection that is closed writes the whole log back, after each request.
DATABASES["default"]["CONN_MAX_AGE"] = 600  # seconds

# Sessions are rows; Redis saves reading them for each pick, and may be away.
CACHES = {
    "default": {
        "BACKEND": "tagger_site.hints.Hints",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "tagger",
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it refuses who has tried too often
    "django.contrib.auth.backends.ModelBackend",
]
# Too many wrong passwords shut out the one who tries, for that name: neither the name's owner,
# who sits elsewhere, nor who else is behind the same address. Who is signed in notices nothing.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = datetime.timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "review.caller.address_of"
AXES_USERNAME_CALLABLE = "review.views.door.name_tried"
AXES_LOCKOUT_CALLABLE = "review.views.door.locked_out"
AXES_DISABLE_ACCESS_LOG = True  # who was here when is nobody's business
AXES_ENABLE_ADMIN = False  # ours has it: review/admin/projects.py
AXES_VERBOSE = False
OTP_TOTP_ISSUER = "Tagger"  # above the code, on the telephone

LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "queue"
LOGOUT_REDIRECT_URL = "sign_in"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]  # what the browser asks for decides
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR / "static"
WHITENOISE_ALLOW_ALL_ORIGINS = False  # nobody else's pages need our files
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage",
    },
}

# --- Security ----------------------------------------------------------------

# Scripts and styles come from files of our own, never from the page: a document that
# slips a tag through the sanitiser still runs nothing and fetches nothing.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
# Behind TLS alone: on http://127.0.0.1 a browser would keep a secure cookie to itself.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = HSTS_SECONDS if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
# What asks from inside, without the proxy.
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]
if HTTPS:
    # Only then: without a proxy that sets it, anybody could.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# To be on the browsers' own list (preload) is a promise for a whole domain, and its owner's.
SILENCED_SYSTEM_CHECKS = ["security.W021"]

# --- Celery ------------------------------------------------------------------

# Each limit outlasts the one before it: the model's deadline, then a polite stop, then the
# hard one, then the broker's redelivery. Otherwise one task would run twice at a time.
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True  # results are rows
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_RETRY_ON_WORKER_LOST = True  # at most max_retries times, unlike reject_on_worker_lost
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Webhooks and imports have queues of their own: they wait for no backlog of documents, nor do its
# hints (review/tasks.py looks at the length of the first). A worker takes from them in turn.
# A fourth, "training", is not among them: only a worker that is started for it takes from it.
CELERY_TASK_QUEUES: dict[str, dict[str, str]] = {"celery": {}, "webhooks": {}, "imports": {}}
CELERY_TASK_SOFT_TIME_LIMIT = MODEL_DEADLINE + 30
CELERY_TASK_TIME_LIMIT = MODEL_DEADLINE + 60
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": MODEL_DEADLINE * 2 + 600,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
}
CELERY_DB_REUSE_MAX = 1_000_000_000  # tasks for one connection: see tagger_site/celery.py
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # for ever: Redis will be back
CELERY_BROKER_CHANNEL_ERROR_RETRY = True  # so it is where it refuses: no disk, no memory for it
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "review.tasks.sweep", "schedule": 60.0, "options": {"expires": 55}},
    "confidence": {
        "task": "review.tasks.learn_confidence",
        "schedule": 600.0,
        "options": {"expires": 550},
    },
    "webhooks": {
        "task": "review.tasks.send_webhooks",
        "schedule": 10.0,
        "options": {"expires": 60, "queue": "webhooks"},
    },
}

# --- Logging -----------------------------------------------------------------

# Lines of the logger "tagger" are news for the person at the console: `make run` shows them,
# and keeps everything else in var/log/.
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "log": {
            "class": "tagger_site.logs.AsLines",
            "format": "{asctime} {levelname} {name} [{request_id}] {message}",
            "style": "{",
        },
        "json": {"()": "tagger_site.logs.AsJson"},
        "news": {
            "class": "tagger_site.logs.AsLines",
            "format": "tagger: {message}",
            "style": "{",
        },
    },
    "filters": {
        "discreet": {
            "()": "tagger_site.discreet.Discreet",
            "secrets": [
                *(SECRET_KEY, OPENAI_API_KEY, SECOND_API_KEY, OIDC_SECRET),
                *(os.environ.get("TAGGER_ADMIN_PASSWORD", ""), METRICS_TOKEN),
                *passwords_in(DATABASE_URL, REDIS_URL),
            ],
        },
        "request": {"()": "tagger_site.logs.WithRequest"},
    },
    "handlers": {
        "log": {
            "class": "logging.StreamHandler",
            "formatter": "json" if LOG_FORMAT == "json" else "log",
            "filters": ["discreet", "request"],
        },
        "news": {"class": "logging.StreamHandler", "formatter": "news", "filters": ["discreet"]},
    },
    "root": {"handlers": ["log"], "level": "INFO"},
    "loggers": {
        "tagger": {"handlers": ["news"], "level": "INFO", "propagate": False},
        "review.story": {"level": "INFO"},  # also where a worker is started with --loglevel=warning
        "httpx2": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
    },
}
if LOG_FORMAT == "json":
    # The web server's own lines too; else they are as gunicorn writes them.
    LOGGING["loggers"] |= {
        name: {"handlers": ["log"], "level": "INFO", "propagate": False}
        for name in ("gunicorn.error", "gunicorn.access")
    }
