"""Every page, rendered: no word outside the catalogue, none in English among German ones, plain numbers for machines."""

import re
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils.translation import trans_real

from arena.models import Contestant, Page
from datasets.models import Release
from tests import messages
from tests.arena.views_help import Person
from tests.translations import pseudo
from tests.translations.staff_visits import ADMIN, DESK
from tests.translations.visits import NO_PAGE, PAGES, Visit

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]

# Names of products and formats; names of policy categories and shortened ids, which moderators look up.
STAYS = re.compile(
    r"\b(minors|self_harm|threats|weapons|[0-9a-f]{8})\b|Agon|AGON|CSV|JSON|OpenAPI|API|HTTP|USD|UTC|GET|ETag|arXiv|Apache-2\.0"
)


@pytest.fixture(autouse=True)
def releases_dir(settings, tmp_path) -> None:
    settings.RELEASES_DIR = tmp_path / "releases"


STATES = [pytest.param(visit, id=f"{name}: {state}") for name, state, visit in [*PAGES, *DESK]]
ADMIN_STATES = [pytest.param(visit, id=f"{name}: {state}") for name, state, visit in ADMIN]


@pytest.mark.parametrize("visit", STATES)
def test_no_word_is_outside_the_catalogue(visit: Visit, monkeypatch) -> None:
    """Every visible string and attribute stands in brackets, but for names, people's words, and what STAYS.

    And numbers for machines are plain: a German 1.234,5 in an id, a form field, an address or SVG breaks what reads it.
    """
    pseudo.speak(monkeypatch)
    page = pseudo.read(shown(visit(Person())))
    left = [text for text in map(without_names, page.outside) if pseudo.LETTERS.search(text)]
    assert not left, (
        "wrap these and run `make messages`, or mark words of other people with dir=auto, lang or translate=no"
    )
    assert page.numbers == [], "write {{ number|unlocalize }} (of {% load l10n %}) in these attributes"


@pytest.mark.parametrize("visit", STATES)
def test_pages_are_german_in_german(visit: Visit, settings) -> None:
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


@pytest.mark.parametrize("visit", ADMIN_STATES)
def test_our_own_pages_of_the_admin_are_german_in_german(visit: Visit, settings) -> None:
    settings.LANGUAGE_CODE = "de"
    assert english_in(visit(Person())) - named_after_fields() - given_names() == set()


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


GERMAN = {text for _key, text in trans_real.translation("de")._catalog.items()}
ENGLISH = (
    set(_english()) - GERMAN - set(dict(settings.LANGUAGES).values())
)  # a choice of languages names each in its own


def shown(answer: HttpResponse) -> str:
    """A visit that was sent elsewhere has seen nothing."""
    assert answer.content and not 300 <= answer.status_code < 400, answer
    return answer.content.decode()


def without_names(text: str) -> str:
    for name in sorted(given_names(), key=len, reverse=True):
        text = text.replace(name, "")
    return STAYS.sub("", text)


def given_names() -> set[str]:
    """Names that people have given: to contestants, their makers and licences, to pages and releases."""
    contestants = Contestant.objects.values_list("name", "codename", "organisation", "licence")
    rows = [*contestants, *Page.objects.values_list("title"), *Release.objects.values_list("name")]
    return {name for row in rows for name in row if name}


def test_every_page_of_the_site_is_visited() -> None:
    """A new address is added to PAGES (every state that people can see), or to NO_PAGE with machines' addresses."""
    visited = {name for name, _state, _visit in [*PAGES, *DESK]} | NO_PAGE
    assert {name for name in names(get_resolver().url_patterns) if name not in visited} == set()


def names(patterns: list[URLPattern | URLResolver]) -> Iterator[str | None]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if not pattern.namespace:  # the admin's and the API's own
                yield from names(pattern.url_patterns)
        else:
            yield pattern.name
