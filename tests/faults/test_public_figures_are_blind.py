"""S4 and S25 from outside: what anybody can poll while a battle is played says nothing about who is answering.

Everything public is fetched before, during two battles of different pairs, and after a vote; by a stranger and by the battle's
own visitor. Between these snapshots not a byte may differ; figures change with the published snapshot and at no other moment.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from arena.api import operations
from arena.models import Battle, Contestant
from ranking.models import BoardSnapshot
from tests.person import Page, Person
from tests.stack import Stack

pytestmark = [pytest.mark.faults, pytest.mark.slow]
SLOW = json.dumps({"stub": {"n": 4000, "rate": 10}})
CLOSED = ("/metrics", "/ops", "/ops/")
VARYING = (  # what differs between two readers or two seconds, and tells nothing of a battle
    (re.compile(r'(csrfmiddlewaretoken" value=|nonce=|"X-CSRFToken": |name="key" value=)"[^"]*"'), r"\1"),
    (re.compile(r"(<time [^>]*>)[^<]*"), r"\1"),
    (re.compile(r"nonce-[\w+/=-]+"), "nonce"),
)


@dataclass
class Reader:
    """Somebody who polls everything."""

    person: Person
    paths: list[str]

    def snapshot(self) -> dict[str, str]:
        return {path: self.told(self.person.get(path)) for path in self.paths} | {"live": self.live()}

    @staticmethod
    def told(page: Page) -> str:
        headers = {
            name: value for name, value in page.headers.items() if name not in ("Date", "Expires", "Set-Cookie", "Etag")
        }
        text = f"{page.status}\n{json.dumps(headers, sort_keys=True)}\n{page.text}"
        for pattern, replacement in VARYING:
            text = pattern.sub(replacement, text)
        return text

    def live(self) -> str:
        """The shape of the ticker's next message: which fields there are, not how many battles run."""
        url = f"ws://{self.person.host}/live/"
        with connect(url, origin=f"http://{self.person.host}", additional_headers=self._cookies()) as socket:
            message: dict[str, Any] = json.loads(socket.recv(timeout=30))
        return json.dumps({name: type(value).__name__ for name, value in message.items()})

    def _cookies(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.person.cookies.items())}

    def refused_ops_socket(self) -> int:
        url = f"ws://{self.person.host}/live/ops/"
        with pytest.raises(InvalidStatus) as refusal:
            connect(url, origin=f"http://{self.person.host}", additional_headers=self._cookies())
        return int(refusal.value.response.status_code)


def public_paths() -> list[str]:
    models = [f"/models/{slug}/" for slug in Contestant.objects.values_list("slug", flat=True)]
    api = [one["path"] for one in operations() if "{" not in one["path"]] + ["/api/v1/openapi.json"]
    board = ["/leaderboard", "/leaderboard?sort=votes", "/leaderboard.json", "/leaderboard.csv", "/methodology", "/log"]
    return [*models, *api, *board, *CLOSED, "/datasets", "/api", "/readyz", "/healthz", "/nowhere"]


def pair_of(battle: str) -> frozenset[str]:
    row = Battle.objects.get(pk=battle.strip("/").split("/")[-1])
    return frozenset({row.revision_a.contestant.slug, row.revision_b.contestant.slug})


def playing(url: str, unlike: frozenset[str] = frozenset()) -> tuple[Person, str, frozenset[str]]:
    """A battle in the middle of its answers, of another pair than `unlike`."""
    for _ in range(60):
        person = Person(url)
        battle = person.start(f"Tell me slowly. {SLOW}")
        pair = pair_of(battle)
        if pair != unlike:
            break
        person.post(f"{battle}stop/")
    assert pair != unlike
    for told in person.events(battle):
        if told.name == "frame":
            return person, battle, pair
    raise AssertionError("no text came")


def published(function: Callable[[], None]) -> None:
    """Run again when the schedule published a board in the middle: figures may change then, and only then."""
    for _ in range(3):
        before = set(BoardSnapshot.objects.values_list("pk", flat=True))
        try:
            function()
            return
        except AssertionError:
            if set(BoardSnapshot.objects.values_list("pk", flat=True)) == before:
                raise
    raise AssertionError("a board was published in each of three runs")


def test_what_anybody_can_poll_does_not_tell_who_is_answering(stack: Stack) -> None:
    paths = public_paths()
    assert len(paths) > 15

    def poll() -> None:
        stranger = Reader(Person(stack.url), paths)
        idle = stranger.snapshot()
        for path in CLOSED:
            assert idle[path].startswith("404") and body(idle[path]) == body(idle["/nowhere"]), path
        pair: frozenset[str] = frozenset()
        for _ in range(2):
            person, battle, pair = playing(stack.url, unlike=pair)
            for reader in (stranger, Reader(person, paths)):
                during = reader.snapshot()
                told = differences(idle, during, headers=reader is stranger)
                assert told == [], f"{sorted(pair)} are playing"
                assert reader.refused_ops_socket() == 403
            person.post(f"{battle}stop/")
            person.watch(battle)

    published(poll)


def body(told: str) -> str:
    return told.split("\n", 2)[2]


def differences(one: dict[str, str], other: dict[str, str], headers: bool = True) -> list[str]:
    """Paths whose answers differ, with the first place where they do. Headers of two readers may differ by their cookies."""
    found = []
    for path in one:
        a, b = (told[path] if headers or path == "live" else body(told[path]) for told in (one, other))
        if a != b:
            at = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            found.append(f"{path}: …{a[max(0, at - 80) : at + 80]}… / …{b[max(0, at - 80) : at + 80]}…")
    return found


def test_public_figures_change_with_the_published_snapshot_only(stack: Stack) -> None:
    paths = [path for path in public_paths() if path not in ("/readyz", "/healthz")]
    person, quick = Person(stack.url), json.dumps({"stub": {"n": 5, "rate": 200}})

    def vote_and_look() -> None:
        reader = Reader(Person(stack.url), paths)
        before = reader.snapshot()
        battle = person.start(f"Quickly. {quick}")
        assert person.watch(battle).battle == "ready"
        assert person.vote(battle).status == 303
        assert differences(before, reader.snapshot()) == []

    published(vote_and_look)
    reader = Reader(Person(stack.url), paths)
    before = reader.snapshot()
    stack.manage("publish_board")
    changed = {found.partition(":")[0] for found in differences(before, reader.snapshot())}
    assert {"/leaderboard", "/leaderboard.json", "/leaderboard.csv", "/api/v1/leaderboard"} <= changed
    assert any(path.startswith("/models/") for path in changed)
