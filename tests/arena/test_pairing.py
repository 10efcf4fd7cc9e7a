"""The draw: who may meet, how likely, and that the stored probability is the true one."""

import random
from collections import Counter
from typing import Any

import pytest

from arena import pairing
from arena.errors import Refused
from arena.models import ContestantRevision, PairWeight
from inference.models import Deployment
from tests import factories

pytestmark = pytest.mark.django_db


def draws(n: int) -> list[pairing.Draw]:
    rng = random.Random(7)
    revisions = pairing.in_the_ring()
    weights, sampler = pairing.pair_weights(revisions)
    return [pairing.choose(rng, revisions, weights, sampler) for _ in range(n)]


def pair_of(draw: pairing.Draw) -> frozenset[str]:
    return frozenset((draw.a.contestant.name, draw.b.contestant.name))


def test_uniform_until_ranking_writes_weights() -> None:
    factories.ring(4)
    seen = draws(600)
    assert [draw.probability for draw in seen] == pytest.approx([1 / 6] * 600)
    assert {draw.sampler for draw in seen} == {pairing.UNIFORM}
    counts = Counter(map(pair_of, seen))
    assert len(counts) == 6
    assert min(counts.values()) > 60  # expected 100, standard deviation 9


def test_sides_are_shuffled() -> None:
    first, _second = factories.ring(2)
    as_a = sum(draw.a.contestant_id == first.id for draw in draws(400))
    assert 140 < as_a < 260


def test_stored_probability_is_the_frequency_under_weights() -> None:
    contestants = sorted(factories.ring(3), key=lambda c: c.id)
    contestants[0].sampling_weight = 2.0
    contestants[0].save()
    PairWeight.objects.create(first=contestants[0], second=contestants[1], weight=3.0, sampler="eq9-1")
    seen = draws(2000)
    frequency = Counter(map(pair_of, seen))
    stated = {pair_of(draw): draw.probability for draw in seen}
    assert sum(stated.values()) == pytest.approx(1)
    # 0-1 has a row (3 x 2); 0-2 and 1-2 take the mean row (3 x 2, 3 x 1); a tenth of all draws is uniform
    expected = [0.9 * share + 0.1 / 3 for share in (3 / 15, 6 / 15, 6 / 15)]
    assert sorted(stated.values()) == pytest.approx(expected)
    for pair, probability in stated.items():
        assert frequency[pair] / 2000 == pytest.approx(probability, abs=0.05)
    assert {draw.sampler for draw in seen} == {"eq9-1"}


@pytest.mark.parametrize("fields", [{"visibility": "retired"}, {"sampling_weight": 0.0}, {"imported": True}])
def test_some_contestants_are_never_drawn(fields: dict[str, object]) -> None:
    factories.ring(2)
    factories.contestant("Outsider", **fields)
    assert all("Outsider" not in pair_of(draw) for draw in draws(50))


def test_a_contestant_without_an_enabled_deployment_is_not_drawn() -> None:
    factories.ring(2)
    factories.contestant("Offline", model="somewhere-else")
    assert any("Offline" in pair_of(draw) for draw in draws(50))
    Deployment.objects.filter(model="somewhere-else").update(enabled=False)
    assert all("Offline" not in pair_of(draw) for draw in draws(50))


def test_an_adapter_needs_a_deployment_of_its_own() -> None:
    factories.ring(2)
    pirate = factories.contestant("Pirate")
    adapter = factories.adapter("pirate", "stub-fast")
    pirate.revisions.all().delete()
    ContestantRevision.objects.create(contestant=pirate, number=2, model="stub-fast", adapter=adapter)
    assert all("Pirate" not in pair_of(draw) for draw in draws(50))
    Deployment.objects.create(model="stub-fast", adapter=adapter, endpoint=factories.endpoint(), upstream_name="pirate")
    assert any("Pirate" in pair_of(draw) for draw in draws(50))


def test_too_few_contestants_is_said_clearly() -> None:
    factories.ring(1)
    with pytest.raises(Refused) as refused:
        pairing.draw(random.Random(7))
    assert (refused.value.status, refused.value.code) == (503, "no_contestants")


def test_a_newcomer_without_a_row_is_drawn_at_the_mean_weight() -> None:
    first, second, _new = sorted(factories.ring(3), key=lambda c: c.id)
    PairWeight.objects.create(first=first, second=second, weight=10.0, sampler="eq9-1")
    assert [draw.probability for draw in draws(30)] == pytest.approx([1 / 3] * 30)


def test_a_pair_weighs_by_both_of_its_contestants(settings: Any) -> None:
    settings.SAMPLING_FLOOR = 0.0
    for one, weight in zip(sorted(factories.ring(3), key=lambda c: c.id), (2.0, 3.0, 5.0), strict=True):
        one.sampling_weight = weight
        one.save()
    weights, _sampler = pairing.pair_weights(pairing.in_the_ring())
    assert weights == pytest.approx({(0, 1): 6 / 31, (0, 2): 10 / 31, (1, 2): 15 / 31})


def test_rows_that_are_all_zero_prefer_nobody() -> None:
    first, second, third = sorted(factories.ring(3), key=lambda c: c.id)
    for pair in ((first, second), (first, third), (second, third)):
        PairWeight.objects.create(first=pair[0], second=pair[1], weight=0.0, sampler="eq9-1")
    assert [draw.probability for draw in draws(30)] == pytest.approx([1 / 3] * 30)


@pytest.mark.parametrize("floor", [0.0, 0.05, 1.0])
def test_no_weight_takes_a_pair_below_the_floor(floor: float, settings: Any) -> None:
    settings.SAMPLING_FLOOR = floor
    contestants = sorted(factories.ring(5), key=lambda c: c.id)
    contestants[0].sampling_weight, contestants[1].sampling_weight = 1e-9, 1e6
    for one in contestants[:2]:
        one.save()
    PairWeight.objects.create(first=contestants[2], second=contestants[3], weight=0.0, sampler="eq9-1")
    PairWeight.objects.create(first=contestants[3], second=contestants[4], weight=5.0, sampler="eq9-1")
    weights, _sampler = pairing.pair_weights(pairing.in_the_ring())
    assert sum(weights.values()) == pytest.approx(1)
    assert min(weights.values()) >= floor / 10 - 1e-12
    assert len(weights) == (9 if floor == 0 else 10)  # without a floor a weight of 0 means never
    if floor == 1:
        assert list(weights.values()) == pytest.approx([0.1] * 10)
