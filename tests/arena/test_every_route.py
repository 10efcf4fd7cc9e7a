"""Every route: its own methods and no others, a CSRF token on whatever changes something, malformed ids, odd cookies (S10)."""

import uuid
from urllib.parse import quote

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.http import HttpResponse

from arena import visitors
from arena.models import AddressKey, Battle
from arena.votes import cast_vote
from tests.arena import routes
from tests.arena.routes import Route
from tests.arena.views_help import Person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]

PUBLIC = [route for route in routes.every() if not route.of_admin]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS")
# POSTs that need no token, each with its reason.
WITHOUT_TOKEN = {"language/": "switches the language; a token in every footer would keep every page out of caches"}
MALFORMED = [
    "x",
    "0",
    "-1",
    "00000000",
    "%00",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "' OR 1=1",
    "\ufffd",
    "a" * 300,
    "0" * 32 + "g",
]


def values(battle: Battle | None = None) -> dict[str, str]:
    """Blanks filled with what exists where that matters, and with well-formed strangers elsewhere."""
    some = str(uuid.uuid4())
    return {
        "battle": str(battle.pk) if battle else some,
        "item": some,
        "token": "x" * 43,
        "block": some,
        "pk": some,
        "number": "1",
        "form": "json",
        "slug": "about",
        "page": "about",
        "ending": "csv",
        "name": "none",
        "path": "data.parquet",
        "receipt": "0" * 64,
    }


def ask(person: Person, method: str, path: str, token: bool = True, **headers: str) -> HttpResponse:
    if token:
        headers["X-CSRFToken"] = person.token
    return person.raw.generic(method, path, b"", "application/x-www-form-urlencoded", headers=headers)


def staff() -> Person:
    person = Person()
    person.raw.force_login(User.objects.create_superuser("root"))
    return person


def counts() -> dict[str, int]:
    """Rows of every table, but for the keys of addresses, which the first look at one makes."""
    tables = [model for model in apps.get_models() if model is not AddressKey]
    return {model._meta.label: model._default_manager.count() for model in tables}


def ids(route: Route) -> str:
    return route.pattern or "/"


@pytest.mark.parametrize("route", PUBLIC, ids=ids)
@pytest.mark.parametrize("who", ["stranger", "staff"])
def test_a_route_answers_to_its_own_methods_and_says_405_to_all_others(route: Route, who: str) -> None:
    person = staff() if who == "staff" else Person(agreed=False)
    path = route.path(values())
    refused = ask(person, "PUT", path)
    assert refused.status_code == 405, f"{path}: PUT gave {refused.status_code}"
    allowed = {method.strip() for method in refused["Allow"].split(",")}
    assert allowed and allowed <= {"GET", "HEAD", "POST", "OPTIONS"}
    for method in METHODS:
        status = ask(person, method, path).status_code
        assert (status == 405) == (method not in allowed), f"{method} {path}: {status}, allowed {allowed}"
        assert status < 500 or path == "/readyz", f"{method} {path}: {status}"  # no worker runs here


@pytest.mark.parametrize("route", PUBLIC, ids=ids)
def test_what_changes_something_needs_its_token_and_its_origin(route: Route) -> None:
    person = staff()
    path = route.path(values(person.ready()))
    before = counts()
    without, foreign = (
        ask(person, "POST", path, token=False),
        ask(person, "POST", path, Origin="https://evil.example"),
    )
    if route.pattern in WITHOUT_TOKEN:
        assert without.status_code == 400  # no language was named
    else:
        assert (without.status_code, foreign.status_code) in {(403, 403), (405, 405)}
    assert counts() == before


def test_every_admin_page_that_changes_something_needs_its_token() -> None:
    person = staff()
    fill = values() | {
        "object_id": "1",
        "content_type_id": "1",
        "id": "1",
        "app_label": "arena",
        "url": "x",
        "snapshot": "1",
    }
    tried = 0
    for route in routes.every():
        if route.of_admin and "POST" not in route.pattern:
            path = route.path(fill | {name: "1" for name in route.blanks if name not in fill})
            status = ask(person, "POST", path, token=False).status_code
            assert status in (403, 405), f"{path}: {status}"
            tried += 1
    assert tried > 100


@pytest.mark.parametrize("route", [route for route in PUBLIC if route.blanks], ids=ids)
def test_malformed_ids_are_404(route: Route) -> None:
    person = staff()
    good = values(person.ready())
    before = counts()
    for bad in MALFORMED:
        for blank in route.blanks:
            path = route.path(good | {blank: bad if "%" in bad else quote(bad)})
            for method in ("GET", "POST"):
                status = ask(person, method, path).status_code
                gone = status in (404, 405, 410)
                # the one-time link's page asks before it looks; other blanks may meet a page that exists
                assert gone or "admin-login" in path or status in (200, 301, 302, 308), f"{method} {path}: {status}"
    assert counts() == before


COOKIES = {
    "forged": "00000000000000000000000000000001:1abcde:Zm9yZ2Vk",
    "empty": "",
    "binary": "\x80\xff\xfe",
    "quotes": '"a\\"b;c',
    "huge": "x" * 8000,
    "json": '{"a": [1, 2]}',
    "newline": "a%0d%0aSet-Cookie: x=y",
}


@pytest.mark.parametrize("cookie", COOKIES, ids=list(COOKIES))
@pytest.mark.parametrize("name", [visitors.COOKIE, "sessionid", "csrftoken", "agon_language", "messages"])
def test_cookies_of_any_kind_make_a_stranger_and_never_an_error(name: str, cookie: str) -> None:
    person = Person()
    battle = person.ready()
    person.raw.cookies.clear()
    person.raw.cookies[name] = COOKIES[cookie]
    before = counts()
    for path in ("/", "/me/", "/leaderboard", "/datasets", "/admin/login/", "/healthz"):
        assert person.get(path).status_code in (200, 302), path
    assert person.get(f"/b/{battle.pk}/").status_code == 404
    assert person.raw.post("/battles/", {"prompt": "x"}).status_code == 403
    assert counts() == before


def test_a_stale_cookie_is_a_stranger(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    person = Person()
    battle = person.ready()
    cast_vote(battle.pk, "a", 1)
    assert person.get(f"/b/{battle.pk}/").status_code == 200
    settings.VISITOR_COOKIE_AGE_S = -1
    assert person.get(f"/b/{battle.pk}/").status_code == 404
    assert person.post(f"/b/{battle.pk}/share/").status_code == 404


@pytest.mark.parametrize("path", ["/", "/leaderboard", "/datasets", "/me/", "/b/{battle}/", "/admin/login/"])
def test_many_parameters_are_refused_in_words_or_ignored(path: str) -> None:
    person = Person()
    query = "&".join(f"p{n}={n}" for n in range(1000))
    page = person.get(f"{path.format(battle=person.ready().pk)}?{query}")
    assert page.status_code in (200, 400)
    if page.status_code == 400:
        assert b"makes no sense to us" in page.content


def test_many_fields_of_a_form_are_refused_in_words() -> None:
    person = Person()
    before = counts()
    page = person.post("/battles/", prompt="x", **{f"f{n}": "y" for n in range(300)})
    assert page.status_code == 400 and b"makes no sense to us" in page.content
    assert counts() == before
