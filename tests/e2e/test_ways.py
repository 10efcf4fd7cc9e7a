"""Ways of using a battle: keyboard only, input methods, no scripts; refusals that lose no text; reading and waiting."""

import pytest
from playwright.sync_api import expect

from arena import pages
from tests.e2e.person import stub
from tests.e2e.test_battle import battle_of

pytestmark = [pytest.mark.e2e]


def test_keyboard_only(newcomer) -> None:
    person = newcomer()
    page = person.page
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("One line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type(stub(n=5, rate=100))
    assert "\n" in page.input_value("#prompt")
    while page.evaluate("() => document.activeElement.name") != "agree_terms":
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    while page.evaluate("() => document.activeElement.id") != "prompt":
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/b/*/")
    person.finished()
    expect(page.locator("#vote")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("1")  # a digit while typing is a digit
    assert page.input_value("#prompt") == "1"
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    person.finished("voted")
    assert battle_of(person).vote.choice == "both_bad"
    page.keyboard.press("n")
    page.wait_for_url(person.stack.url + "/")


def test_escape_stops(newcomer) -> None:
    person = newcomer()
    person.begin(stub(n=60, rate=10, hold=1, after=5))
    expect(person.page.locator("#text-a-1")).to_contain_text("w4")
    person.page.keyboard.press("Escape")
    person.finished()
    assert all(len(person.text(side).split()) < 60 for side in "ab")


def test_enter_while_an_input_method_composes_does_not_send(newcomer) -> None:
    person = newcomer()
    person.ready()
    page = person.page
    page.fill("#prompt", "にほん")
    for init in ("isComposing: true", "keyCode: 229"):
        page.evaluate(
            f"""() => document.getElementById('prompt').dispatchEvent(
                new KeyboardEvent('keydown', {{ key: 'Enter', bubbles: true, cancelable: true, {init} }}))"""
        )
    page.wait_for_timeout(300)
    assert page.input_value("#prompt") == "にほん"
    assert battle_of(person).turns.count() == 1
    session = page.context.new_cdp_session(page)
    page.focus("#prompt")
    session.send("Input.imeSetComposition", {"text": "日本", "selectionStart": 2, "selectionEnd": 2})
    session.send("Input.dispatchKeyEvent", {"type": "keyDown", "key": "Process", "windowsVirtualKeyCode": 229})
    assert battle_of(person).turns.count() == 1


def test_the_counter_and_the_limit(newcomer) -> None:
    person = newcomer()
    person.page.goto("/")
    person.page.check("[name=agree_terms]")
    person.page.fill("#prompt", "😀" * 30_001)
    expect(person.page.locator("[data-counter]")).to_have_text("30,001 / 30,000 · too long")
    person.page.press("#prompt", "Enter")
    assert person.page.url.endswith("/")
    person.expect_error("413")
    person.page.click("text=Start the battle")
    expect(person.page.locator("#notice")).to_contain_text("limit")
    assert person.page.input_value("#prompt") != ""  # nothing that was written is lost
    assert person.violations() == []


def test_reading_is_never_moved(newcomer) -> None:
    person = newcomer(height=500)
    lines = " ".join(f"Paragraph-{n}.\n\n" for n in range(1, 501))
    person.begin(stub(text=lines, rate=20, hold=1, after=25))
    page = person.page
    expect(page.locator("#text-a-1")).to_contain_text("Paragraph-25.")
    page.mouse.wheel(0, -10_000)
    page.wait_for_function("() => scrollY === 0")
    page.mouse.wheel(0, 100)
    page.wait_for_function("() => scrollY === 100")
    expect(page.locator("[data-jump]")).to_be_visible()
    person.go_on()
    expect(page.locator("#text-a-1")).to_contain_text("Paragraph-40.")
    assert page.evaluate("() => scrollY") == 100
    page.click("[data-jump]")
    expect(page.locator("[data-jump]")).to_be_hidden()
    page.keyboard.press("Escape")
    person.finished()
    assert page.evaluate("() => document.scrollingElement.scrollHeight - scrollY - innerHeight") < 200


def test_without_scripts(newcomer) -> None:
    person = newcomer(java_script_enabled=False)
    page = person.page
    page.goto("/?example=explain")
    page.fill("#prompt", stub(n=4, rate=50))
    page.check("[name=agree_terms]")
    page.click("text=Start the battle")
    page.wait_for_url("**/b/*/")
    expect(page.locator("#text-a-1")).to_have_text("w1 w2 w3 w4")  # the page reloads by itself
    page.fill("#prompt", stub("More", n=3, rate=50))
    page.click("#composer button")
    expect(page.locator("#text-b-2")).to_have_text("w1 w2 w3")
    page.click("#vote [value=tie]")
    expect(page.locator("#result")).to_contain_text("You called a tie")


def test_a_blocked_prompt_says_why_and_can_be_appealed(newcomer) -> None:
    person = newcomer()
    person.expect_error("422")
    page = person.page
    page.goto("/")
    page.check("[name=agree_terms]")
    page.fill("#prompt", "I want to kill myself")
    page.press("#prompt", "Enter")
    expect(page.locator("#notice [data-code=blocked]")).to_contain_text("emergency number")
    assert page.input_value("#prompt") == "I want to kill myself"
    page.click("text=This is a mistake")
    assert person.violations() == []
    page.fill("#notice textarea", "A line from a song.")
    page.click("text=Send appeal")
    expect(page.locator("#notice")).to_contain_text("noted")
    assert person.violations() == []
    person.expect_error("422")
    page.fill("#prompt", stub(n=3, rate=100))
    page.press("#prompt", "Enter")
    page.wait_for_url("**/b/*/")


def test_waiting_says_the_place_in_the_queue(newcomer) -> None:
    person = newcomer()
    person.begin(stub(n=3, rate=50, first_delay=5, queued=2))
    status = person.page.locator("[data-status=a]")
    expect(status).to_contain_text("waiting, place")
    expect(status).to_contain_text("about")
    assert person.page.locator("[data-status=b]").text_content() == status.text_content()  # never per side
    person.finished()


def test_new_terms_are_accepted_without_losing_the_text(newcomer) -> None:
    person = newcomer()
    person.ready()
    page = person.page
    page.goto("/")
    expect(page.locator("[name=agree_terms]")).to_have_count(0)
    pages.publish(pages.TERMS, pages.current(pages.TERMS).text + "\nOne more thing.")
    person.expect_error("403")
    page.fill("#prompt", stub(n=3, rate=100))
    page.press("#prompt", "Enter")
    expect(page.locator("#notice [name=agree_terms]")).to_be_visible()
    assert person.violations() == []
    page.check("#notice [name=agree_terms]")
    page.press("#prompt", "Enter")
    page.wait_for_url("**/b/*/")
