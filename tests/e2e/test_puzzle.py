"""S14 in a browser: who asks too fast may solve a puzzle; the text goes out by itself, and what is being changed does not."""

import time

import pytest
from playwright.sync_api import Route, expect

from arena.models import Battle
from tests.e2e.person import Person, stub

pytestmark = pytest.mark.e2e


def empty_bucket(person: Person) -> None:
    """The person's visitor has asked a great deal."""
    visitor = Battle.objects.get(pk=person.page.url.rstrip("/").rsplit("/", 1)[1]).visitor
    assert visitor is not None
    with person.stack.valkey() as valkey:
        valkey.hset(f"limit:visitor:{visitor.pk.hex}", mapping={"tokens": "0", "at": f"{time.time():.6f}"})


def test_the_browser_pays_with_work_and_the_battle_goes_on(newcomer) -> None:
    person = newcomer()
    person.ready()
    empty_bucket(person)
    person.expect_error("429")
    begun = time.monotonic()
    person.ask(stub("And now?", n=6, rate=200))
    expect(person.page.locator("#text-a-2")).to_be_attached()
    assert time.monotonic() - begun < 9, "by waiting it would have taken ten seconds"
    person.finished()
    assert person.violations() == []


def test_a_text_that_is_being_changed_is_not_sent_behind_ones_back(newcomer) -> None:
    person = newcomer()
    person.ready()
    empty_bucket(person)
    person.expect_error("429")
    held: list[Route] = []  # nothing is worked out before the text has been changed
    person.page.route("**/puzzle-worker*.js", lambda route: held.append(route))
    person.ask(stub("And now?", n=6, rate=200))
    expect(person.page.locator("#notice [data-puzzle]")).to_be_visible()
    assert person.violations() == []
    person.page.fill("#prompt", stub("Something else", n=6, rate=200))
    held.pop().continue_()
    expect(person.page.locator("#notice [data-puzzle]")).to_have_text("You can send it now.")
    assert person.page.locator("#text-a-2").count() == 0
    person.page.press("#prompt", "Enter")
    expect(person.page.locator("#text-a-2")).to_be_attached()
    expect(person.page.locator(".turn").last).to_contain_text("Something else")
