"""CSP on every page: a strict policy, and pages that need no inline code (all GET routes, as stranger, visitor and staff)."""

from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse

from ranking.models import BoardSnapshot
from tests.arena import routes
from tests.arena.test_every_route import PUBLIC, values
from tests.arena.test_permissions import site  # noqa: F401 - a row of every kind that has a page
from tests.arena.views_help import Person
from tests.ranking.publishing import publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey", "site")]

DATA_SCRIPTS = {"application/json", "application/ld+json"}  # never run


class Inline(HTMLParser):
    """What a page would run or style by itself: handlers, style attributes, code without an address, scripting addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name.lower(): value or "" for name, value in attrs}
        data = tag == "script" and given.get("type") in DATA_SCRIPTS
        if (tag == "style" or (tag == "script" and "src" not in given and not data)) and not given.get("nonce"):
            self.found.append(f"<{tag}> without an address or a nonce")
        self.found += [f"<{tag} {name}>" for name in given if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action", "formaction"):
            value = given.get(name, "").strip().lower()
            if value.startswith(("javascript:", "data:text")):
                self.found.append(f"<{tag} {name}={value[:30]}>")
            if name == "src" and value.startswith(("http:", "https:", "//")):
                self.found.append(f"<{tag}> from {value[:60]}")


def check(response: HttpResponse, path: str) -> bool:
    """Whether it is a page at all; then its policy and its markup must be strict."""
    policy = response.get("Content-Security-Policy", "")
    if not response.get("Content-Type", "").startswith("text/html"):
        return False
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";") if " " in part.strip())
    assert "unsafe" not in policy, f"{path}: {policy}"
    assert directives["default-src"] == "'none'", path
    for name in ("script-src", "style-src"):
        assert directives[name].startswith("'self'"), f"{path}: {name} {directives[name]}"
    assert directives["base-uri"] == directives["frame-ancestors"] == "'none'", path
    assert directives["form-action"] == "'self'", path
    assert Inline(response.content.decode()).found == [], path
    return True


@pytest.fixture
def someone() -> Person:
    BoardSnapshot.objects.all().delete()  # the one of the fixture holds no board
    publish((12, 9))
    return Person()


@pytest.mark.parametrize("who", ["stranger", "visitor", "staff"])
def test_no_page_of_the_site_needs_inline_code(who: str, someone: Person) -> None:
    voted, open_battle = someone.voted(), someone.ready()
    person = Person(agreed=False) if who == "stranger" else someone
    if who == "staff":
        person.raw.force_login(User.objects.create_superuser("root"))
    pages = 0
    for battle in (voted, open_battle):
        for route in PUBLIC:
            path = route.path(values(battle))
            pages += check(person.get(path), path)
            if route.pattern.startswith("b/"):
                pages += check(person.post(path), f"POST {path}")  # refusals are pages, too
    assert pages > 50


def test_no_page_of_the_admin_needs_inline_code(someone: Person) -> None:
    someone.raw.force_login(User.objects.create_superuser("root"))
    own = ["/admin/", "/admin/password_change/", "/admin/arena/job/"]
    paths = [*own, *routes.admin_pages()]
    seen = [path for path in paths if (page := someone.get(path)).status_code == 200 and check(page, path)]
    assert len(seen) > 60, [path for path in paths if path not in seen]
    for path in (path for path in paths if path.count("/") == 4):  # a list, with the question before a deletion
        check(someone.post(path, action="delete_selected", _selected_action="1"), f"POST {path}")


def test_a_nonce_is_new_each_time(someone: Person) -> None:
    """A cached one would be known to whoever has seen a page before."""
    policies = {someone.get("/").get("Content-Security-Policy") for _ in range(3)}
    assert len(policies) == 1 or all("nonce-" in policy for policy in policies)


def test_what_counts_as_inline() -> None:
    page = (
        '<p onclick="x()" style="a"><script>1</script><style>b</style><a href=" JavaScript:x">c</a><img src="//evil/x">'
    )
    assert len(Inline(page).found) == 6
    assert (
        Inline('<script type="application/json">{}</script><script src="/a.js"></script><a href="/b">c</a>').found == []
    )
