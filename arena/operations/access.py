"""Who may see operators' figures: the bearer of the metrics token, or staff with the permission `arena.view_ops`.

Being on this machine is not enough: a voter's own browser may run here, and a proxy on this host makes everybody local. Figures
per model would tell such a voter which model is working.
"""

import logging
from hmac import compare_digest
from threading import Lock
from time import monotonic

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import Error
from django.http import HttpRequest

from arena import addresses, staff

log = logging.getLogger(__name__)
PERMISSION = "arena.view_ops"
WINDOW_S = 60.0
MOST_PREFIXES = 10_000  # remembered at once; the others share one count


def may_view(request: HttpRequest) -> bool:
    """Whether this request may see figures. Wrong tokens are bounded per prefix; without a database nobody is staff."""
    if request.headers.get("Authorization"):
        return _by_token(request)
    try:
        return is_operator(request.user)
    except Error:
        return False


def is_operator(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Active staff with the permission. Asks the database."""
    return staff.may(user, PERMISSION)


class Tries:
    """Wrong tokens per prefix in the last minute, in this process's memory: it must work when Valkey does not."""

    def __init__(self) -> None:
        self.lock, self.counts, self.until = Lock(), dict[str, int](), 0.0

    def _key(self, prefix: str) -> str:
        if monotonic() > self.until:
            self.counts.clear()
            self.until = monotonic() + WINDOW_S
        return prefix if prefix in self.counts or len(self.counts) < MOST_PREFIXES else "the others"

    def spent(self, prefix: str) -> bool:
        with self.lock:
            return self.counts.get(self._key(prefix), 0) >= settings.METRICS_TRIES

    def wrong(self, prefix: str) -> None:
        with self.lock:
            key = self._key(prefix)
            self.counts[key] = self.counts.get(key, 0) + 1
            if self.counts[key] == settings.METRICS_TRIES:
                log.warning("too many wrong metrics tokens from one address: it is refused for a minute")


tries = Tries()


def _by_token(request: HttpRequest) -> bool:
    """A throttled prefix is refused before anything is compared, so that it learns nothing from the right token either."""
    prefix = addresses.client_prefix(request)
    scheme, _, given = request.headers["Authorization"].partition(" ")
    if not settings.METRICS_TOKEN or scheme.lower() != "bearer" or tries.spent(prefix):
        return False
    if compare_digest(given.strip().encode(), settings.METRICS_TOKEN.encode()):
        return True
    tries.wrong(prefix)
    return False
