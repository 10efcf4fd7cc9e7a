"""A voter follows the receipt into the log: waiting, sealed, public."""

import hashlib
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.looks import TOO_WIDE
from tests.e2e.person import Person, stub
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]
NewPerson = Callable[..., Person]


def voted(person: Person) -> str:
    """Vote in a new battle; returns the receipt that the page shows."""
    person.ready(stub(n=4, rate=200))
    person.vote("a")
    shown = person.page.locator("#result .receipt code")
    expect(shown).to_have_text(re.compile(r"^vote(-[a-z2-7]{4}){6}$"))
    return shown.inner_text()


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (375, "dark")])
def test_a_receipt_leads_into_the_log(newcomer: NewPerson, stack: Stack, width: int, theme: str) -> None:
    person = newcomer(width=width, theme=theme)
    receipt, page = voted(person), person.page
    assert person.violations() == [] and page.evaluate(TOO_WIDE) <= 0
    page.click("text=Find it in the vote log")
    expect(page.locator("h2").first).to_contain_text(re.compile("waits to be sealed|is in the log as entry"))
    assert person.violations() == []
    stack.manage("publish_board")
    page.reload()
    expect(page.locator("h2").first).to_contain_text("Your vote is in the log as entry")
    digest = hashlib.sha256(receipt.encode()).hexdigest()
    expect(page.locator("pre.snippet")).to_contain_text(f'"receipt":"{digest}"')
    assert person.violations() == [] and page.evaluate(TOO_WIDE) <= 0
    page.click(".crumb >> text=Vote log")
    expect(page.locator("#publications")).to_be_visible()
    assert person.violations() == [] and page.evaluate(TOO_WIDE) <= 0
    page.fill("#receipt", receipt.upper().replace("-", " "))
    page.click("text=Find my vote")
    expect(page.locator("h2").first).to_contain_text("Your vote is in the log as entry")


def test_receipts_work_without_javascript_and_wrong_ones_are_told(newcomer: NewPerson, stack: Stack) -> None:
    person = newcomer(java_script_enabled=False)
    person.expect_error("404")
    page = person.page
    page.goto("/receipt")
    page.fill("#receipt", "vote-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa")
    page.click("text=Find my vote")
    expect(page.locator("[role=alert]")).to_contain_text("No vote has this receipt")
