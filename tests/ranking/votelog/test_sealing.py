"""Sealing: what enters which chain, what a line says and does not say, and that nothing is sealed twice or not at all."""

import json
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from arena.models import Contestant, Vote
from ranking import counts
from ranking.models import LogEntry, SealingState, WithheldEntry
from ranking.votelog import chain, earlier, names, sealing
from tests.ranking import rows
from tests.ranking.votelog.chains import log, sound, withheld

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair() -> list[Contestant]:
    return rows.contestants(2)


def test_a_vote_is_one_line_that_its_voter_can_find(pair: list[Contestant]) -> None:
    vote = rows.cast(*pair, "a", probability=0.25, categories=["german", "code"]).vote
    counts.absorb()
    (line,) = log()
    assert line["receipt"] == names.vote(vote.pk)
    assert line | {"day": "", "receipt": ""} == {
        "kind": "vote",
        "number": 1,
        "previous": chain.GENESIS,
        "day": "",
        "a": names.contestant(pair[0].pk),
        "b": names.contestant(pair[1].pk),
        "choice": "a",
        "p": 0.25,
        "categories": ["code", "german"],
        "ranked": True,
        "reason": "",
        "receipt": "",
    }
    assert sound()


def test_no_line_holds_an_id_of_ours_a_name_a_time_or_a_judge(pair: list[Contestant]) -> None:
    event = rows.cast(*pair, "tie", judge="j" * 32)
    rows.follow(event, "flag", reason="residual-z")
    counts.absorb()
    said = json.dumps([log(), withheld()])
    battle = event.vote.battle
    keys = [event, event.vote, battle, battle.conversation_a, battle.conversation_b, battle.revision_a, *pair]
    for secret in [*(str(one.pk) for one in keys), *(one.pk.hex for one in keys), *(one.name for one in pair)]:
        assert secret not in said
    for secret in ("j" * 32, "residual-z", event.created_at.strftime("%H:%M"), event.created_at.isoformat()):
        assert secret not in said


def test_an_unranked_vote_says_its_public_reason(pair: list[Contestant]) -> None:
    vote = rows.vote(*pair, "a")
    Vote.objects.filter(pk=vote.pk).update(unranked="identity")
    rows.event(vote, *pair, "a", ranked=False)
    counts.absorb()
    assert [(line["ranked"], line["reason"]) for line in log()] == [(False, "identity")]


def test_demo_and_imported_votes_are_not_sealed(pair: list[Contestant]) -> None:
    for origin in ("demo", "import:x"):
        rows.follow(rows.cast(*pair, "a", origin), "void")
    counts.absorb()
    assert log() == withheld() == []


def test_exclusions_are_sealed_at_once_and_stay_out_of_the_public_chain(pair: list[Contestant]) -> None:
    event = rows.cast(*pair, "a")
    counts.absorb()
    for kind in ("flag", "unflag", "void"):
        rows.follow(event, kind)
        counts.absorb()
    assert [line["kind"] for line in log()] == ["vote"]
    assert [line["kind"] for line in withheld()] == ["flag", "unflag", "void"]
    assert {line["receipt"] for line in withheld()} == {log()[0]["receipt"]}
    assert len({line["nonce"] for line in withheld()}) == 3
    assert sound()


def test_new_categories_name_the_line_of_their_vote(pair: list[Contestant]) -> None:
    first, second = rows.cast(*pair, "a"), rows.cast(*pair, "b")
    counts.absorb()
    rows.follow(second, "recategorise", categories=["math"])
    counts.absorb()
    line = log()[-1]
    assert (line["kind"], line["categories"]) == ("categories", ["math"])
    assert log()[line["vote"] - 1]["receipt"] == names.vote(second.vote_id)
    assert first.vote_id != second.vote_id


def test_categories_that_were_changed_before_the_vote_was_absorbed_are_in_its_line(pair: list[Contestant]) -> None:
    vote = rows.vote(*pair, "a")
    cast = rows.event(vote, *pair, "a", absorbed=True)
    rows.follow(cast, "recategorise", categories=["math"])
    type(cast).objects.filter(pk=cast.pk).delete()
    counts.absorb()
    assert log() == []
    rows.event(vote, *pair, "a", categories=["code"])
    counts.absorb()
    assert [(line["kind"], line["categories"]) for line in log()] == [("vote", ["math"])]


def test_votes_of_one_batch_stand_in_the_order_of_their_receipts(pair: list[Contestant]) -> None:
    for _ in range(12):
        rows.cast(*pair, "a")
    counts.absorb()
    receipts = [line["receipt"] for line in log()]
    assert receipts == sorted(receipts) and len(set(receipts)) == 12


def test_votes_of_before_the_log_are_sealed_by_the_first_absorb(pair: list[Contestant], settings: object) -> None:
    old = [rows.cast(*pair, "a", absorbed=True) for _ in range(3)]
    rows.follow(old[0], "void", absorbed=True)
    rows.follow(old[1], "recategorise", categories=["code"], absorbed=True)
    rows.cast(*pair, "b")
    counts.absorb()
    kinds = [line["kind"] for line in log()]
    assert kinds == ["vote", "vote", "vote", "exclude", "vote"]
    assert sorted(line["categories"] for line in log() if line["kind"] == "vote") == [[], [], [], ["code"]]
    assert log()[log()[3]["vote"] - 1]["receipt"] == names.vote(old[0].vote_id)
    counts.absorb()
    assert len(log()) == 5 and sound()


@pytest.mark.parametrize("die_at", [0, 1, 2, 3, 4])
def test_they_are_sealed_in_bounded_batches_and_a_crash_leaves_a_sound_beginning(
    pair: list[Contestant],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    die_at: int,
) -> None:
    old = [rows.cast(*pair, "a", absorbed=True) for _ in range(5)]
    for event, kind in ((old[0], "void"), (old[3], "flag"), (old[4], "flag"), (old[4], "unflag")):
        rows.follow(event, kind, absorbed=True)
    rows.cast(*pair, "b")
    settings.ABSORB_BATCH = 2
    sizes: list[int] = []
    seal = sealing.seal_earlier

    def seal_or_die(batch: Any, *more: Any) -> None:
        seal(batch, *more)
        if len(sizes) == die_at:
            raise SystemError("killed")  # the batch is written, its transaction is not committed
        sizes.append(len(batch))

    monkeypatch.setattr(sealing, "seal_earlier", seal_or_die)
    with pytest.raises(SystemError):
        counts.absorb()
    assert sizes == [2, 2, 1, 2][:die_at] and earlier.waiting() and sound()
    assert len([line for line in log() if line["kind"] == "vote"]) == min(sum(sizes), 5)
    assert rows.stored("live") == {}, "nothing new is counted before the old votes are in"
    monkeypatch.undo()
    with caplog.at_level("INFO", logger="ranking.votelog.earlier"):
        assert counts.absorb() == 1
    assert caplog.messages[-1] == "sealed 9 events of before the vote log"
    out = set()
    for line in log():
        {"exclude": out.add, "include": out.discard}.get(line["kind"], lambda _vote: None)(line.get("vote"))
    assert {log()[number - 1]["receipt"] for number in out} == {names.vote(old[n].vote_id) for n in (0, 3)} and sound()
    assert {line["receipt"] for line in log()[:5]} == {names.vote(event.vote_id) for event in old}
    assert not SealingState.objects.exists() and not earlier.waiting()
    assert len(withheld()) == 4 and not WithheldEntry.objects.filter(released_at=None).exists()


def test_the_database_refuses_to_change_or_delete_a_line(pair: list[Contestant]) -> None:
    rows.follow(rows.cast(*pair, "a"), "flag")
    counts.absorb()
    for model in (LogEntry, WithheldEntry):
        for act in (lambda all_: all_.update(body="{}"), lambda all_: all_._raw_delete("default")):
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                act(model.objects.all())
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE ranking_withheldentry SET sealed_at = now()")


def test_a_line_grows_with_the_vote_alone(pair: list[Contestant], django_assert_num_queries: Any) -> None:
    """The cost of sealing does not depend on how long the log is."""
    for _ in range(20):
        rows.cast(*pair, "a")
    counts.absorb()
    for size in (1, 15):
        for _ in range(size):
            rows.cast(*pair, "a")
        with django_assert_num_queries(12):
            counts.absorb()
