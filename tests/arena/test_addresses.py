"""Forwarded headers are believed from configured proxies only, and only their right-most untrusted hop."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from arena.addresses import UNKNOWN, client_prefix, parse


def prefix(peer: str, forwarded: str | None = None) -> str:
    request = RequestFactory().get("/")
    request.META["REMOTE_ADDR"] = peer
    if forwarded is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    return client_prefix(request)


def test_without_proxies_the_header_means_nothing(settings) -> None:
    settings.TRUSTED_PROXIES = []
    assert prefix("203.0.113.9", "198.51.100.1") == "203.0.113.9/32"
    assert prefix("127.0.0.1", "198.51.100.1") == "127.0.0.1/32"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("198.51.100.1", "198.51.100.1/32"),
        ("6.6.6.6, 198.51.100.1", "198.51.100.1/32"),  # the client wrote the left one
        ("6.6.6.6, 198.51.100.1, 10.0.0.7", "198.51.100.1/32"),  # two proxies of ours
        ("10.0.0.7, 10.0.0.8", "10.0.0.7/32"),
        ("198.51.100.1:4711", "198.51.100.1/32"),
        ("[2001:db8:1:2::5]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.1", "198.51.100.1/32"),
        ("6.6.6.6, nonsense", "10.0.0.1/32"),
        ("<script>", "10.0.0.1/32"),
        ("", "10.0.0.1/32"),
        (None, "10.0.0.1/32"),
    ],
)
def test_the_right_most_untrusted_hop_counts(settings, forwarded: str | None, expected: str) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert prefix("10.0.0.1", forwarded) == expected


def test_a_client_that_skips_the_proxy_is_not_believed(settings) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert prefix("203.0.113.9", "10.0.0.1, 198.51.100.1") == "203.0.113.9/32"


def test_a_unix_socket_needs_a_named_proxy(settings) -> None:
    settings.TRUSTED_PROXIES = []
    assert prefix("", "198.51.100.1") == UNKNOWN
    settings.TRUSTED_PROXIES = ["unix"]
    assert prefix("", "6.6.6.6, 198.51.100.1") == "198.51.100.1/32"


def test_neighbours_in_one_ipv6_network_are_one() -> None:
    assert prefix("2001:db8::1") == prefix("2001:db8::ffff:1") != prefix("2001:db8:0:1::1")


def test_a_typing_error_in_the_proxies_is_one_clear_line(settings) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/99"]
    with pytest.raises(ImproperlyConfigured, match="AGON_TRUSTED_PROXIES"):
        prefix("10.0.0.1")


@pytest.mark.parametrize(
    "text", ["", " ", "1.2.3", "999.1.1.1", "[::1", "a:b", "::1::2", "1.2.3.4.5", "fe80::1%eth0%x" * 9]
)
def test_parsing_never_raises(text: str) -> None:
    parse(text)
