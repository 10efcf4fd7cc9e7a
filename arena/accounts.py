"""How an operator gets in on the first day: a link that works once, for a quarter of an hour. There is no default password."""

import hashlib
import secrets

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.cache import cache

LIFETIME_S = 15 * 60


def one_time_login_path() -> str:
    """A fresh link for the oldest superuser, `admin` being made if no staff user exists. Only the token's hash is kept."""
    user = _operator()
    token = secrets.token_urlsafe(32)
    cache.set(_slot(token), user.pk, LIFETIME_S)
    return f"/admin-login/{token}/"


def redeem(token: str) -> User | None:
    """The user of a link that is still good, exactly once; afterwards None."""
    pk = cache.get(_slot(token))
    if pk is None or not cache.delete(_slot(token)):  # of two redemptions at once, one deletes
        return None
    return get_user_model().objects.filter(pk=pk, is_active=True, is_staff=True).first()


def _operator() -> User:
    users = get_user_model().objects
    found = users.filter(is_active=True, is_superuser=True).order_by("date_joined").first()
    if found:
        return found
    name = "admin" if not users.filter(username="admin").exists() else f"admin-{secrets.token_hex(3)}"
    return users.create_superuser(username=name, password=None)  # None makes the password unusable


def _slot(token: str) -> str:
    return f"admin-login:{hashlib.sha256(token.encode()).hexdigest()}"
