"""The one-time admin link: once, for a while, for an operator, without a password."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from arena import accounts

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_cache(valkey: redis.Redis) -> None:
    """Links are kept in Valkey."""


def token() -> str:
    return accounts.one_time_login_path().split("/")[2]


def test_the_first_link_makes_an_operator_without_a_password() -> None:
    user = accounts.redeem(token())
    assert user is not None
    assert (user.username, user.is_superuser, user.has_usable_password()) == ("admin", True, False)


def test_later_links_are_for_the_oldest_operator_and_make_nobody() -> None:
    first = User.objects.create_superuser("berta", password="x")
    User.objects.create_superuser("anna", password="x")
    assert accounts.redeem(token()) == first
    assert User.objects.count() == 2


def test_a_person_called_admin_is_not_promoted() -> None:
    person = User.objects.create_user("admin", password="x")
    user = accounts.redeem(token())
    assert user is not None
    assert user != person
    person.refresh_from_db()
    assert not person.is_staff


def test_a_link_works_once() -> None:
    fresh = token()
    assert accounts.redeem(fresh)
    assert accounts.redeem(fresh) is None


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_gets_in() -> None:
    fresh = token()

    def redeem(_: int) -> bool:
        try:
            return accounts.redeem(fresh) is not None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(redeem, range(16))) == 1


def test_a_link_expires_and_only_its_hash_is_kept(valkey: redis.Redis) -> None:
    fresh = token()
    (key,) = valkey.keys("*admin-login*")
    assert fresh.encode() not in key
    assert 0 < valkey.ttl(key) <= accounts.LIFETIME_S
    valkey.delete(key)
    assert accounts.redeem(fresh) is None


def test_a_user_who_lost_the_role_stays_out() -> None:
    fresh = token()
    User.objects.update(is_staff=False)
    assert accounts.redeem(fresh) is None


def test_looking_at_the_page_spends_nothing_and_posting_signs_in(client: Client) -> None:
    path = accounts.one_time_login_path()
    for _ in range(2):
        page = client.get(path)
        assert page.status_code == 200
        assert "no-store" in page["Cache-Control"]
    answer = client.post(path)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.session["_auth_user_id"] == str(User.objects.get().pk)
    assert Client().post(path).status_code == 410


def test_another_site_cannot_post_it() -> None:
    assert Client(enforce_csrf_checks=True).post(accounts.one_time_login_path()).status_code == 403
