"""Keys of address hashes: made once, replaced on a schedule, gone when nothing needs them; no address is stored anywhere."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, connections

from arena import address_keys, addresses, bans, clock
from arena.address_keys import rotate
from arena.models import AddressKey, Ban

PREFIX = "198.51.100.1/32"
pytestmark = pytest.mark.django_db


def later(monkeypatch: pytest.MonkeyPatch, **delta: float) -> None:
    """Move the clock on, as other processes would see it: without what this one remembers."""
    moment = clock.now() + timedelta(**delta)
    monkeypatch.setattr(clock, "now", lambda: moment)
    address_keys.forget()
    bans.forget()


def test_a_group_names_its_key_and_hides_its_prefix() -> None:
    group = addresses.group_key(PREFIX)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{32}", group)
    assert address_keys.tag_of(group) == AddressKey.objects.get().tag
    assert group == addresses.group_key(PREFIX) != addresses.group_key("198.51.100.2/32")


def test_groups_of_earlier_versions_name_no_key() -> None:
    assert address_keys.tag_of("0" * 32) == address_keys.tag_of("") == ""


def test_the_key_is_random_and_sealed(settings) -> None:
    group = addresses.group_key(PREFIX)
    AddressKey.objects.all().delete()
    address_keys.forget()
    settings.SECRET_KEY = "the site's own secret plays no part"
    assert addresses.group_key(PREFIX).split("-")[1] != group.split("-")[1]
    row = AddressKey.objects.get()
    assert row.sealed_secret.startswith("gAAAA")
    assert address_keys.current().secret.hex() not in row.sealed_secret


def test_the_hot_path_asks_the_database_once_a_minute(django_assert_num_queries, monkeypatch) -> None:
    addresses.group_key(PREFIX)
    with django_assert_num_queries(0):
        for number in range(50):
            addresses.group_key(f"198.51.100.{number}/32")
    began = address_keys._cached[0]
    monkeypatch.setattr(address_keys, "monotonic", lambda: began + address_keys.CACHE_S)
    with django_assert_num_queries(1):
        addresses.group_key(PREFIX)


@pytest.mark.django_db(transaction=True)
def test_many_first_requests_make_one_key() -> None:
    def ask(_: int) -> str:
        try:
            return address_keys._made().tag
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(16)))) == 1
    assert AddressKey.objects.count() == 1
    connection.close()


def test_rotation_replaces_an_old_key_and_then_deletes_it(settings, monkeypatch) -> None:
    settings.ADDRESS_KEY_DAYS = 30
    group = addresses.group_key(PREFIX)
    later(monkeypatch, days=29)
    assert rotate() == 0 and addresses.group_key(PREFIX) == group
    later(monkeypatch, days=1)
    assert rotate() == 0
    assert addresses.group_key(PREFIX).split("-")[0] != group.split("-")[0]
    assert AddressKey.objects.count() == 2  # yesterday's battles can still be banned by their prefix
    assert rotate() == 0 and AddressKey.objects.count() == 2
    later(monkeypatch, days=1, minutes=1)
    assert rotate() == 1
    assert AddressKey.objects.get().tag == address_keys.tag_of(addresses.group_key(PREFIX))


def test_rotation_without_any_key_makes_none() -> None:
    assert rotate() == 0 and not AddressKey.objects.exists()


def test_a_key_lives_as_long_as_its_last_live_ban(monkeypatch) -> None:
    group = addresses.group_key(PREFIX)
    moment = clock.now()
    bans.ban_prefix(group, None, "Flood", moment + timedelta(days=40))
    bans.ban_prefix(addresses.group_key("203.0.113.7/32"), None, "Flood", moment + timedelta(days=60))
    later(monkeypatch, days=30)
    assert rotate() == 0
    later(monkeypatch, days=12)
    assert rotate() == 0 and AddressKey.objects.count() == 2
    later(monkeypatch, days=19)
    assert rotate() == 1
    assert not Ban.objects.exists()  # they named addresses that nobody can recognise any more


def test_a_lifted_ban_keeps_no_key(monkeypatch) -> None:
    ban = bans.ban_prefix(addresses.group_key(PREFIX), None, "Flood", clock.now() + timedelta(days=80))
    bans.lift(ban, None)
    later(monkeypatch, days=30)
    rotate()
    later(monkeypatch, days=2)
    assert rotate() == 1


def test_a_key_that_cannot_be_opened_is_replaced_and_said(settings, caplog) -> None:
    group = addresses.group_key(PREFIX)
    settings.SEAL_KEYS = ["another seal key"]
    address_keys.forget()
    assert address_keys.tag_of(addresses.group_key(PREFIX)) != address_keys.tag_of(group)
    assert "cannot be opened" in caplog.text
