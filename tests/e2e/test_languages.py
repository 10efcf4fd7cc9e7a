"""German and right-to-left pages in a real browser: nothing overflows, all is mirrored, the switch works without scripts."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.looks import PAGES as BASIC_PAGES
from tests.e2e.looks import SMALL, TOO_WIDE
from tests.e2e.person import Person, stub

pytestmark = [pytest.mark.e2e]

PAGES = [*BASIC_PAGES, "/api", "/me/data/"]
GERMAN = {"locale": "de-DE"}
# Text that leaves the control it stands in: what a longer word does to a narrow button.
SPILL = """() => [...document.querySelectorAll('button, .btn')]
.filter((node) => node.checkVisibility() && !node.querySelector('.sr')).flatMap((node) => {
  const box = node.getBoundingClientRect(), range = document.createRange();
  range.selectNodeContents(node);
  const text = range.getBoundingClientRect();
  return text.left < box.left - 1 || text.right > box.right + 1 ? [node.textContent.trim()] : [];
})"""


def mirrored(person: Person) -> None:
    """From now on every page comes right to left, as it would in Arabic or Hebrew."""

    def turn(route: Route) -> None:
        if route.request.resource_type != "document":
            return route.continue_()
        answer = route.fetch(max_redirects=0)
        html = "text/html" in answer.headers.get("content-type", "")
        body = answer.text().replace('dir="ltr">', 'dir="rtl">', 1) if html else answer.body()
        return route.fulfill(response=answer, body=body)

    person.expect_error("LOCAL_NETWORK")  # Chromium takes a page that was filled in for a stranger's, without a socket
    person.page.route("**/*", turn)


@pytest.mark.parametrize("width", [1280, 375])
def test_pages_fit_and_are_accessible_in_german(newcomer, width: int) -> None:
    person = newcomer(width=width, **GERMAN)
    for path in PAGES:
        person.page.goto(path)
        assert person.page.evaluate("() => document.documentElement.lang") == "de"
        assert person.page.evaluate(TOO_WIDE) <= 0, path
        assert person.page.evaluate(SPILL) == [], path
        assert person.violations() == [], path
    person.page.goto("/")
    assert person.page.evaluate(SMALL) == []


@pytest.mark.parametrize("width", [1280, 375])
def test_a_battle_in_german(newcomer, width: int) -> None:
    person = newcomer(width=width, **GERMAN)
    page = person.page
    page.goto("/")
    page.check("[name=agree_terms]")
    page.fill("#prompt", stub(n=60, rate=200, hold=1, after=5))
    page.click("text=Duell beginnen")
    page.wait_for_url("**/b/*/")
    expect(page.locator("[data-status=a]")).to_contain_text(re.compile("denkt nach|schreibt|wartet"))
    person.go_on()
    person.finished()
    expect(page.locator("#which")).to_have_text("Welche Antwort war besser?")
    assert page.evaluate(TOO_WIDE) <= 0 and page.evaluate(SPILL) == [] and person.violations() == []
    page.click("#vote [value=tie]")
    person.finished("voted")
    expect(page.locator("#result")).to_contain_text("unentschieden")
    assert page.evaluate(TOO_WIDE) <= 0 and page.evaluate(SPILL) == [] and person.violations() == []


@pytest.mark.parametrize("width", [1280, 375])
def test_pages_are_mirrored_right_to_left(newcomer, width: int) -> None:
    person = newcomer(width=width)
    mirrored(person)
    for path in PAGES:
        person.page.goto(path)
        assert person.page.evaluate("() => getComputedStyle(document.body).direction") == "rtl", path
        assert person.page.evaluate(TOO_WIDE) <= 0, path
        logo, end = (person.page.locator(f"header.site {part}").bounding_box() for part in (".logo", ".end"))
        assert logo and end and end["x"] < logo["x"], path
        assert person.violations() == [], path


def test_plots_are_not_mirrored(newcomer) -> None:
    """Numbers rise to the right in every language; a mirrored label would cover its own bar."""
    person = newcomer()
    mirrored(person)
    person.page.goto("/leaderboard/plots")
    plots = person.page.locator("svg.plot-all:has(text.who), svg.heat").all()
    assert len(plots) >= 3
    for plot in plots:
        frame, boxes = plot.bounding_box(), [name.bounding_box() for name in plot.locator("text.who").all()]
        assert (
            frame
            and boxes
            and all(box and box["x"] >= frame["x"] and box["x"] + box["width"] < frame["x"] + 240 for box in boxes)
        )


def test_the_switch_works_without_scripts(newcomer) -> None:
    person = newcomer(java_script_enabled=False)
    page = person.page
    page.goto("/leaderboard?sort=votes")
    page.click("footer button[lang=de]")
    assert page.url.endswith("/leaderboard?sort=votes")
    expect(page.locator("h1")).to_have_text("Rangliste")
    page.goto("/methodology")
    expect(page.locator("h1")).to_have_text("So funktioniert es")
    page.click("footer button[lang=en]")
    expect(page.locator("h1")).to_have_text("How it works")


def test_live_figures_and_counters_speak_german(newcomer) -> None:
    person = newcomer(**GERMAN)
    page = person.page
    page.goto("/")
    page.fill("#prompt", "x" * 1234)
    expect(page.locator("[data-counter]").first).to_have_text(re.compile(r"^1\.234 / 30\.000$"))
    page.evaluate("() => { document.querySelector('[data-live=votes_week]').hidden = false; }")
    assert page.locator("[data-live=votes_week]").get_attribute("data-many") == "{n} Stimmen diese Woche"
