"""A moderator's quarter of an hour in a real browser: keys, blur, decisions, a phone, dark, and no scripts at all."""

from collections.abc import Callable
from functools import partial

import pytest
from playwright.sync_api import Page, expect

from arena import battles
from arena.models import Battle, Conversation, ModerationRecord, Report, Turn
from arena.moderation import verdicts
from tests.e2e.person import Person
from tests.stack import Stack

pytestmark = pytest.mark.e2e


def battle(by: Person, *, flag: str = "", report: bool = False) -> Battle:
    """One that a person has had, on the way to the desk."""
    by.ready()
    one = Battle.objects.latest("created_at")
    if flag:
        message = one.conversation_a.messages.get(position=1)
        digest = verdicts.text_sha256(message.text)
        policy = verdicts.current_policy()
        ModerationRecord.objects.create(
            message=message, text_sha256=digest, backend="rules", policy=policy, standing="flagged", categories=[flag]
        )
        verdicts.settle([one.conversation_a_id])
    if report:
        reply = Turn.objects.get(battle=one).replies.get(side="b")
        battles.report(reply, one.visitor, "harmful", "Please look at this answer")
    return one


@pytest.fixture
def clean_desk(stack: Stack) -> None:
    """Earlier tests' conversations are nobody's business here."""
    Report.objects.all().delete()
    Conversation.objects.update(verdict="passed")


@pytest.fixture
def moderator(staff: Callable[..., Person], clean_desk: None) -> Callable[..., Person]:
    """Makes a signed-in moderator's window."""
    return partial(staff, "moderator")


def verdict(of: Battle) -> str:
    return Conversation.objects.get(pk=of.conversation_a_id).verdict


def blurred(page: Page) -> bool:
    return page.locator(".secret").first.evaluate("node => getComputedStyle(node).filter") != "none"


def test_the_keys_work_through_a_queue(newcomer: Callable[..., Person], moderator: Callable[..., Person]) -> None:
    visitor = newcomer()
    first, second, third = (battle(visitor) for _ in range(3))
    desk = moderator()
    page = desk.page
    page.goto("/desk/waiting/")
    assert blurred(page) and desk.violations() == []
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/desk/waiting/{first.pk}/")
    assert blurred(page) and desk.violations() == []
    page.keyboard.press("r")
    assert not blurred(page)
    page.keyboard.press("r")
    assert blurred(page)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_have_attribute("open", "")
    page.keyboard.press("j")
    page.wait_for_url(f"**/{second.pk}/")
    page.keyboard.press("k")
    page.wait_for_url(f"**/{first.pk}/")
    page.keyboard.press("p")
    page.wait_for_url(f"**/{second.pk}/")
    assert verdict(first) == "passed"
    page.keyboard.press("b")
    expect(page.locator("[name=reason]")).to_be_focused()
    page.keyboard.type("pbjr? a threat")
    assert blurred(page) and verdict(second) == "pending", "keys are letters while one types"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{third.pk}/")
    assert verdict(second) == "blocked"
    record = ModerationRecord.objects.filter(message__conversation=second.conversation_a, backend="human").first()
    assert record is not None and record.reason == "pbjr? a threat"
    page.keyboard.press("Control+p")
    page.fill("[name=reason]", "something")
    page.press("[name=reason]", "Enter")
    assert verdict(third) == "pending", "Enter alone decides nothing"
    page.press("[name=reason]", "Escape")
    page.keyboard.press("p")
    page.wait_for_url("**/desk/waiting/")
    expect(page.locator(".empty h2")).to_have_text("Nothing waits here")


def test_a_conflict_is_shown_where_one_looks(newcomer: Callable[..., Person], moderator: Callable[..., Person]) -> None:
    one = battle(newcomer(), flag="threats", report=True)
    ada, bob = moderator(), moderator()
    for desk in (ada, bob):
        desk.page.goto(f"/desk/flagged/{one.pk}/")
    bob.page.fill("[name=reason]", "a threat")
    bob.page.click("[value=block]")
    expect(bob.page.locator(".note.ok")).to_be_visible()
    ada.expect_error("409")
    ada.page.keyboard.press("p")
    expect(ada.page.locator("#refusal")).to_be_focused()
    expect(ada.page.locator("#refusal")).to_contain_text("decided this at")
    assert verdict(one) == "blocked" and ada.violations() == []


@pytest.mark.parametrize(("width", "theme"), [(1280, "dark"), (375, "light"), (375, "dark")])
def test_every_page_of_the_desk_is_sound(
    newcomer: Callable[..., Person], moderator: Callable[..., Person], width: int, theme: str
) -> None:
    one = battle(newcomer(), flag="threats", report=True)
    report = Report.objects.get()
    desk = moderator(width=width, theme=theme)
    for path in (
        "/desk/",
        "/desk/flagged/",
        f"/desk/flagged/{one.pk}/",
        "/desk/reports/",
        f"/desk/reports/{report.pk}/",
    ):
        desk.page.goto(path)
        if path.count("/") > 3:
            desk.page.click("#reveal > summary")
        assert desk.violations() == [], path
        wide = desk.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} scrolls sideways at {width} px"
        small = desk.page.evaluate(
            "() => [...document.querySelectorAll('main button, main .btn, main summary, main select, main .tabs a')]"
            ".filter(n => n.checkVisibility() && n.getBoundingClientRect().height < 44).map(n => n.outerHTML)"
        )
        assert small == [], path


def test_without_scripts_one_reveals_by_keyboard_and_decides(
    newcomer: Callable[..., Person], moderator: Callable[..., Person]
) -> None:
    visitor = newcomer()
    first, second = battle(visitor), battle(visitor)
    page = moderator(java_script_enabled=False).page
    page.goto(f"/desk/waiting/{first.pk}/")
    page.focus("#reveal > summary")
    page.keyboard.press("Enter")
    expect(page.locator("#reveal")).to_have_attribute("open", "")
    page.click("[value=pass]")
    page.wait_for_url(f"**/{second.pk}/")
    assert verdict(first) == "passed"
    page.fill("[name=reason]", "a threat")
    page.press("[name=reason]", "Enter")
    assert verdict(second) == "pending", "the Enter key has no default decision"
    page.click("[value=block]")
    page.wait_for_url("**/desk/waiting/")
    assert verdict(second) == "blocked"


def test_the_battle_page_of_the_admin(newcomer: Callable[..., Person], moderator: Callable[..., Person]) -> None:
    one = battle(newcomer(), flag="threats", report=True)
    for theme in ("light", "dark"):
        desk = moderator(theme=theme)
        desk.page.goto(f"/admin/arena/battle/{one.pk}/change/")
        assert blurred(desk.page)
        desk.page.focus("#reveal > summary")
        desk.page.keyboard.press("Enter")
        assert not blurred(desk.page)
        desk.page.evaluate("() => document.querySelectorAll('#header, .breadcrumbs').forEach(n => n.remove())")
        assert desk.violations() == [], "of what is ours; Django's header and path are its own"
