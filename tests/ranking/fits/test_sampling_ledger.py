"""The ledger of draws: carried totals equal one count of everything; a sampler that does what it means is within chance."""

import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena import clock, pairing
from arena.models import Battle, Contestant, PairWeight
from ranking.fits import fitting, sampling_ledger
from ranking.models import BoardSnapshot
from tests import factories
from tests.ranking import rows


def fought(a: Contestant, b: Contestant, ago_s: float, p: float = 0.5, sampler: str = "s1", **fields: object) -> Battle:
    battle = rows.vote(a, b, "a").battle
    moment = clock.now() - timedelta(seconds=ago_s)
    Battle.objects.filter(pk=battle.pk).update(created_at=moment, probability=p, sampler=sampler, **fields)
    return battle


@pytest.mark.django_db
def test_totals_name_battles_probabilities_and_samplers() -> None:
    a, b, c = rows.contestants(3)
    fought(a, b, 4000, 0.5)
    fought(c, a, 3000, 0.25)
    fought(b, a, 2000, 0.1, sampler="s2")
    fought(a, b, 5)  # not yet: a battle may be committed a little after its own time
    fought(a, b, 3000, origin="demo")
    ledger = sampling_ledger.account("live", None)
    assert ledger and ledger["total"]["battles"] == 3
    assert (ledger["total"]["least_p"], ledger["total"]["most_p"]) == (0.1, 0.5)
    assert {key: row["battles"] for key, row in ledger["models"].items()} == {str(a.pk): 3, str(b.pk): 2, str(c.pk): 1}
    assert {name: row["battles"] for name, row in ledger["samplers"].items()} == {"s1": 2, "s2": 1}
    assert sampling_ledger.effective(ledger["total"]) == pytest.approx((2 + 4 + 10) ** 2 / (4 + 16 + 100))
    assert ledger["total"]["watched"] == 0


@pytest.mark.django_db
def test_imports_have_no_ledger_and_nobody_has_no_effective_size() -> None:
    assert sampling_ledger.account("import:x", None) is None
    empty = sampling_ledger.account("live", None)
    assert empty and empty["models"] == {} and sampling_ledger.effective(empty["total"]) is None


@pytest.mark.django_db
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.1, 0.3]), st.integers(100, 9000)), max_size=6))
def test_carried_totals_are_those_of_one_count(draws: list[tuple[int, float, int]]) -> None:
    a, b, c = rows.contestants(3)
    Battle.objects.update(origin="gone")  # what earlier examples left
    for pair, p, ago in draws:
        fought(*((a, b), (b, c), (c, a))[pair], ago_s=ago, p=p)
    whole = sampling_ledger.account("live", None)
    half = {"until": (clock.now() - timedelta(seconds=4000)).isoformat()}
    Battle.objects.filter(origin="live", created_at__gt=half["until"]).update(origin="later")
    early = sampling_ledger.account("live", None)
    Battle.objects.filter(origin="later").update(origin="live")
    carried = sampling_ledger.account("live", early | half)  # type: ignore[operator]
    assert carried and whole
    assert _sums(carried["total"]) == pytest.approx(_sums(whole["total"]))
    for key, row in whole["models"].items():
        assert _sums(carried["models"][key]) == pytest.approx(_sums(row))


def _sums(row: dict) -> dict:
    return {name: row.get(name, 0) for name in (*sampling_ledger.SUMS, "least_p", "most_p")}


@pytest.mark.django_db
def test_a_model_that_is_drawn_as_often_as_meant_is_within_chance_and_another_is_not() -> None:
    ring = sorted(factories.ring(4), key=lambda one: one.pk)
    PairWeight.objects.create(first=ring[0], second=ring[1], weight=5.0, sampler="weighted-1")
    start = sampling_ledger.account("live", None)
    assert start
    start["until"] = (clock.now() - timedelta(hours=2)).isoformat()
    rng, revisions = random.Random(7), pairing.in_the_ring()
    weights, sampler = pairing.pair_weights(revisions)
    for _ in range(60):
        draw = pairing.choose(rng, revisions, weights, sampler)
        fought(draw.a.contestant, draw.b.contestant, 3000, draw.probability, draw.sampler)
    ledger = sampling_ledger.account("live", start)
    assert ledger and sum(row["intended"] for row in ledger["models"].values()) == pytest.approx(120)
    assert all(abs(_z(ledger["models"][str(one.pk)])) < 3 for one in ring)
    for _ in range(60):
        fought(ring[2], ring[3], 2000)
    skewed = sampling_ledger.account("live", start)
    assert skewed and _z(skewed["models"][str(ring[2].pk)]) > 4 and _z(skewed["models"][str(ring[0].pk)]) < -4


def _z(row: dict) -> float:
    return float((row["watched"] - row["intended"]) / row["variance"] ** 0.5)


@pytest.mark.django_db
def test_boards_carry_the_ledger_on_and_it_stands_still_between_boards() -> None:
    a, b = rows.contestants(2)
    rows.ballot(a, b, wins=3, losses=3)
    fought(a, b, 4000)
    fitting.refit()
    first = BoardSnapshot.objects.get().board["sampling"]
    assert first["total"]["battles"] == 1
    Battle.objects.all().update(created_at=clock.now() - timedelta(days=2))  # as if deleted: it is counted already
    rows.ballot(a, b, wins=1)
    fitting.refit()
    second = BoardSnapshot.objects.latest("fitted_at").board["sampling"]
    assert second["total"]["battles"] == 1 and second["until"] > first["until"]
