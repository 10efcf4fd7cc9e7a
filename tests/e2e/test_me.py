"""My data in a real browser: accessible in both themes and widths, and all of it without scripts; deleting in mid-answer."""

import json
import time

import pytest
from playwright.sync_api import expect

from tests.e2e.looks import SMALL, TOO_WIDE
from tests.e2e.person import Person, stub
from tests.stack import Stack
from tests.traces import everything_in, everything_stored

pytestmark = [pytest.mark.e2e]
PAGES = ["/me/", "/me/data/", "/me/delete/", "/me/deleted/"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_every_page_in_both_themes(newcomer, theme: str, width: int) -> None:
    person = newcomer(width=width, theme=theme)
    person.page.goto("/me/data/")
    assert fine(person)
    person.ready()
    for path in PAGES:
        person.page.goto(path)
        assert fine(person), path
    person.page.goto("/me/data/")
    person.page.click("text=Make a recovery code")
    expect(person.page.locator("output")).to_be_visible()
    assert fine(person)


def fine(person: Person) -> bool:
    page = person.page
    assert person.violations() == []
    assert page.evaluate(TOO_WIDE) <= 0 and page.evaluate(SMALL) == []
    return True


def test_a_day_without_scripts(newcomer) -> None:
    """Recovery code, another browser, export, publishing on and off, two steps of deletion."""
    person, other = newcomer(java_script_enabled=False), newcomer(java_script_enabled=False)
    person.begin(stub("Keep this sentence", n=4, rate=200))
    page = person.page
    page.goto("/me/data/")
    page.click("text=Allow publishing from now on")
    expect(page.locator("text=You agreed that your conversations may become part")).to_be_visible()
    page.click("text=Withdraw publishing")
    expect(page.locator("text=Your conversations stay out")).to_be_visible()
    page.click("text=Make a recovery code")
    code = page.locator("output").inner_text()
    other.page.goto("/me/data/")
    other.page.fill("input[name=code]", code.lower())
    other.page.click("text=Show my battles")
    expect(other.page.locator(".battles .prompt")).to_contain_text("Keep this sentence")
    other.page.goto("/me/data/")
    with other.page.expect_download() as download:
        other.page.click("text=Download as JSON")
    data = json.loads(download.value.path().read_text())
    assert data["battles"][0]["turns"][0]["prompt"].startswith("Keep this sentence")
    assert [consent["publish"] for consent in data["consents"]] == [False, True, False]
    other.page.goto("/me/data/")
    other.page.click("text=Delete my data")
    other.page.check("[name=sure]")
    other.page.click("text=Delete everything")
    expect(other.page.locator("h1")).to_have_text("Your data is deleted")
    page.goto("/me/")
    expect(page.locator("text=Nothing here yet")).to_be_visible()


def test_deleting_in_the_middle_of_an_answer(newcomer, stack: Stack) -> None:
    """S22 on the real thing: prompt and half an answer are in Valkey and in a worker's memory; seconds later nowhere."""
    person = newcomer()
    words = " ".join(f"platypus{number}" for number in range(200))
    person.begin(stub("wombat-canary", text=words, rate=20, hold=1, after=10))
    expect(person.page.locator("#text-a-1")).to_contain_text("platypus5")
    valkey = stack.valkey()
    assert places(valkey, "platypus") and places(valkey, "wombat-canary")
    person.page.goto("/me/delete/")
    person.page.check("[name=sure]")
    person.page.click("text=Delete everything")
    expect(person.page.locator("h1")).to_have_text("Your data is deleted")
    deadline = time.monotonic() + 30
    while places(valkey, "platypus", "wombat-canary") or endings(stack) != ["disconnected"] * 2:
        assert time.monotonic() < deadline, (places(valkey, "platypus", "wombat-canary"), endings(stack))
        time.sleep(0.2)
    time.sleep(1)  # nobody listens to the engine any more, so nothing comes back
    assert places(valkey, "platypus", "wombat-canary") == set()


def endings(stack: Stack) -> list[str]:
    """How the engine's two answers to the canary ended."""
    return [asked["outcome"] for asked in stack.stub("/stub/requests") if "wombat-canary" in str(asked["body"])]


def places(valkey, *needles: str) -> set[str]:
    found = [*everything_stored(), *everything_in(valkey)]
    return {place for place, text in found if any(needle in text for needle in needles)}
