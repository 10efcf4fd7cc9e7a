"""Addresses of endpoints: one written form, and which of them are on this machine."""

import ipaddress
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from inference.target import UNIX


def normal(base_url: str) -> str:
    """`base_url` as the client wants it; an address without a path gets `/v1`. Raises ValidationError for field base_url."""
    text = base_url.strip().rstrip("/")
    if text.startswith(UNIX):
        if not text.removeprefix(UNIX).startswith("/"):
            raise _refused(_("a socket needs its whole path: unix:///run/agon/engine.sock"))
        return text
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise _refused(_("this is no address; write https://host/v1 or unix:///path/to/socket")) from None
    if parts.scheme not in ("http", "https") or not host:
        raise _refused(_("write https://host/v1, http://127.0.0.1:port/v1 or unix:///path/to/socket"))
    if parts.username or parts.password or parts.query or parts.fragment:
        raise _refused(_("an address holds no user, key, ? or #; the key has its own field"))
    if parts.path.endswith("/chat/completions"):
        raise _refused(_("leave out /chat/completions: the address of the API's root is wanted, like https://host/v1"))
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/v1", "", ""))


def of_our_engine() -> str:
    """AGON_ENGINE_URL in its one written form, "" when it is unset. Raises ValidationError."""
    return normal(settings.ENGINE_URL) if settings.ENGINE_URL else ""


def _refused(message: str) -> ValidationError:
    return ValidationError({"base_url": message})


def is_local(base_url: str) -> bool:
    """Whether an address is on this machine: a unix socket or a loopback address."""
    if base_url.startswith(UNIX):
        return True
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
