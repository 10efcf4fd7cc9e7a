"""An expert's quarter of an hour in a real browser: a round, a battle judged by keyboard, a skip, a phone in the dark."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from playwright.sync_api import expect

from arena import clock
from arena.models import Battle, Consent, ExpertLabel, RatingRound, VoteEvent
from datasets import gate
from datasets.reasons import ADMITTED
from tests.datasets import rows
from tests.e2e.looks import SMALL, TOO_WIDE
from tests.e2e.person import Person
from tests.stack import Stack

pytestmark = pytest.mark.e2e


def releasable(by: Person, prompt: str = "") -> Battle:
    """A battle that somebody has fought and voted on, and that passes the gate."""
    by.ready(prompt)
    by.vote("a")
    battle = Battle.objects.latest("created_at")
    Consent.objects.filter(visitor=battle.visitor).update(publish=True)
    for message in rows.messages(battle):
        rows.look(message)
        rows.enrich(message)
    assert gate.admit([battle.pk])[0].reason == ADMITTED
    return battle


@pytest.fixture(autouse=True)
def apart(stack: Stack) -> Iterator[None]:
    """Battles of earlier tests are not sampled, and what is made publishable here is so for this test alone."""
    sampled = list(VoteEvent.objects.filter(ranked=True).values_list("pk", flat=True))
    publishing = list(Consent.objects.filter(publish=True).values_list("pk", flat=True))
    VoteEvent.objects.update(ranked=False)
    yield
    VoteEvent.objects.filter(pk__in=sampled).update(ranked=True)
    Consent.objects.exclude(pk__in=publishing).update(publish=False)
    RatingRound.objects.update(closed_at=clock.now())


@pytest.fixture
def rater(staff: Callable[..., Person]) -> Callable[..., Person]:
    """Makes a signed-in rater's window."""
    return partial(staff, "rater")


def test_a_round_from_the_list_to_its_end(newcomer: Callable[..., Person], rater: Callable[..., Person]) -> None:
    visitor, expert = newcomer(), rater()
    for _ in range(2):
        releasable(visitor)
    page = expert.page
    page.goto("/rate/")
    assert expert.violations() == []
    RatingRound.objects.create(name="Colours", seed=3, wanted=2, labels_each=1, guide="Judge the facts first.")
    page.reload()
    assert expert.violations() == []
    page.click("text=Colours")
    expect(page.locator(".guide")).to_have_text("Judge the facts first.")
    assert expert.violations() == []
    page.keyboard.press("4")  # the last of the four buttons
    expect(page.locator(".note.ok")).to_contain_text("Stored")
    page.click("text=Skip this battle")
    assert expert.violations() == []
    page.click("button[value='skip:language']")
    expect(page.locator("main")).to_contain_text("Nothing is left for you here")
    labels = ExpertLabel.objects.order_by("created_at")
    assert [(label.choice != "", label.skip) for label in labels] == [(True, ""), (False, "language")]
    assert labels[0].choice == ("a" if labels[0].swapped else "b")
    page.click("text=Take back my last label")
    expect(page.locator("button[value=tie]")).to_be_visible()


def test_on_a_phone_in_the_dark(newcomer: Callable[..., Person], rater: Callable[..., Person]) -> None:
    releasable(newcomer())
    RatingRound.objects.create(name="Phone", seed=3)
    expert = rater(width=375, theme="dark")
    expert.page.goto("/rate/")
    expert.page.click("text=Phone")
    expect(expert.page.locator("button[value=both_bad]")).to_be_visible()
    assert expert.violations() == []
    assert expert.page.evaluate(SMALL) == []
    assert expert.page.evaluate(TOO_WIDE) == 0
