"""Absorbers, writers, publishers and kills at once: no fork, no gap, no line twice, and counts that are those of the log."""

import random
import threading
import time

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from arena import clock
from arena.models import VoteEvent
from ranking import counts
from ranking.models import LogEntry, PairCount, WithheldEntry
from ranking.votelog import checking, names, sealing
from tests.ranking import rows
from tests.ranking.side_by_side import kill_an_absorber, threads

KINDS = ["void", "flag", "unflag", "recategorise"]
PLANS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "tie", "both_bad"]),
        st.booleans(),
        st.lists(st.sampled_from(["code", "math"]), max_size=2, unique=True),
        st.lists(st.sampled_from(KINDS), max_size=4),
    ),
    max_size=6,
)


def sound() -> None:
    """Both chains, and the counts as the chains tell them; and every live cast is sealed once."""
    with transaction.atomic():
        counts.take_lock()
        assert checking.public_chain()[1] == checking.withheld_chain()[1] == checking.counts() == []
    casts = VoteEvent.objects.filter(origin="live", kind="cast", absorbed=True).values_list("vote_id", flat=True)
    sealed = LogEntry.objects.filter(kind="vote").values_list("receipt", flat=True)
    assert sorted(sealed) == sorted(names.vote(vote) for vote in casts if vote)


@pytest.mark.django_db
@examples(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLANS, st.randoms(use_true_random=False))
def test_any_events_in_any_order_and_pieces_give_a_sound_log_and_its_counts(plans: list, rng: random.Random) -> None:
    """Batches fail in the middle, exclusions are released now and then, events come before the votes they are about."""
    models = rows.contestants(3)
    waiting: list[VoteEvent] = []
    for choice, ranked, categories, later in plans:
        a, b = rng.sample(models, 2)
        about = {"vote": rows.vote(a, b, choice), "contestant_a": a, "contestant_b": b, "choice": choice}
        waiting.append(VoteEvent(ranked=ranked, categories=categories, probability=rng.uniform(0.01, 1), **about))
        waiting += [VoteEvent(kind=kind, categories=["german"], **about) for kind in later]
    rng.shuffle(waiting)
    while waiting:
        VoteEvent.objects.bulk_create([waiting.pop() for _ in range(min(len(waiting), rng.randint(1, 4)))])
        if rng.random() < 0.3:
            crash()
        counts.absorb()
        if rng.random() < 0.3:
            sealing.release(clock.now(), 0, 0)
    sound()


def lock_what_is_withheld() -> None:
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE ranking_withheldentry IN EXCLUSIVE MODE")


def crash() -> None:
    """An absorb that is rolled back whole, as a killed one is."""
    with pytest.raises(RuntimeError), transaction.atomic():
        counts.absorb()
        raise RuntimeError


@pytest.mark.django_db(transaction=True)
def test_absorbers_side_by_side_with_late_commits_make_one_chain() -> None:
    models = rows.contestants(4)
    done = threading.Event()

    def write(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(8):
            with transaction.atomic():
                a, b = rng.sample(models, 2)
                event = rows.cast(a, b, rng.choice(["a", "b", "tie"]))
                if rng.random() < 0.4:
                    rows.follow(event, rng.choice(KINDS), categories=["code"])
                time.sleep(rng.uniform(0, 0.02))

    def absorb() -> None:
        while not done.is_set():
            counts.absorb()
            with transaction.atomic():
                counts.take_lock()
                sealing.release(clock.now(), 0, 0)

    def all_writers() -> None:
        threads(*(lambda seed=seed: write(seed) for seed in range(3)))
        done.set()

    threads(all_writers, absorb, absorb, absorb)
    counts.absorb()
    assert LogEntry.objects.filter(kind="vote").count() == 24
    assert list(LogEntry.objects.order_by("number").values_list("number", flat=True)) == list(
        range(1, LogEntry.objects.count() + 1)
    )
    sound()


@pytest.mark.django_db(transaction=True)
def test_an_absorber_that_is_killed_while_it_seals_leaves_neither_counts_nor_lines() -> None:
    a, b = rows.contestants(2)
    rows.cast(a, b, "a")
    counts.absorb()
    rows.follow(rows.cast(a, b, "b"), "flag")
    before = (LogEntry.objects.count(), sum(rows.stored("live").values()))
    kill_an_absorber(lock_what_is_withheld)  # counts and the public line are written by then
    assert (LogEntry.objects.count(), sum(rows.stored("live").values())) == before
    assert WithheldEntry.objects.count() == 0 and VoteEvent.objects.filter(absorbed=False).count() == 2
    assert counts.absorb() == 2
    assert PairCount.objects.filter(count__gt=0).count() == 1 and WithheldEntry.objects.count() == 1
    sound()
