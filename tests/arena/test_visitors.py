"""The visitor cookie: made when needed, believed only when signed and fresh, renewed once a day, never in a page."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from arena import clock, visitors
from arena.models import Visitor

pytestmark = pytest.mark.django_db


def visit(cookie: str | None = None, act: bool = False) -> tuple[HttpRequest, HttpResponse]:
    request = RequestFactory().get("/")
    if cookie is not None:
        request.COOKIES[visitors.COOKIE] = cookie

    def view(request: HttpRequest) -> HttpResponse:
        if act:
            visitors.ensure(request)
        return HttpResponse("page")

    return request, visitors.VisitorMiddleware(view)(request)


def test_looking_around_makes_no_row_and_no_cookie() -> None:
    request, response = visit()
    assert request.visitor is None
    assert not response.cookies
    assert Visitor.objects.count() == 0


def test_the_first_act_makes_the_visitor_and_the_next_request_is_the_same_one() -> None:
    request, response = visit(act=True)
    morsel = response.cookies[visitors.COOKIE]
    assert morsel["httponly"] and morsel["samesite"] == "Lax" and morsel["max-age"] == 400 * 24 * 3600
    assert "no-store" in response.headers["Cache-Control"]
    again, second = visit(morsel.value, act=True)
    assert again.visitor == request.visitor
    assert not second.cookies
    assert "Cookie" in second.headers["Vary"]
    assert Visitor.objects.count() == 1


def test_the_cookie_is_secure_in_production(settings) -> None:
    settings.SESSION_COOKIE_SECURE = True
    assert visit(act=True)[1].cookies[visitors.COOKIE]["secure"]


def signed(value: str, salt: str = "agon.visitor") -> str:
    return signing.TimestampSigner(salt=salt).sign(value)


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "garbage",
        uuid4().hex,
        f"{uuid4().hex}:1abcde:forged-signature",
        signed(uuid4().hex, salt="another"),
        signed("not a uuid"),
        signed(uuid4().hex)[:-1],
        "\x00" * 10,
        ":" * 5000,
        signed(uuid4().hex),  # well signed, but the row is gone
    ],
    ids=["empty", "garbage", "unsigned", "forged", "other-salt", "no-uuid", "cut", "zeros", "long", "row-gone"],
)
def test_a_bad_cookie_is_a_stranger_without_error(cookie: str) -> None:
    request, response = visit(cookie)
    assert request.visitor is None
    assert response.status_code == 200
    renewed, answer = visit(cookie, act=True)
    assert renewed.visitor is not None
    assert visitors.read_cookie(answer.cookies[visitors.COOKIE].value) == renewed.visitor.pk


def test_a_stale_cookie_is_a_stranger(settings) -> None:
    cookie = visit(act=True)[1].cookies[visitors.COOKIE].value
    assert visitors.read_cookie(cookie) is not None
    settings.VISITOR_COOKIE_AGE_S = -1
    assert visitors.read_cookie(cookie) is None
    assert visit(cookie)[0].visitor is None


def test_it_is_renewed_once_a_day(monkeypatch) -> None:
    cookie = visit(act=True)[1].cookies[visitors.COOKIE].value
    start = clock.now()
    monkeypatch.setattr(clock, "now", lambda: start + timedelta(days=1, minutes=5))
    request, response = visit(cookie)
    assert visitors.COOKIE in response.cookies
    assert Visitor.objects.get().last_seen_at == clock.now()
    assert not visit(cookie)[1].cookies


def test_an_old_secret_still_opens_after_rotation(settings) -> None:
    cookie = visit(act=True)[1].cookies[visitors.COOKIE].value
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a-new-secret-" * 5, [settings.SECRET_KEY]
    assert visit(cookie)[0].visitor is not None
