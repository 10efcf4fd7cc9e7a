"""A battle in a real browser: start, stream, vote, reveal; several turns, stop, reload, lost connection, failures."""

import re
import uuid

import pytest
from playwright.sync_api import expect

from arena.models import Battle, Contestant, Turn, Vote
from inference.models import Deployment
from tests.e2e.person import stub

pytestmark = [pytest.mark.e2e]

ANSWER = (
    "First paragraph.\n\n```python\nprint('hi')\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    "The mean is $\\bar x$, **bold** end."
)


def battle_of(person) -> Battle:
    return Battle.objects.get(pk=uuid.UUID(person.page.url.rstrip("/").rsplit("/", 1)[1]))


def test_a_whole_battle_to_the_vote(newcomer) -> None:
    person = newcomer()
    person.page.goto("/")
    assert person.violations() == []
    person.page.fill("#prompt", stub(text=ANSWER, rate=40))
    person.page.click("text=Start the battle")
    assert person.page.url.endswith("/")  # the terms are not accepted yet
    person.begin(stub(text=ANSWER, rate=40, hold=1, after=10))
    expect(person.page.locator(".tail").first).to_be_attached()
    assert person.violations() == []
    person.go_on()
    person.finished()
    battle = battle_of(person)
    assert person.page.evaluate("() => document.activeElement.id") == "vote"
    for side in "ab":
        answer = person.page.locator(f"#text-{side}-1")
        expect(answer.locator("figure.code pre")).to_have_text("print('hi')\n")
        expect(answer.locator("table td")).to_have_count(2)
        expect(answer.locator("strong")).to_have_text("bold")
        expect(answer.locator(".math.typeset .katex")).to_have_count(1)
    names = [battle.revision_a.contestant.name, battle.revision_b.contestant.name]
    assert not any(name in person.page.content() for name in names)
    assert person.violations() == []
    person.vote("b")
    for name in names:
        assert name in person.page.inner_text("#ring")
    expect(person.page.locator("#result")).to_contain_text("You chose B")
    assert person.page.evaluate("() => document.activeElement.id") == "result"
    assert person.violations() == []
    assert Vote.objects.get(battle=battle).choice == "b"


def test_text_streams_in_and_is_not_doubled(newcomer) -> None:
    person = newcomer()
    person.begin(stub(n=60, rate=20))
    seen, ended = [], person.page.locator("#battle[data-phase=ready]")
    while not ended.count():
        seen.append(len(person.text("a").split()))
        person.page.wait_for_timeout(100)
    assert seen == sorted(seen) and len(set(seen)) >= 3
    for side in "ab":
        assert person.text(side).split() == [f"w{n}" for n in range(1, 61)]


def test_reload_in_mid_stream_loses_and_repeats_nothing(newcomer) -> None:
    person = newcomer()
    person.begin(stub(n=60, rate=25))
    expect(person.page.locator("#text-a-1")).to_contain_text("w8")
    person.page.reload()
    expect(person.page.locator("#text-a-1")).to_contain_text("w12")
    person.finished()
    for side in "ab":
        assert person.text(side).split() == [f"w{n}" for n in range(1, 61)]


def test_a_lost_connection_resumes(newcomer) -> None:
    person = newcomer()
    for words in ("ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_NETWORK", "ERR_EMPTY"):
        person.expect_error(words)
    person.begin(stub(n=80, rate=16, hold=1, after=60))  # it cannot end before the connection is lost
    expect(person.page.locator("#text-a-1")).to_contain_text("w8")
    person.stack.stop("web")
    expect(person.page.locator("[data-status=a]")).to_contain_text("connection lost")
    person.stack.start("web")
    person.go_on()
    person.finished()
    for side in "ab":
        assert person.text(side).split() == [f"w{n}" for n in range(1, 81)]


def test_coming_back_to_a_streaming_page_repeats_nothing(newcomer) -> None:
    """The back-forward cache keeps the page but not its stream; the new stream begins at the beginning."""
    person = newcomer()
    person.begin(stub(n=80, rate=16))
    expect(person.page.locator("#text-a-1")).to_contain_text("w8")
    person.page.evaluate(
        """() => {
            window.dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
            window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
        }"""
    )
    expect(person.page.locator("#text-a-1")).to_contain_text("w16")
    for side in "ab":
        words = person.text(side).split()
        assert words == [f"w{n}" for n in range(1, len(words) + 1)]
    person.finished()


def test_several_turns_then_the_vote(newcomer) -> None:
    person = newcomer()
    person.ready()
    person.ask(stub("And then?", n=5, rate=100))
    expect(person.page.locator("#turn-2")).to_be_attached()
    person.finished()
    expect(person.page.locator("#text-a-2")).to_have_text("w1 w2 w3 w4 w5")
    person.vote("tie")
    vote = Vote.objects.get(battle=battle_of(person))
    assert vote.turn.number == 2 and vote.choice == "tie"
    person.ask(stub("Thanks", n=3, rate=100))
    expect(person.page.locator("#text-b-3")).to_have_text("w1 w2 w3")
    assert battle_of(person).turns.get(number=3).post_reveal
    assert person.violations() == []


@pytest.mark.parametrize("side", ["a", "b", ""])
def test_stop(newcomer, side: str) -> None:
    person = newcomer()
    person.begin(stub(n=40, rate=10, hold=1, after=10))
    expect(person.page.locator("#text-a-1")).to_contain_text("w4")
    person.page.click(f'form[data-stop="{side}"] button')
    if side:
        expect(person.page.locator(f"[data-status={side}]")).to_have_text("stopped")
    person.go_on()
    person.finished()
    for answer in "ab":
        stopped = side in ("", answer)
        assert (len(person.text(answer).split()) < 40) == stopped
        expect(person.page.locator(f"#answer-{answer}-1 .state")).to_have_count(1 if stopped else 0)
    person.vote("a")
    expect(person.page.locator("#result")).to_contain_text("does not count")


@pytest.fixture
def pair_with_a_broken_model(stack):
    """Only two contestants are in the ring, and the engine of one of them answers 500."""
    ring = list(Contestant.objects.drawable().order_by("slug"))
    kept, broken, *others = ring
    Contestant.objects.filter(pk__in=[c.pk for c in others]).update(sampling_weight=0)
    revision = broken.revisions.get(current=True)
    deployment = Deployment.objects.get(model=revision.model, adapter=revision.adapter)
    old = deployment.upstream_name
    Deployment.objects.filter(pk=deployment.pk).update(upstream_name="stub-500")

    def mend() -> None:
        Deployment.objects.filter(pk=deployment.pk).update(upstream_name=old)

    yield mend
    mend()
    Contestant.objects.filter(pk__in=[c.pk for c in others]).update(sampling_weight=1)


def test_one_side_fails_and_is_retried(newcomer, pair_with_a_broken_model) -> None:
    person = newcomer()
    person.page.wait_for_timeout(1200)  # the worker's list of deployments is at most a second old here
    person.begin("Plain question, no control object")
    person.finished("failed")
    expect(person.page.locator("#dock")).to_contain_text("One model did not answer")
    assert "acct_" not in person.page.content()  # the provider's own words stay inside
    assert person.violations() == []
    pair_with_a_broken_model()
    person.page.wait_for_timeout(1200)
    person.page.click("#dock >> text=/Retry [AB]/")
    person.finished()
    person.vote("a")


def test_both_sides_fail(newcomer) -> None:
    person = newcomer()
    person.begin(stub(fault="500"))
    person.finished("failed")
    expect(person.page.locator("#dock")).to_contain_text("Neither model answered")
    assert person.violations() == []


def test_a_broken_off_answer_can_be_voted_on(newcomer) -> None:
    person = newcomer()
    person.begin(stub(n=30, rate=60, fault="truncate", after=10))
    person.finished()
    expect(person.page.locator("#answer-a-1 .state")).to_contain_text("broke off")
    person.vote("b")
    expect(person.page.locator("#result")).to_contain_text("ended early")


def test_the_same_question_gets_a_new_pair(newcomer) -> None:
    person = newcomer()
    person.ready()
    first = person.page.url
    person.page.click("text=Same question, new pair")
    person.page.wait_for_function("old => location.href !== old", arg=first)
    person.finished()
    assert battle_of(person).turns.get().prompt.text == stub(n=6, rate=200)


def test_a_double_click_is_one_battle_and_one_vote(newcomer) -> None:
    person = newcomer()
    person.page.goto("/")
    person.page.check("[name=agree_terms]")
    person.page.fill("#prompt", stub(n=4, rate=100))
    person.page.dblclick("text=Start the battle")
    person.page.wait_for_url("**/b/*/")
    person.finished()
    assert Turn.objects.filter(visitor=battle_of(person).visitor).count() == 1
    person.page.dblclick("#vote [value=a]")
    person.finished("voted")
    assert Vote.objects.filter(battle=battle_of(person)).count() == 1


def test_sharing_and_reporting(newcomer) -> None:
    person = newcomer()
    person.ready()
    person.page.click("#answer-b-1 summary")
    person.page.check("#answer-b-1 [value=broken]")
    assert person.violations() == []
    person.page.click("#answer-b-1 >> text=Send report")
    expect(person.page.locator("#answer-b-1")).to_contain_text("Reported")
    person.vote("both_bad")
    person.page.click("#result >> text=Share")
    link = person.page.input_value("#share-url")
    person.page.click("#result >> text=Copy")
    assert person.page.evaluate("() => navigator.clipboard.readText()") == link
    stranger = newcomer()
    stranger.page.goto(link)
    expect(stranger.page.locator("main")).to_contain_text("both bad")
    assert "w1" not in stranger.page.inner_text("main")
    assert stranger.violations() == []
    person.page.click("text=Stop sharing")
    expect(person.page.locator("#share-url")).to_have_count(0)
    stranger.expect_error("404")
    assert stranger.page.goto(link).status == 404


def test_nothing_on_the_wire_names_a_model_before_the_vote(newcomer) -> None:
    """S4 on the wire: the live event stream with its headers, the page, its fragment, a refusal, the history."""
    person = newcomer()
    person.begin(stub(n=30, rate=30))
    battle = battle_of(person)
    here = f"/b/{battle.pk}/"
    heard = person.fetch(f"{here}turns/1/stream")
    assert b"event: done" in heard and b"w30" in heard
    person.finished()
    for path in (here, "/me/", "/", f"{here}vote/", f"{here}turns/2/stream"):
        heard += person.fetch(path) + person.fetch(path, htmx=True)
    lowered = heard.lower()
    found = [word for word in _names(battle) if re.search(rf"\b{re.escape(word.lower())}\b".encode(), lowered)]
    assert found == []
    person.vote("a")
    assert battle.revision_a.contestant.name.encode() in person.fetch(here)


def _names(battle: Battle) -> list[str]:
    words = [str(pk) for pk in Deployment.objects.values_list("pk", flat=True)]
    for revision in (battle.revision_a, battle.revision_b):
        contestant = revision.contestant
        words += [contestant.name, contestant.slug, contestant.organisation, revision.model, str(contestant.pk)]
        words += [str(revision.pk), *([revision.adapter.name] if revision.adapter else [])]
    return words
