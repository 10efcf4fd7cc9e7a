"""absorb(): the counts are a function of the events, whatever the order, the concurrency or the crash."""

import random
import threading
import time
from datetime import timedelta
from itertools import count

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.clock import now
from arena.models import Contestant, VoteEvent
from ranking import counts
from ranking.models import PairCount
from tests.ranking import rows
from tests.ranking.side_by_side import kill_an_absorber, threads

_origins = (f"import:test-{n}" for n in count(1))


@pytest.mark.django_db
def test_one_vote_lands_in_one_cell_with_its_probability() -> None:
    low, high = sorted(rows.contestants(2), key=lambda one: one.id)
    rows.cast(high, low, "a", probability=0.25)
    assert counts.absorb() == 1
    cell = PairCount.objects.get()
    assert (cell.first, cell.second, cell.first_was_a, cell.outcome, cell.count) == (low, high, False, "second", 1)
    assert (cell.inverse_p, cell.inverse_p2) == (4.0, 16.0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("choice", "outcome"), [("a", "first"), ("b", "second"), ("tie", "tie"), ("both_bad", "both_bad")]
)
def test_every_choice_has_its_outcome(choice: str, outcome: str) -> None:
    low, high = sorted(rows.contestants(2), key=lambda one: one.id)
    rows.cast(low, high, choice)
    counts.absorb()
    assert PairCount.objects.get().outcome == outcome


@pytest.mark.django_db
def test_a_second_run_absorbs_nothing_twice() -> None:
    a, b = rows.contestants(2)
    rows.cast(a, b, "a")
    assert (counts.absorb(), counts.absorb()) == (1, 0)
    assert PairCount.objects.get().count == 1


@pytest.mark.django_db
def test_unranked_votes_are_not_counted_and_their_void_takes_nothing_away() -> None:
    a, b = rows.contestants(2)
    unranked, counted = rows.cast(a, b, "a", ranked=False), rows.cast(a, b, "a")
    counts.absorb()
    assert PairCount.objects.get().count == 1
    rows.follow(unranked, "void")
    counts.absorb()
    assert PairCount.objects.get().count == 1
    rows.follow(counted, "void")
    counts.absorb()
    assert PairCount.objects.get().count == 0
    assert PairCount.objects.get().inverse_p == 0.0


@pytest.mark.django_db
def test_a_cell_without_battles_holds_no_rounding() -> None:
    a, b = rows.contestants(2)
    casts = [rows.cast(a, b, "a", probability=p) for p in (0.1, 0.3, 0.7)]
    counts.absorb()
    for cast in casts:  # in floats these sums less their parts are 7e-16 and 8e-15
        rows.follow(cast, "void")
        counts.absorb()
    cell = PairCount.objects.get()
    assert (cell.count, cell.inverse_p, cell.inverse_p2) == (0, 0.0, 0.0)


@pytest.mark.django_db
def test_void_and_flag_of_one_vote_take_it_away_once() -> None:
    a, b = rows.contestants(2)
    one, _other = rows.cast(a, b, "a"), rows.cast(a, b, "a")
    counts.absorb()
    rows.follow(one, "flag")
    counts.absorb()
    rows.follow(one, "void")
    counts.absorb()
    assert PairCount.objects.get().count == 1


@pytest.mark.django_db
def test_a_void_that_is_absorbed_before_its_cast_leaves_nothing() -> None:
    a, b = rows.contestants(2)
    vote = rows.vote(a, b, "a")
    rows.event(vote, a, b, "a", kind="void")
    counts.absorb()
    rows.event(vote, a, b, "a")
    counts.absorb()
    assert rows.stored("live") == {}


@pytest.mark.django_db
def test_a_category_is_counted_beside_the_whole_and_can_change() -> None:
    a, b = rows.contestants(2)
    cast = rows.cast(a, b, "a", categories=["code", "english", "code"])
    counts.absorb()
    assert {key[1]: n for key, n in rows.stored("live").items()} == {"": 1, "code": 1, "english": 1}
    rows.follow(cast, "recategorise", categories=["math", "english"])
    counts.absorb()
    assert {key[1] for key in rows.stored("live")} == {"", "english", "math"}
    rows.follow(cast, "recategorise")
    counts.absorb()
    assert {key[1] for key in rows.stored("live")} == {""}


@pytest.mark.django_db
def test_of_flags_and_unflags_the_latest_counts_and_a_void_is_final() -> None:
    a, b = rows.contestants(2)
    cast = rows.cast(a, b, "a", judge="j1")
    for kind, expected in (("flag", 0), ("unflag", 1), ("flag", 0), ("unflag", 1), ("void", 0), ("unflag", 0)):
        rows.follow(cast, kind, reason="test")
        counts.absorb()
        assert (sum(rows.stored("live").values()), sum(rows.stored_by_judge("live").values())) == (expected,) * 2


@pytest.mark.django_db
def test_later_is_what_was_created_later_whatever_the_ids() -> None:
    a, b = rows.contestants(2)
    cast, moment = rows.cast(a, b, "a"), now()
    for seconds, categories in ((2, ["code"]), (1, ["math"])):  # ids rise as rows are made
        rows.follow(cast, "recategorise", categories=categories, created_at=moment + timedelta(seconds=seconds))
    counts.absorb()
    assert {key[1] for key in rows.stored("live")} == {"", "code"}


@pytest.mark.django_db
def test_votes_are_counted_by_judge_with_sides_pooled() -> None:
    low, high = sorted(rows.contestants(2), key=lambda one: one.id)
    for a, b, choice, judge in (
        (low, high, "a", "j1"),
        (high, low, "b", "j1"),
        (low, high, "tie", "j2"),
        (low, high, "b", ""),
    ):
        rows.cast(a, b, choice, judge=judge, categories=["code"])
    counts.absorb()
    assert rows.stored_by_judge("live") == {
        ("live", "j1", low.id, high.id, "first"): 2,
        ("live", "j2", low.id, high.id, "tie"): 1,
        ("live", "", low.id, high.id, "second"): 1,
    }


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["cast", "void", "recategorise"])
def test_a_vote_is_one_statement_per_table(kind: str) -> None:
    a, b = rows.contestants(2)
    cast = rows.cast(a, b, "a", categories=["code", "english"])
    if kind == "cast":
        counts.absorb()
        rows.cast(a, b, "b", categories=["code", "english"])
    else:
        counts.absorb()
        rows.follow(cast, kind, categories=["math"])
    with CaptureQueriesContext(connection) as queries:
        assert counts.absorb() == 1
    said = [query["sql"] for query in queries if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert sum("INSERT INTO ranking_paircount" in sql for sql in said) == 1
    assert sum("INSERT INTO ranking_judgecount" in sql for sql in said) == (kind != "recategorise")
    sealing = 2 if kind == "cast" else 3  # the end of the log, the vote's line or the other chain's end, one insert
    looks = 2  # whether votes of before the log wait
    assert len(said) == looks + 5 + (kind != "recategorise") + sealing, "lock, batch, known, one per table, absorbed"


@pytest.mark.django_db
def test_batches_are_bounded_and_the_next_run_goes_on(settings: object) -> None:
    settings.ABSORB_BATCH, settings.ABSORB_BATCHES = 3, 2  # type: ignore[attr-defined]
    a, b = rows.contestants(2)
    rows.ballot(a, b, wins=8)
    assert [counts.absorb() for _ in range(3)] == [6, 2, 0]
    assert PairCount.objects.get().count == 8


event_plans = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "tie", "both_bad"]),
        st.booleans(),
        st.lists(st.sampled_from(["", "code", "english"]), max_size=3),
        st.sampled_from(["", "j1", "j2"]),
        st.lists(st.sampled_from(["void", "flag", "unflag", "recategorise"]), max_size=4),
    ),
    max_size=6,
)


@pytest.mark.django_db
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event_plans, st.randoms(use_true_random=False))
def test_any_events_absorbed_in_any_pieces_agree_with_a_recount(plans: list, rng: random.Random) -> None:
    origin, models = next(_origins), ring()
    waiting: list[VoteEvent] = []
    for choice, ranked, categories, judge, later in plans:
        a, b = rng.sample(models, 2)
        about = {"vote": rows.vote(a, b, choice, origin), "contestant_a": a, "contestant_b": b, "choice": choice}
        about["judge"] = judge
        cast = {"ranked": ranked, "categories": categories, "probability": rng.uniform(0.01, 1)}
        waiting.append(VoteEvent(origin=origin, **about, **cast))
        waiting += [
            VoteEvent(origin=origin, kind=kind, categories=["math"][: len(later) - 1], **about) for kind in later
        ]
    rng.shuffle(waiting)
    while waiting:  # events become visible in any order, a few at a time
        VoteEvent.objects.bulk_create([waiting.pop() for _ in range(min(len(waiting), rng.randint(1, 4)))])
        counts.absorb()
    assert rows.agree(origin)
    assert all(cell.inverse_p == cell.inverse_p2 == 0.0 for cell in PairCount.objects.filter(origin=origin, count=0))


def ring() -> list[Contestant]:
    return list(Contestant.objects.filter(organisation="Org")[:4]) or rows.contestants(4)


@pytest.mark.django_db(transaction=True)
def test_concurrent_writers_late_commits_and_two_absorbers_agree_with_a_recount() -> None:
    """Writers hold their transactions open, so that events commit long after their time and in another order."""
    models = rows.contestants(4)
    for round_number in range(4):
        origin = f"import:round-{round_number}"
        writing = threading.Semaphore(0)

        def write(seed: int, origin: str = origin, writing: threading.Semaphore = writing) -> None:
            rng = random.Random(seed)
            for _ in range(6):
                with transaction.atomic():
                    a, b = rng.sample(models, 2)
                    judge = rng.choice(["", "j1", "j2"])
                    first = rows.cast(a, b, rng.choice(["a", "b", "tie"]), origin, judge=judge, categories=["code"])
                    if rng.random() < 0.3:
                        rows.follow(first, rng.choice(["void", "flag"]))
                    time.sleep(rng.uniform(0, 0.02))
                if rng.random() < 0.4:
                    rows.follow(first, "void")
            writing.release()

        def absorb(writing: threading.Semaphore = writing) -> None:
            while not writing.acquire(blocking=False):
                counts.absorb()

        threads(*(lambda seed=seed: write(seed) for seed in range(4)), absorb, absorb)
        counts.absorb()
        assert not VoteEvent.objects.filter(absorbed=False).exists()
        assert rows.agree(origin)


@pytest.mark.django_db(transaction=True)
def test_an_absorber_whose_connection_is_killed_leaves_everything_for_the_next_run() -> None:
    a, b = rows.contestants(2)
    rows.ballot(a, b, wins=3)
    counts.absorb()
    rows.ballot(a, b, wins=2, losses=2)
    kill_an_absorber(lambda: list(PairCount.objects.select_for_update()))  # it stops in the middle of its batch
    assert VoteEvent.objects.filter(absorbed=False).count() == 4
    assert sum(rows.stored("live").values()) == 3
    assert counts.absorb() == 4
    assert rows.agree("live")
