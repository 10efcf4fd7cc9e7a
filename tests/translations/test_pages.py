"""Every page, rendered: no word outside the catalogue, none in English among German ones, plain numbers for machines."""

import re
from collections.abc import Callable, Iterator

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from arena import accounts
from arena.models import Battle, Contestant, Page, SiteConfig
from tests import factories, messages
from tests.arena.views_help import Person, url
from tests.ranking import pages as boards
from tests.ranking import rows
from tests.translations import pseudo

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]

STAYS = re.compile(r"Agon|AGON|CSV|JSON|OpenAPI|API|HTTP|USD|UTC|GET|ETag|arXiv|Apache-2\.0")
# Addresses that answer machines, or only POST, or send the browser on. Everything else has to be in PAGES.
NO_PAGE = {
    *("start_battle", "send", "stop", "retry", "vote", "rematch", "share", "unshare", "report", "appeal"),
    *("board_download", "wipe_demo", "set_language", "healthz", "readyz", "metrics", None),
}


def streaming(person: Person) -> HttpResponse:
    return person.get(url(factories.started(person.visitor).battle))


def ready(person: Person) -> HttpResponse:
    return person.get(url(person.ready()))


def ready_part(person: Person) -> HttpResponse:
    return person.get(url(person.ready()), htmx=True)


def voted(person: Person) -> HttpResponse:
    return person.get(url(person.voted("tie")))


def second_turn(person: Person) -> HttpResponse:
    battle = person.voted("a")
    person.post(url(battle, "share/"))
    person.post(url(battle, "turns/"), prompt="7", key="7b2ee0ac-6a54-4b7c-8f06-6d9c4b3f1e0a")
    return person.get(url(battle))


def broken(person: Person) -> HttpResponse:
    stopped, failed = factories.outcome("1", "stopped"), factories.outcome(error="engine_down")
    return person.get(url(person.ready(a=stopped, b=failed)))


def early(person: Person) -> HttpResponse:
    return person.get(url(person.ready(a=factories.outcome("1", "early"), b=factories.outcome("2", "length"))))


def void(person: Person) -> HttpResponse:
    battle = person.ready()
    Battle.objects.filter(pk=battle.pk).update(state="void", void_reason="abandoned")
    return person.get(url(battle))


def shared(person: Person) -> HttpResponse:
    battle = person.voted("b")
    person.post(url(battle, "share/"))
    battle.refresh_from_db()
    return Person(agreed=False).get(f"/s/{battle.share_token}/")


def history(person: Person) -> HttpResponse:
    for choice in ("a", "b", "tie", "both_bad"):
        person.voted(choice)
    person.ready()
    factories.started(person.visitor)
    return person.get("/me/")


def blocked(person: Person) -> HttpResponse:
    return person.start("I want to kill myself", htmx=True)


def too_fast(person: Person) -> HttpResponse:
    for _ in range(settings.LIMIT_VISITOR_BURST + 1):
        answer = person.start("7", htmx=True)
    return answer


def board(person: Person) -> HttpResponse:
    models = rows.contestants(4)
    Contestant.objects.filter(pk=models[0].pk).update(open_weights=True, licence="MIT", visibility="retired")
    boards.hide(models[3])
    boards.publish((1900, 1100), (600, 400), (1, 0), models=models)
    return person.get("/leaderboard")


def demo_board(person: Person) -> HttpResponse:
    boards.publish((12, 8), origin="demo")
    person.raw.force_login(User.objects.create_superuser("root"))
    return person.get("/leaderboard?q=zzz&sort=votes")


def too_few(person: Person) -> HttpResponse:
    boards.publish((3, 0))
    return person.get("/leaderboard")


def model(person: Person) -> HttpResponse:
    models = rows.contestants(2)
    facts = {"price_in": "1234.5", "price_out": "0.25", "released_on": "2026-05-03", "licence": "MIT", "demo": True}
    Contestant.objects.filter(pk=models[0].pk).update(open_weights=True, **facts)
    boards.publish((1900, 1100), models=models)
    return person.get(f"/models/{models[0].slug}/")


def hidden_model(person: Person) -> HttpResponse:
    models = rows.contestants(2)
    boards.hide(models[1])
    boards.publish((3, 0), models=models)
    return person.get("/models/olive-branch/")


def paused(person: Person) -> HttpResponse:
    SiteConfig.objects.filter(pk=1).update(battles_paused=True)
    return person.start("7")


def admin_link(person: Person) -> HttpResponse:
    return person.get(accounts.one_time_login_path())


def get(address: str, htmx: bool = False) -> Callable[[Person], HttpResponse]:
    return lambda person: person.get(address, htmx=htmx)


# Name of the address, what is shown, and how to get there.
PAGES: list[tuple[str, str, Callable[[Person], HttpResponse]]] = [
    ("home", "start", get("/")),
    ("home", "newcomer", lambda _: Person(agreed=False).get("/")),
    ("battle", "streaming", streaming),
    ("battle", "ready", ready),
    ("battle", "part", ready_part),
    ("battle", "voted", voted),
    ("battle", "second turn", second_turn),
    ("battle", "failed", broken),
    ("battle", "early", early),
    ("battle", "void", void),
    ("battle", "blocked", blocked),
    ("battle", "too fast", too_fast),
    ("battle", "paused", paused),
    ("shared", "shared", shared),
    ("me", "history", history),
    ("me", "stranger", lambda _: Person(agreed=False).get("/me/")),
    ("page", "terms", get("/terms")),
    ("datasets", "none", get("/datasets")),
    ("leaderboard", "empty", get("/leaderboard")),
    ("leaderboard", "full", board),
    ("leaderboard", "demo", demo_board),
    ("leaderboard", "too few", too_few),
    ("model", "model", model),
    ("model", "codename", hidden_model),
    ("api", "api", get("/api/")),
    ("methodology", "methodology", get("/methodology")),
    ("admin_login", "link", admin_link),
    ("admin_login", "spent", get("/admin-login/0123456789/")),
    ("error", "404", get("/nothing-here")),
    ("error", "403", lambda person: person.raw.post("/battles/", {})),
    ("error", "400", lambda person: person.raw.post("/language/", {"language": "tlh"})),
]
STATES = [pytest.param(visit, id=f"{name}: {state}") for name, state, visit in PAGES]


@pytest.mark.parametrize("visit", STATES)
def test_no_word_is_outside_the_catalogue(visit: Callable[[Person], HttpResponse], monkeypatch) -> None:
    """Every visible string and attribute stands in brackets, except names and words of people, and what STAYS."""
    pseudo.speak(monkeypatch)
    page = pseudo.read(visit(Person()).content.decode())
    left = [text for text in map(without_names, page.outside) if pseudo.LETTERS.search(text)]
    assert not left, "wrap these for translation, or mark words of other people with dir=auto or lang"


@pytest.mark.parametrize("visit", STATES)
def test_numbers_for_machines_are_plain(visit: Callable[[Person], HttpResponse], monkeypatch) -> None:
    """A German 1.234,5 in an id, a form field, an address or SVG breaks scripts and drawings."""
    pseudo.speak(monkeypatch)
    page = pseudo.read(visit(Person()).content.decode())
    assert not page.numbers, "write {{ number|unlocalize }} (of {% load l10n %}) in these attributes"


@pytest.mark.parametrize("visit", STATES)
def test_pages_are_german_in_german(visit: Callable[[Person], HttpResponse], settings) -> None:
    settings.LANGUAGE_CODE = "de"  # for every browser that names no language
    assert english_in(visit(Person())) == set()


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str), ids=lambda model: model._meta.label)
def test_the_admin_is_german_in_german(model: type[Model], settings) -> None:
    """Lists and forms: our titles, actions, choices and help texts. Columns are named after fields, in English."""
    settings.LANGUAGE_CODE = "de"
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for kind in ("changelist", "add"):
        answer = client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{kind}"))
        assert answer.status_code in (200, 302, 403)
        assert english_in(answer) - named_after_fields() - given_names() == set()


def named_after_fields() -> set[str]:
    fields = {field.name.replace("_", " ") for model in apps.get_models() for field in model._meta.get_fields()}
    return fields | {name.capitalize() for name in fields} | {f"{name.capitalize()}:" for name in fields}


def english_in(answer: HttpResponse) -> set[str]:
    """Whole texts of the page that are an English string of the catalogue."""
    page = pseudo.Page()
    page.feed(answer.content.decode())
    return {text for text in page.outside if text in ENGLISH}


def _english() -> Iterator[str]:
    for message in messages.updated("de"):
        if isinstance(message.id, str) and message.id and message.string != message.id:
            yield message.id.replace("%%", "%")


ENGLISH = set(_english())


def without_names(text: str) -> str:
    for name in sorted(given_names(), key=len, reverse=True):
        text = text.replace(name, "")
    return STAYS.sub("", text)


def given_names() -> set[str]:
    """Names that people have given: to contestants, their makers and licences, to pages."""
    rows = [*Contestant.objects.values_list("name", "codename", "organisation", "licence"), *Page.objects.values_list("title")]
    return {name for row in rows for name in row if name}


def test_every_page_of_the_site_is_visited() -> None:
    """A new address is added to PAGES (every state that people can see), or to NO_PAGE with machines' addresses."""
    visited = {name for name, _state, _visit in PAGES} | NO_PAGE
    assert {name for name in names(get_resolver().url_patterns) if name not in visited} == set()


def names(patterns: list[URLPattern | URLResolver]) -> Iterator[str | None]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if not pattern.namespace:  # the admin's and the API's own
                yield from names(pattern.url_patterns)
        else:
            yield pattern.name
