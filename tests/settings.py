"""The site's settings on a test installation: the same file, with its own var/ folder and one Valkey database per worker.

The variables are set before `arena.settings` is read, and inherited by every process that a test starts.
"""

import os
import tempfile

from arena import embedded

if "AGON_TEST_VAR" not in os.environ:
    os.environ["AGON_TEST_VAR"] = tempfile.mkdtemp(prefix="agon-test-", dir="/tmp")
    os.chmod(os.environ["AGON_TEST_VAR"], 0o711)  # the servers' user passes through
os.environ["AGON_VAR"] = os.environ["AGON_TEST_VAR"]
os.environ.setdefault("AGON_ENV", "local")
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
VALKEY_DB = 1 + int(WORKER.removeprefix("gw") or 0)  # 0 is the site's own


def _worker_redis_url() -> str:
    given = os.environ.get("REDIS_URL")
    if not given:
        return embedded.redis_url(VALKEY_DB)
    base, _, number = given.rpartition("/")
    return f"{base}/{int(number) + VALKEY_DB}" if number.isdigit() else f"{given.rstrip('/')}/{VALKEY_DB}"


EMBEDDED_POSTGRES = not os.environ.get("DATABASE_URL")
EMBEDDED_VALKEY = not os.environ.get("REDIS_URL")
_given = os.environ.get("REDIS_URL")
os.environ["REDIS_URL"] = _worker_redis_url()
from arena.settings import *  # noqa: E402, F403

if _given is None:
    del os.environ["REDIS_URL"]
else:
    os.environ["REDIS_URL"] = _given
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # slow hashes protect people, not tests
