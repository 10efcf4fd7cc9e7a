"""/receipt and its API: the way of a vote from waiting to public, and nothing about exclusions before they are public."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from arena import clock, erasure, receipts, votes
from arena.models import Contestant, Vote
from ranking import counts
from ranking.fits import fitting
from ranking.models import LogEntry
from ranking.votelog import chain, checking, publication, sealing
from tests import factories
from tests.ranking import rows
from tests.ranking.publishing import text

NOON = datetime(2026, 11, 26, 12, 1, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON)


def page(client: Client, vote: Vote) -> str:
    return text(client, f"/receipt?receipt={receipts.receipt(vote.pk)}")


def told(client: Client, vote: Vote) -> dict:
    answer = client.get(f"/api/v1/log/receipts/{receipts.receipt(vote.pk)}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_vote_waits_is_sealed_and_becomes_public(client: Client, pair: list[Contestant]) -> None:
    vote = rows.cast(*pair, "a").vote
    assert "waits to be sealed" in page(client, vote)
    assert told(client, vote)["status"] == "waiting"
    counts.absorb()
    number = LogEntry.objects.latest("number").number
    said = page(client, vote)
    assert f"in the log as entry {number}" in said and "planned for 2026-11-26 18:00 UTC" in said
    assert (told(client, vote)["status"], told(client, vote)["line"]) == ("sealed", None)
    publication.publish(at_once=True)
    said = page(client, vote)
    assert f"in the log as entry {number}" in said and "published at 2026-11-26 12:01 UTC" in said
    assert "every board since" in said
    facts = f"<dd>{pair[0].name}</dd><dt>Model B</dt><dd>{pair[1].name}</dd><dt>Vote</dt><dd>A is better</dd>"
    assert facts in said
    api = told(client, vote)
    assert (api["status"], api["entry"], api["publication"]) == ("public", number, number + 1)
    assert chain.decode(api["line"])["receipt"] == api["sha256"] == receipts.commitment(api["receipt"])


def test_a_flagged_vote_looks_like_any_other_until_its_batch(
    client: Client, pair: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, flagged = rows.cast(*pair, "a"), rows.cast(*pair, "a")
    publication.publish(at_once=True)
    before = [page(client, one.vote) for one in (honest, flagged)] + [
        told(client, one.vote) for one in (honest, flagged)
    ]
    rows.follow(flagged, "flag")
    fitting.refit()
    publication.publish(at_once=True)
    after = [page(client, one.vote) for one in (honest, flagged)] + [
        told(client, one.vote) for one in (honest, flagged)
    ]
    assert after == before
    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(days=9))
    publication.publish(at_once=True)
    line = LogEntry.objects.get(kind="exclude")
    assert f"taken out of the count by entry {line.number}" in page(client, flagged.vote)
    assert told(client, flagged.vote)["excluded"] == line.number
    assert told(client, honest.vote)["excluded"] is None
    rows.follow(flagged, "unflag")
    counts.absorb()
    assert told(client, flagged.vote)["excluded"] == line.number, "no sooner than its batch, either"
    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(days=18))
    publication.publish(at_once=True)
    assert told(client, flagged.vote)["excluded"] is None and "every board since" in page(client, flagged.vote)


def test_a_line_that_is_not_public_yet_is_not_told(client: Client, pair: list[Contestant]) -> None:
    vote = rows.cast(*pair, "a").vote
    publication.publish(at_once=True)
    before = told(client, vote)
    sealing.append([{"kind": "exclude", "day": "2026-11-26", "vote": before["entry"]}])
    assert told(client, vote) == before and before["excluded"] is None


def test_an_unranked_vote_is_told_its_public_reason(client: Client, pair: list[Contestant]) -> None:
    vote = rows.vote(*pair, "a")
    Vote.objects.filter(pk=vote.pk).update(unranked="stopped")
    rows.event(vote, *pair, "a", ranked=False)
    publication.publish(at_once=True)
    assert "an answer was stopped" in page(client, vote)
    assert (told(client, vote)["ranked"], told(client, vote)["reason"]) == (False, "stopped")


def test_an_older_vote_is_found_among_those_that_wait(client: Client, pair: list[Contestant], settings: object) -> None:
    settings.ABSORB_BATCH = 1  # type: ignore[attr-defined]
    old, _new = rows.cast(*pair, "a").vote, rows.cast(*pair, "b")
    assert told(client, old)["status"] == "waiting"
    settings.RECEIPTS_WAITING = 1  # type: ignore[attr-defined]
    assert "No vote has this receipt" in text(client, f"/receipt?receipt={receipts.receipt(old.pk)}", 404)


@pytest.mark.parametrize("asked", ["vote-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa", "nonsense", "<script>alert(1)</script>"])
def test_what_is_no_receipt_is_not_found_and_is_shown_as_text(client: Client, asked: str) -> None:
    said = text(client, f"/receipt?receipt={asked}", 404)
    assert "No vote has this receipt" in said and "<script>alert" not in said
    assert client.get(f"/api/v1/log/receipts/{asked}".replace("</", "%3C")).status_code == 404


def test_demo_votes_have_no_place_in_the_log(client: Client, pair: list[Contestant]) -> None:
    vote = rows.cast(*pair, "a", "demo").vote
    assert "No vote has this receipt" in text(client, f"/receipt?receipt={receipts.receipt(vote.pk)}", 404)


def test_the_form_alone_is_a_page_that_looks_for_nothing(client: Client) -> None:
    assert "no-store" in client.get("/receipt")["Cache-Control"], "with a receipt in its address it is somebody's own"
    said = text(client, "/receipt")
    assert "Find my vote" in said and 'role="alert"' not in said


def test_a_network_looks_for_receipts_at_the_pace_of_the_api(client: Client, settings: object, valkey: object) -> None:
    settings.API_BURST, settings.API_PER_MINUTE = 2, 1  # type: ignore[attr-defined]
    for _ in range(2):
        text(client, "/receipt?receipt=vote-x", 404)
    answer = client.get("/receipt?receipt=vote-x")
    assert answer.status_code == 429 and 0 < int(answer["Retry-After"]) <= 60
    assert "faster than this site allows" in answer.content.decode()
    assert text(client, "/receipt"), "the form costs nothing"


def test_deleting_a_visitor_leaves_the_log_and_the_receipt_as_they_are(client: Client) -> None:
    visitor = factories.visitor()
    battle = factories.ready(visitor)
    vote = votes.cast_vote(battle.pk, "a", 1, visitor)
    fitting.refit()
    lines = list(LogEntry.objects.order_by("number").values_list("body", "hash"))
    before = told(client, vote)
    assert before["status"] == "public" and str(visitor.pk) not in str(lines)
    erasure.erase(visitor)
    assert list(LogEntry.objects.order_by("number").values_list("body", "hash")) == lines
    assert told(client, vote) == before
    assert checking.public_chain()[1] == checking.counts() == []
