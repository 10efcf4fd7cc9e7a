"""kill -9 in the middle of a stream: nothing is stuck after 60 s, no reply is doubled, no vote is lost."""

import json
import re
import threading
import time
from uuid import uuid4

import pytest

from arena import battles
from arena.models import Battle, Reply, Turn, Vote, VoteEvent
from arena.models.battles import BattleState, TurnState
from tests import factories
from tests.person import Person, Screen
from tests.stack import Stack

pytestmark = pytest.mark.faults
WORDS = 60
SLOW = json.dumps({"stub": {"n": WORDS, "rate": 15}})  # four seconds of text
STUCK_S = 60.0


@pytest.fixture
def person(stack: Stack) -> Person:
    return Person(stack.url)


class Watching(threading.Thread):
    """Reads a turn in the background, as an open browser tab does."""

    def __init__(self, person: Person, battle: str) -> None:
        super().__init__(daemon=True)
        self.person, self.battle, self.screen = person, battle, Screen()
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            for told in self.person.events(self.battle, patience_s=STUCK_S):
                self.screen.apply(told)
        except BaseException as error:  # handed to the test's own thread by end()
            self.error = error

    def until_text(self) -> None:
        deadline = time.monotonic() + 20
        while "w3" not in self.screen.tail["a"] + self.screen.html["a"]:
            assert time.monotonic() < deadline, "no text came"
            time.sleep(0.02)

    def end(self) -> Screen:
        self.join(STUCK_S + 5)
        if self.error:
            raise self.error
        assert not self.is_alive(), "still waiting after 60 s"
        return self.screen


def words(text: str) -> list[int]:
    return [int(word) for word in re.findall(r"\bw(\d+)\b", text)]


def is_whole(screen: Screen) -> bool:
    return all(words(screen.text(side)) == list(range(1, WORDS + 1)) for side in "ab")


def stored(stack: Stack, battle: str) -> tuple[str, list[list[int]]]:
    """The battle's state and the words of each stored answer."""
    row = Battle.objects.get(pk=battle.split("/")[2])
    replies = Reply.objects.filter(turn__battle=row).select_related("message").order_by("side")
    return row.state, [words(reply.message.text) if reply.message else [] for reply in replies]


@pytest.mark.parametrize("victim", ["worker-generate", "web", "valkey"])
def test_the_answers_arrive_whole_and_once(stack: Stack, person: Person, victim: str) -> None:
    battle = person.start(SLOW)
    watching = Watching(person, battle)
    watching.until_text()
    stack.kill(victim)
    time.sleep(0.5)
    stack.start(victim)
    screen = watching.end()
    assert screen.battle == "ready"
    assert is_whole(screen), (screen.text("a"), screen.text("b"))
    assert stored(stack, battle) == (BattleState.READY, [list(range(1, WORDS + 1))] * 2)
    assert person.vote(battle).status in (200, 303)


def test_a_dead_engine_ends_the_answers_early_and_they_can_be_written_again(stack: Stack, person: Person) -> None:
    battle = person.start(SLOW)
    watching = Watching(person, battle)
    watching.until_text()
    stack.kill("engine")
    screen = watching.end()
    assert set(screen.ended.values()) == {"early"}
    assert screen.battle == "ready"  # text was visible, so it may be voted on
    stack.start("engine")
    assert person.post(f"{battle}retry/", side="a").status in (200, 303)
    again = person.watch(battle)
    assert words(again.text("a")) == list(range(1, WORDS + 1))


def test_a_broker_that_is_down_at_commit_only_delays_the_turn(stack: Stack, person: Person) -> None:
    """Limits need Valkey too, so the turn is written by the verb itself, as in a web process that has passed them."""
    battle = person.start(json.dumps({"stub": {"n": 3, "rate": 0}}))
    person.watch(battle)
    stack.kill("valkey")
    ready = Battle.objects.get(pk=battle.split("/")[2])
    battles._open_turn(factories.reopened(ready), 2, json.dumps({"stub": {"n": 4, "rate": 0}}), uuid4(), "g")
    stack.start("valkey")
    stack.heal()  # a worker that held a message may have died with its broker; the supervisor would start it again
    screen = person.watch(battle, number=2)
    assert words(screen.text("a")) == [1, 2, 3, 4]


def test_no_vote_is_lost_and_none_is_doubled(stack: Stack, person: Person) -> None:
    battle = person.start(json.dumps({"stub": {"n": 3, "rate": 0}}))
    person.watch(battle)
    assert person.vote(battle, "b").status in (200, 303)
    for victim in ("web", "worker-batch", "valkey", "postgres"):
        stack.kill(victim)
    for name in ("postgres", "valkey", "web", "worker-batch"):
        stack.start(name)
    vote = Vote.objects.get(battle=battle.split("/")[2])
    assert vote.choice == "b"
    assert VoteEvent.objects.filter(vote=vote).count() == 1
    assert person.vote(battle, "a").status == 409


def test_a_worker_that_is_asked_to_stop_finishes_what_it_began(stack: Stack, person: Person) -> None:
    battle = person.start(SLOW)
    watching = Watching(person, battle)
    watching.until_text()
    assert stack.stop("worker-generate") == 0
    screen = watching.end()
    assert is_whole(screen)
    turn = Turn.objects.get(battle=battle.split("/")[2])
    assert (turn.state, turn.claims) == (TurnState.DONE, 1)
