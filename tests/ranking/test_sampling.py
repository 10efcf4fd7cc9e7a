"""The fit writes the rows, the draw follows them, and what a battle stores is the probability that it was drawn with."""

import random
from collections import Counter

import pytest

from arena import pairing
from arena.models import Battle, PairWeight, VoteEvent
from ranking import counts, sampling
from ranking.estimators import active_sampling
from ranking.fits import fitting
from ranking.votelog import publication
from tests import factories
from tests.ranking import rows

pytestmark = pytest.mark.django_db


def test_without_a_live_vote_there_are_no_rows() -> None:
    a, b, *_ = factories.ring(3)
    rows.ballot(a, b, 5, 5, origin="demo")
    rows.ballot(a, b, 5, 5, origin="import:x")
    fitting.refit()
    assert not PairWeight.objects.exists()
    assert pairing.draw(random.Random(1)).sampler == pairing.UNIFORM


def test_draws_follow_the_rows_of_a_real_fit() -> None:
    ring = sorted(factories.ring(4), key=lambda c: c.id)
    rows.ballot(ring[0], ring[1], 120, 80)
    rows.ballot(ring[0], ring[2], 9, 5, 2)
    rows.ballot(ring[1], ring[3], 1)
    fitting.refit()
    weights = PairWeight.objects.order_by("first_id", "second_id").values_list("weight", flat=True)
    assert len(weights) == 6 and set(PairWeight.objects.values_list("sampler", flat=True)) == {"eq9-1"}
    expected = active_sampling.probabilities(_array(list(weights)), 0.1)
    rng, seen, stated = random.Random(3), Counter(), {}
    for _ in range(600):
        draw = pairing.draw(rng)
        pair = tuple(sorted((draw.a.contestant_id, draw.b.contestant_id)))
        seen[pair] += 1
        stated[pair] = draw.probability
    order = [(a.id, b.id) for i, a in enumerate(ring) for b in ring[i + 1 :]]
    assert [stated[pair] for pair in order] == pytest.approx(expected.tolist())
    assert sum(stated.values()) == pytest.approx(1)
    assert [seen[pair] / 600 for pair in order] == pytest.approx(expected.tolist(), abs=0.06)
    assert stated[order[0]] < stated[order[1]] < stated[order[2]]  # 200 battles, 16, none


def test_a_battle_and_its_vote_keep_the_probability() -> None:
    ring = sorted(factories.ring(3), key=lambda c: c.id)
    rows.ballot(ring[0], ring[1], 30, 10)
    fitting.refit()
    battle = Battle.objects.get(pk=factories.ready().pk)
    weights, sampler = pairing.pair_weights(pairing.in_the_ring())
    drawn = sorted((battle.revision_a.contestant_id, battle.revision_b.contestant_id))
    place = tuple(sorted(c.id for c in ring).index(one) for one in drawn)
    assert (battle.probability, battle.sampler) == (pytest.approx(weights[place]), sampler)
    assert sampler == active_sampling.SAMPLER
    from arena import votes

    votes.cast_vote(battle.pk, "a", 1)
    assert VoteEvent.objects.get(vote__battle=battle).probability == battle.probability


def test_rows_follow_who_may_be_drawn() -> None:
    a, b, c = factories.ring(3)
    rows.ballot(a, b, 3, 3)
    fitting.refit()
    assert PairWeight.objects.count() == 3
    c.visibility = "retired"
    c.save()
    assert sampling.write_weights() == 1
    assert {*PairWeight.objects.values_list("first", "second").get()} == {a.id, b.id}
    newcomer = factories.contestant("Newcomer")
    weights, _ = pairing.pair_weights(pairing.in_the_ring())
    assert list(weights.values()) == pytest.approx([1 / 3] * 3), "until the next fit a newcomer weighs the mean"
    sampling.write_weights()
    weights, _ = pairing.pair_weights(pairing.in_the_ring())
    assert PairWeight.objects.filter(second=newcomer).count() == 2
    assert sum(weights.values()) == pytest.approx(1) and max(weights.values()) > 0.4  # never asked yet


def test_only_rows_that_change_are_written() -> None:
    ring = sorted(factories.ring(3), key=lambda c: c.id)
    rows.ballot(ring[0], ring[1], 4, 4)
    fitting.refit()
    before = dict(PairWeight.objects.values_list("pk", "updated_at"))
    rows.ballot(ring[0], ring[2], 1)
    fitting.refit()
    after = dict(PairWeight.objects.values_list("pk", "updated_at"))
    assert set(after) == set(before)
    assert [pk for pk in after if after[pk] != before[pk]] == [PairWeight.objects.get(first=ring[0], second=ring[2]).pk]


def test_a_vote_counts_once_whatever_categories_it_is_in() -> None:
    first, second, third = sorted(factories.ring(3), key=lambda c: c.id)
    rows.cast(first, second, "a", categories=["code", "en"])
    rows.cast(first, third, "a")
    counts.absorb()
    sampling.write_weights()
    with_categories, without, _never = PairWeight.objects.order_by("first", "second").values_list("weight", flat=True)
    assert with_categories == without


def test_the_rows_go_when_the_last_vote_has_gone_for_everybody(settings: object) -> None:
    a, b = factories.ring(2)
    cast = rows.cast(a, b, "a")
    fitting.refit()
    assert PairWeight.objects.count() == 1
    rows.follow(cast, "void")
    fitting.refit()
    assert PairWeight.objects.count() == 1, "the exclusion is not public yet, and the draw does not tell of it"
    settings.LOG_DELAY_S = settings.LOG_BATCH_S = 0  # type: ignore[attr-defined]
    publication.publish(at_once=True)
    fitting.refit()
    assert not PairWeight.objects.exists()


def test_the_weight_is_that_of_all_public_votes_each_once() -> None:
    low, high = sorted(factories.ring(2), key=lambda c: c.id)
    rows.ballot(low, high, 6, 1)
    excluded = [rows.cast(low, high, "a", categories=["code"]) for _ in range(2)]
    fitting.refit()
    variance = 8.5 / 10 - (8.5 / 10) ** 2  # 8 wins of 9 votes, and a virtual battle that was half won
    expected = (variance / 10) ** 0.5 - (variance / 11) ** 0.5
    assert PairWeight.objects.get().weight == pytest.approx(expected)
    for one in excluded:
        rows.follow(one, "flag")
    fitting.refit()
    assert PairWeight.objects.get().weight == pytest.approx(expected), "exclusions that are not public change nothing"


def _array(values: list[float]):
    import numpy

    return numpy.array(values)
