"""Which language a page is in, how a visitor changes it, and what caches are told."""

import pytest
from django.conf import settings
from django.test import Client

from tests.arena.views_help import Person
from tests.ranking import publishing as boards
from tests.test_project import PRODUCTION, python

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def german(address: str = "/", **headers: str):
    return Client().get(address, headers={"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"} | headers)


def test_the_browser_decides_until_the_visitor_does() -> None:
    assert '<html lang="en" dir="ltr">' in Client().get("/").content.decode()
    assert '<html lang="de" dir="ltr">' in german().content.decode()
    assert german("/", Cookie="agon_language=en")["Content-Language"] == "en"
    assert Client().get("/", headers={"Accept-Language": "tlh"})["Content-Language"] == "en"


@pytest.mark.parametrize("value", ["xx", "../../etc", "fr", "", "de" * 200])
def test_a_cookie_that_makes_no_sense_is_none(value: str) -> None:
    assert german("/", Cookie=f"agon_language={value}")["Content-Language"] == "de"


def test_the_switch_keeps_the_page_and_lasts() -> None:
    browser = Person(agreed=False).raw
    there = "http://testserver/leaderboard?sort=votes"
    answer = browser.post("/language/", {"language": "de"}, headers={"Referer": there})
    assert answer.status_code == 302 and answer["Location"] == there
    cookie = answer.cookies["agon_language"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["max-age"] == settings.VISITOR_COOKIE_AGE_S
    assert browser.get("/leaderboard?sort=votes")["Content-Language"] == "de"


def test_the_cookie_is_secure_in_production() -> None:
    done = python("from django.conf import settings; print(settings.LANGUAGE_COOKIE_SECURE)", **PRODUCTION)
    assert done.stdout == "True\n", done.stderr


def test_the_switch_offers_every_other_language_and_marks_this_one() -> None:
    html = german("/about").content.decode()
    assert '<span lang="de" aria-current="true">Deutsch</span>' in html
    assert 'name="language" value="en" lang="en">English</button>' in html


def test_the_switch_leaves_the_site_for_nobody() -> None:
    for hostile in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        answer = Client().post("/language/", {"language": "de", "next": hostile}, headers={"Referer": hostile})
        assert answer["Location"] == "/"


@pytest.mark.parametrize("language", ["fr", "xx", "", "<script>"])
def test_a_language_that_the_site_does_not_speak_is_refused(language: str) -> None:
    answer = Client().post("/language/", {"language": language})
    assert answer.status_code == 400 and "agon_language" not in answer.cookies
    assert Client().get("/language/").status_code == 405


def test_caches_keep_the_languages_apart() -> None:
    """One address, several languages: by header for newcomers, by cookie for who has chosen."""
    for address in ("/", "/leaderboard", "/methodology", "/datasets", "/about", "/nothing-here"):
        varies = {name.strip().lower() for name in german(address)["Vary"].split(",")}
        assert {"accept-language", "cookie"} <= varies, address


def test_a_page_that_a_browser_has_is_not_the_page_in_another_language() -> None:
    tag = Client().get("/leaderboard")["ETag"]
    again = Client().get("/leaderboard", headers={"If-None-Match": tag})
    assert again.status_code == 304 and "Cookie" in again["Vary"]
    assert german("/leaderboard", **{"If-None-Match": tag}).status_code == 200


def test_the_board_that_a_process_keeps_is_kept_per_language() -> None:
    boards.publish((3, 1), (2, 1))
    for path, words in (("/leaderboard", "Wie sicher"), ("/leaderboard/plots", "Wer wen schlägt")):
        pages = [german(path), Client().get(path), german(path)]
        assert [words in page.content.decode() for page in pages] == [True, False, True], path


def test_the_footer_costs_no_cookie_and_no_token() -> None:
    """A CSRF token in the footer would make every page personal, and no cache could keep it."""
    answer = german("/methodology")
    assert not answer.cookies and "csrfmiddlewaretoken" not in answer.content.decode()


def test_refusals_and_answers_to_scripts_are_translated() -> None:
    person = Person()
    person.raw.cookies["agon_language"] = "de"
    answer = person.start(prompt="", htmx=True)
    assert answer.status_code == 400 and answer["Content-Language"] == "de"
