"""Which two contestants meet: drawn from PairWeight rows, with the draw's probability stored per battle.

The fit job writes the rows (`ranking/sampling.py`: Chatbot Arena, equation 9); until it does, every pair weighs the same. A
contestant's own `sampling_weight` multiplies each of its pairs. A pair without a row (a newcomer's) weighs as much as the mean
row, so that new models are neither starved nor favoured before the next fit. Last comes the floor: a share SAMPLING_FLOOR of
all draws is uniform over the pairs, so that no weight can make a pair so rare that dividing by its probability goes astray.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from arena.errors import Refused
from arena.models import Contestant, ContestantRevision, PairWeight
from inference import spending
from inference.models import Deployment

UNIFORM = "uniform-1"
Weights = dict[tuple[int, int], float]  # by positions in a list of revisions


@dataclass(frozen=True, slots=True)
class Draw:
    """Two revisions in their places; `probability` is that of the unordered pair."""

    a: ContestantRevision
    b: ContestantRevision
    probability: float
    sampler: str


def in_the_ring(exclude: Collection[UUID] = ()) -> list[ContestantRevision]:
    """Current revisions that may be drawn now: visible, weighted, and served by a deployment that may be asked today."""
    serving = Deployment.objects.serving(spending.today()).filter(model=OuterRef("model"))
    plain, adapted = serving.filter(adapter__isnull=True), serving.filter(adapter=OuterRef("adapter"))
    revisions = ContestantRevision.objects.filter(
        Q(Exists(plain), adapter__isnull=True) | Q(Exists(adapted), adapter__isnull=False),
        current=True,
        contestant__in=Contestant.objects.drawable(),
    )
    return list(revisions.select_related("contestant").exclude(contestant_id__in=exclude).order_by("contestant_id"))


def pair_weights(revisions: list[ContestantRevision]) -> tuple[Weights, str]:
    """The probability of each pair of positions in `revisions` (ordered by contestant id), and the sampler that set it.

    They sum to one; none is below SAMPLING_FLOOR / number of pairs.
    """
    ids = [revision.contestant_id for revision in revisions]
    stored = PairWeight.objects.filter(first__in=ids, second__in=ids)
    rows, samplers = {}, {UNIFORM}
    for first_id, second_id, weight, name in stored.values_list("first_id", "second_id", "weight", "sampler"):
        rows[first_id, second_id] = weight
        samplers.add(name)
    default = sum(rows.values()) / len(rows) if rows else 1.0
    weights = {}
    for i, j in combinations(range(len(revisions)), 2):
        first, second = revisions[i].contestant, revisions[j].contestant
        weight = rows.get((first.id, second.id), default)
        weights[i, j] = weight * first.sampling_weight * second.sampling_weight
    return _with_floor(weights), max(samplers - {UNIFORM}, default=UNIFORM)


def _with_floor(weights: Weights) -> Weights:
    """Shares of the total, mixed with the uniform draw."""
    total, even = sum(weights.values()), settings.SAMPLING_FLOOR / max(1, len(weights))
    if not total:  # every row is 0: nothing to prefer
        return {pair: 1 / len(weights) for pair in weights}
    mixed = {pair: (1 - settings.SAMPLING_FLOOR) * weight / total + even for pair, weight in weights.items()}
    return {pair: probability for pair, probability in mixed.items() if probability > 0}


def choose(rng: random.Random, revisions: list[ContestantRevision], weights: Weights, sampler: str) -> Draw:
    """Draw one pair by weight and toss a coin for the sides."""
    pairs = list(weights)
    i, j = rng.choices(pairs, [weights[pair] for pair in pairs])[0]
    a, b = (revisions[i], revisions[j]) if rng.random() < 0.5 else (revisions[j], revisions[i])
    return Draw(a, b, weights[i, j] / sum(weights.values()), sampler)


def draw(rng: random.Random, exclude: Collection[UUID] = ()) -> Draw:
    """One pair, sides shuffled. Raises Refused when fewer than two contestants are in the ring."""
    revisions = in_the_ring(exclude)
    weights, sampler = pair_weights(revisions)
    if not weights:
        raise _nobody_left()
    return choose(rng, revisions, weights, sampler)


def _nobody_left() -> Refused:
    """Says so when it is for the money: then waiting helps, and until when is known."""
    if spending.over_cap():
        words = _("The models have answered for as much as this site spends in a day. Come back after midnight UTC.")
        return Refused(503, "spent", words)
    return Refused(503, "no_contestants", _("Fewer than two models are available right now. Please try again later."))
