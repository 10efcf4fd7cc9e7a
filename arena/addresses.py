"""Where a request comes from, as far as it can be believed.

`X-Forwarded-For` counts only when the connection comes from a configured proxy, and then only its right-most hop that is
not itself one of ours: everything left of that was written by the client.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from arena import address_keys

UNKNOWN = "unknown"  # a unix socket without a trusted proxy in front: everybody is one prefix
IPV6_PREFIX = 64  # what one household or one rented server holds

Address = IPv4Address | IPv6Address


def client_prefix(request: HttpRequest) -> str:
    """The prefix that limits and fairness count by: an IPv4 address, the /64 of an IPv6 address, or UNKNOWN."""
    address = client_address(request)
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return f"{address}/32"


def client_address(request: HttpRequest) -> Address | None:
    """The right-most hop that is not a trusted proxy. TRUSTED_PROXIES may hold `unix` for a proxy on our unix socket."""
    peer = request.META.get("REMOTE_ADDR", "")
    address = parse(peer)
    if not _trusted(address, unix=not peer):
        return address
    for hop in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        found = parse(hop)
        if found is None:
            return address
        address = found
        if not _trusted(address, unix=False):
            return address
    return address


def group_key(prefix: str) -> str:
    """An opaque name of a prefix under the current key: it says whether two requests share one, not which."""
    return address_keys.current().hash(prefix)


def parse(text: str) -> Address | None:
    """An address as proxies write it: bare, with a port, bracketed, with a zone, or IPv4 mapped into IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _trusted(address: Address | None, unix: bool) -> bool:
    named, networks = _proxies(tuple(settings.TRUSTED_PROXIES))
    if address is None:
        return unix and named
    return any(address in network for network in networks)


@lru_cache(maxsize=8)
def _proxies(names: tuple[str, ...]) -> tuple[bool, tuple[IPv4Network | IPv6Network, ...]]:
    """Whether `unix` is among the trusted proxies, and the networks that are."""
    try:
        return "unix" in names, tuple(ip_network(name, strict=False) for name in names if name != "unix")
    except ValueError as error:
        raise ImproperlyConfigured(f"AGON_TRUSTED_PROXIES: {error}; write addresses, CIDR ranges or `unix`") from None


_proxies(tuple(settings.TRUSTED_PROXIES))  # a typing error stops the start, not the first request
