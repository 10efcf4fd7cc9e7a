"""The operator's pages: first versions exist, an edit is a new version, the old one stays."""

import re

import pytest
from django.test import Client

from arena import bans, markdown, pages
from arena.errors import Refused
from arena.models import Page, PageVersion, SiteConfig

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def first_versions() -> None:
    pages.install()


def test_migrations_write_every_page_and_the_switches() -> None:
    assert set(Page.objects.values_list("slug", flat=True)) >= {"terms", "privacy", "about"}
    assert SiteConfig.objects.filter(pk=1).count() <= 1
    for slug in pages.TITLES:
        html = markdown.render(pages.current(slug).text)
        assert "<h3>" in html and len(html) > 800


def test_an_edit_is_a_new_version_and_the_old_one_stays() -> None:
    first = pages.current("about")
    second = pages.publish("about", "New words.\r\n\r\nMore.")
    assert (second.number, second.text) == (first.number + 1, "New words.\n\nMore.\n")
    assert pages.current("about") == second
    assert PageVersion.objects.get(pk=first.pk).text == first.text


def test_a_version_says_its_language(client: Client) -> None:
    pages.publish("about", "Worte.", "de")
    assert pages.publish("about", "Andere Worte.").language == "de"  # until somebody says otherwise
    english = client.get("/about").content.decode()
    assert (
        '<article class="prose text" lang="de" dir="auto">' in english and "This page is written in German." in english
    )
    german = client.get("/about", headers={"Accept-Language": "de"}).content.decode()
    assert "geschrieben" not in german and '<h2 class="version" lang="de" dir="ltr">' in german


def test_the_same_words_in_another_language_are_another_version() -> None:
    first = pages.publish("about", "Agon.", "en")
    assert pages.publish("about", "Agon.", "de").number == first.number + 1


@pytest.mark.parametrize("slug", pages.TITLES)
def test_every_first_page_is_there_in_german_with_the_same_parts(slug: str) -> None:
    """Files for an operator to publish; see docs/translating.md."""
    parts = re.compile(r"^(#+ |\d\. |- |\|)|`([a-z_]+)`", re.MULTILINE)
    english, german = ((pages.FIRST_VERSIONS / folder / f"{slug}.md").read_text() for folder in ("", "de"))
    assert parts.findall(english) == parts.findall(german)


@pytest.mark.parametrize(("folder", "days"), [("", "days"), ("de", "Tagen?")])
def test_the_first_privacy_page_tells_the_days_that_hold(settings, folder: str, days: str) -> None:
    """Its rows in their order; arena/retention.py and arena/address_keys.py keep to them."""
    page = (pages.FIRST_VERSIONS / folder / "privacy.md").read_text()
    told = [int(n) for row in page.splitlines() if row.startswith("| ") for n in re.findall(rf"(\d+) {days}\b", row)]
    kept = settings.KEEP_BLOCKED_DAYS
    cookies = settings.VISITOR_COOKIE_AGE_S // 86400
    address = [settings.KEEP_GROUPS_DAYS, settings.ADDRESS_KEY_DAYS, bans.PREFIX_BAN_MOST.days]
    language = settings.LANGUAGE_COOKIE_AGE // 86400
    assert told == [cookies, settings.KEEP_ABANDONED_DAYS, *address, kept, kept, settings.KEEP_REPORTS_DAYS, language]
    assert cookies == settings.KEEP_VISITORS_DAYS


def test_the_same_text_again_is_no_new_version() -> None:
    pages.publish("terms", "Be kind.")
    assert pages.publish("terms", "Be kind.\n").number == pages.current("terms").number
    assert PageVersion.objects.filter(page="terms").count() == 2


@pytest.mark.parametrize("text", ["", "  \n", "x" * (pages.MAX_TEXT + 1)])
def test_empty_and_endless_pages_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="characters"):
        pages.publish("about", text)


def test_install_leaves_edited_pages_alone() -> None:
    edited = pages.publish("privacy", "Ours.")
    pages.install()
    assert pages.current("privacy") == edited


@pytest.mark.parametrize("page", ["leaderboard", "terms", "datasets"])
def test_a_slash_at_the_end_leads_to_the_page(client: Client, page: str) -> None:
    answer = client.get(f"/{page}/?q=x")
    assert (answer.status_code, answer["Location"]) == (301, f"/{page}?q=x")


def test_browsers_that_ask_for_an_icon_unasked_find_one(client: Client) -> None:
    assert client.get("/favicon.ico")["Location"].endswith("img/agon.svg")
