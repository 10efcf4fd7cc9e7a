"""S13: a flagged voter's answers are those of everybody else: the same bytes, for the same work."""

import math
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arena import address_keys, bans, flagging
from arena.models import Vote, VoteEvent
from arena.models.votes import EventKind
from arena.visitors import Visitor
from arena.votes import cast_vote
from tests import factories
from tests.arena.test_export import export
from tests.arena.views_help import HTMX, Person, url

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]
# What is fresh in every response: ids, keys, tokens, receipts.
CHANGING = re.compile(
    rb'vote-[a-z2-7-]{29}|[0-9a-f]{8}-[0-9a-f-]{27}|name="(?:key|csrfmiddlewaretoken)" value="[^"]+"|[0-9a-f]{64}|[\w-]{43,64}'
)


def voted_before(flagged: bool) -> Person:
    person = Person()
    person.raw.defaults["HTTP_USER_AGENT"] = "Mozilla/5.0"
    votes = [cast_vote(factories.ready(person.visitor).pk, "a", 1) for _ in range(3)]
    if flagged:
        assert len(flagging.flag([vote.pk for vote in votes], "attackers")) == 3
    return person


def test_voting_answers_with_the_same_bytes_after_the_same_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    for kept in (address_keys, bans):  # nothing that is kept for some seconds is asked for again in mid-test
        monkeypatch.setattr(kept, "CACHE_S", math.inf)
    factories.ring(2)
    seen = {}
    for name in ("warm", True, False):
        person = voted_before(flagged=name is True)
        battle = person.ready()
        with CaptureQueriesContext(connection) as queries:
            answer = person.post(url(battle, "vote/"), htmx=True, choice="a", turn=1)
        assert answer.status_code == 200
        # Which model was on which side is drawn: compare what does not depend on it.
        contestants = sorted([battle.revision_a.contestant.name, battle.revision_b.contestant.name])
        body = CHANGING.sub(b"", answer.content)
        for contestant in contestants:
            for text in (contestant, contestant.lower().replace(" ", "-")):
                body = body.replace(text.encode(), b"model")
        seen[name] = (body, len(queries), sorted(answer.headers))
    assert seen[True] == seen[False]


@pytest.mark.parametrize("path", ["/me/", "/me/data/", "export json", "export txt"])
def test_no_page_of_ones_own_tells_of_a_flag(path: str) -> None:
    person = voted_before(flagged=False)
    moment = re.compile(rb'"exported_at": "[^"]+"|[0-9-]{10}[T ][0-9:.]{5,15}')

    def page() -> bytes:
        form = path.removeprefix("export ")
        content = export(person.visitor, form).encode() if form != path else person.get(path).content
        return moment.sub(b"", CHANGING.sub(b"", content))

    before = page()
    flagging.flag(list(Vote.objects.values_list("pk", flat=True)), "attackers")
    assert VoteEvent.objects.filter(kind=EventKind.FLAG).count() == 3
    assert page() == before


def test_flagging_twice_writes_once_and_a_persons_word_stands() -> None:
    vote = cast_vote(factories.ready().pk, "a", 1)
    assert flagging.flag([vote.pk], "swarm") == [vote.pk]
    assert flagging.flag([vote.pk], "cap") == []
    assert flagging.unflag([vote.pk], "cleared") == [vote.pk]
    assert flagging.unflag([vote.pk], "cleared") == []
    assert flagging.flag([vote.pk], "attackers") == [], "no rule flags again what a person has let go"
    kinds = VoteEvent.objects.order_by("created_at", "id").values_list("kind", "reason")
    assert list(kinds) == [("cast", ""), ("flag", "swarm"), ("unflag", "cleared")]


@pytest.mark.parametrize(
    ("agent", "machine"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", False),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
            False,
        ),
        ("Mozilla/5.0 (X11) HeadlessChrome/140.0", True),
        ("python-requests/2.32", True),
        ("curl/8.5.0", True),
        ("Googlebot/2.1", True),
        ("", True),
    ],
)
def test_a_program_that_says_so_is_noted_and_answered_like_anybody(agent: str, machine: bool) -> None:
    person = Person()
    battle = person.ready()
    answer = person.raw.post(
        url(battle, "vote/"),
        {"choice": "a", "turn": 1, "csrfmiddlewaretoken": person.token},
        headers=HTMX | {"User-Agent": agent},
    )
    assert answer.status_code == 200
    assert Vote.objects.get().machine == machine
    assert agent == "" or agent.encode() not in connection_dump()


def connection_dump() -> bytes:
    """Everything that the vote left: of the browser's name only a yes or no."""
    return repr(
        list(Vote.objects.values()) + list(VoteEvent.objects.values()) + list(Visitor.objects.values())
    ).encode()
