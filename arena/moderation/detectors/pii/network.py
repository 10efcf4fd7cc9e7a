"""Public network addresses. Loopback, private and link-local ones, masks, versions and section numbers are nobody's."""

import ipaddress
import re
from collections.abc import Iterator

from arena.moderation.detectors.pii.normal import Found, cued

V4 = re.compile(r"(?<![A-Za-z0-9_.-])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d|[A-Za-z_]|-\w)(/\d{1,2}(?!\d))?")
V6 = re.compile(
    r"(?<![A-Za-z0-9_:.])(?=[0-9a-fA-F]{1,4}:)(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{0,4}(?![A-Za-z0-9_:]|\.\d)"
)
NUMBERED = re.compile(
    r"(?:\bv|\bver\.?|version|release|build|section|sect?\.|chapter|clause|figure|table|appendix|step|[§=]=?|[~^<>]=)[\s:=\"'v]{0,3}$",
    re.IGNORECASE,
)
NOBODYS = [
    ipaddress.ip_network(block)
    for block in (
        *(
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
        ),
        *("198.18.0.0/15", "224.0.0.0/3"),
    )
]
GLOBAL_V6 = ipaddress.ip_network("2000::/3")
# Resolvers that everybody names when they mean "the internet".
WELL_KNOWN = frozenset({"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9"})


def find(text: str) -> Iterator[Found]:
    for match in V4.finditer(text):
        if _of_somebody(match[0]) and not cued(text, match.start(), NUMBERED, 24):
            yield Found("ip", *match.span())
    for match in V6.finditer(text):
        if _is_global_v6(match[0]):
            yield Found("ip", *match.span())


def _of_somebody(written: str) -> bool:
    host, _slash, _bits = written.partition("/")
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return host not in WELL_KNOWN and not host.endswith(".0.0.0") and not any(address in block for block in NOBODYS)


def _is_global_v6(written: str) -> bool:
    try:
        return ipaddress.IPv6Address(written) in GLOBAL_V6
    except ValueError:
        return False
