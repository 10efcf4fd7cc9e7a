"""Guessing passwords: counted per address prefix and per name, the same for names that nobody has, closed without Valkey."""

import re
from pathlib import Path

import pytest
import redis
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from arena import accounts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]
RIGHT = "correct horse battery"


@pytest.fixture(autouse=True)
def rates(settings) -> None:
    settings.LOGIN_NAME_BURST, settings.LOGIN_NAME_PER_MINUTE = 3, 2
    settings.LOGIN_PREFIX_BURST, settings.LOGIN_PREFIX_PER_MINUTE = 6, 6


@pytest.fixture(autouse=True)
def ada() -> User:
    return User.objects.create_superuser("ada", password=RIGHT)


def sign_in(name: str, password: str = "wrong", address: str = "203.0.113.7", **extra: str) -> HttpResponse:
    form = {"username": name, "password": password, "next": "/admin/"}
    return Client().post("/admin/login/", form, REMOTE_ADDR=address, **extra)


def statuses(*names: str, **extra: str) -> list[int]:
    return [sign_in(name, **extra).status_code for name in names]


def test_a_right_password_signs_in() -> None:
    assert sign_in("ada", RIGHT).status_code == 302


def test_after_the_burst_a_name_waits_even_with_the_right_password() -> None:
    assert statuses("ada", "ada", "ada") == [200, 200, 200]
    refused = sign_in("ada", RIGHT)
    assert refused.status_code == 429
    assert 20 < int(refused["Retry-After"]) <= 30
    assert f"Try again in {refused['Retry-After']} seconds" in refused.content.decode()
    assert "no-store" in refused["Cache-Control"] and "_auth_user_id" not in refused.client.session


def test_a_name_is_counted_from_everywhere_and_in_every_spelling() -> None:
    tried = [sign_in(name, address=f"198.51.100.{n}").status_code for n, name in enumerate(["ada", "ADA ", " Ada"])]
    assert tried == [200, 200, 200]
    assert sign_in("ada", address="198.51.100.9").status_code == 429


def test_an_address_is_counted_for_every_name() -> None:
    assert statuses(*[f"guess{n}" for n in range(6)]) == [200] * 6
    assert sign_in("ada", RIGHT).status_code == 429
    assert sign_in("ada", RIGHT, address="203.0.113.8").status_code == 302


def test_one_household_is_one_address_and_a_forged_header_is_none(settings) -> None:
    settings.LOGIN_NAME_BURST = 99
    for n in range(6):
        sign_in(f"guess{n}", address=f"2001:db8:1:2::{n}", HTTP_X_FORWARDED_FOR=f"192.0.2.{n}")
    assert sign_in("guess", address="2001:db8:1:2:ffff::1").status_code == 429
    assert sign_in("guess", address="2001:db8:1:3::1").status_code == 200


def test_a_name_that_nobody_has_gets_the_same_answers() -> None:
    """No enumeration: the same pages, the same counting, byte for byte but for the form's token and the typed name."""

    def answers(name: str, address: str) -> list[tuple[int, bytes]]:
        said = [sign_in(name, address=address) for _ in range(4)]
        fresh = re.compile(rb'name="csrfmiddlewaretoken" value="[^"]+"|nonce="[^"]+"')
        return [(one.status_code, fresh.sub(b"", one.content).replace(name.encode(), b"NAME")) for one in said]

    assert answers("ada", "203.0.113.1") == answers("eve", "203.0.113.2")


def test_success_gives_nothing_back() -> None:
    assert statuses("ada", "ada") == [200, 200]
    assert sign_in("ada", RIGHT).status_code == 302
    assert sign_in("ada").status_code == 429


def test_looking_at_the_form_costs_nothing() -> None:
    for _ in range(20):
        assert Client().get("/admin/login/", REMOTE_ADDR="203.0.113.7").status_code == 200
    assert sign_in("ada", RIGHT).status_code == 302


def test_guessing_one_time_links_is_counted_by_address_and_a_link_works_for_a_locked_out_name() -> None:
    statuses("ada", "ada", "ada")
    link = accounts.one_time_login_path()
    assert sign_in("ada", RIGHT, address="192.0.2.1").status_code == 429
    assert Client().post(link, REMOTE_ADDR="192.0.2.1").status_code == 302
    tried = [Client().post("/admin-login/guess/", REMOTE_ADDR="192.0.2.2").status_code for _ in range(7)]
    assert tried == [410] * 6 + [429]
    assert Client().post(accounts.one_time_login_path(), REMOTE_ADDR="192.0.2.2").status_code == 429


def test_no_name_is_kept_in_the_clear(valkey: redis.Redis) -> None:
    sign_in("ada")
    keys = b" ".join(valkey.keys("*"))
    assert b"login:name" in keys and b"ada" not in keys and b"203.0.113.7" not in keys


def test_without_valkey_the_door_is_closed_in_clear_words(settings, tmp_path: Path) -> None:
    link = accounts.one_time_login_path()
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock?db=0"
    for answer in (sign_in("ada", RIGHT), Client().post(link)):
        assert answer.status_code == 503
        assert "none is accepted" in answer.content.decode() and int(answer["Retry-After"]) > 0
        assert "_auth_user_id" not in answer.client.session
