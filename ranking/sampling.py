"""The fit's word to the draw: PairWeight rows for every pair that may meet (Chatbot Arena, equation 9).

`arena/pairing.py` draws from them, adds the floor and stores each battle's probability.
"""

from collections import Counter
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from arena import clock
from arena.models import Contestant, PairWeight
from arena.models.battles import Origin
from ranking import counts
from ranking.models import PairCount
from ranking.votelog import exclusions


def write_weights() -> int:
    """Bring the rows in line with the live counts and the contestants that may be drawn now; returns how many there are.

    Without a live vote there are none, and every pair weighs the same.
    """
    ids = sorted(Contestant.objects.drawable().values_list("pk", flat=True))
    rows = _rows(ids)
    with transaction.atomic():
        gone = PairWeight.objects.all() if not rows else PairWeight.objects.exclude(Q(first__in=ids, second__in=ids))
        gone.delete()
        stored = {(row.first_id, row.second_id): (row.weight, row.sampler) for row in PairWeight.objects.all()}
        changed = [row for row in rows if stored.get((row.first_id, row.second_id)) != (row.weight, row.sampler)]
        PairWeight.objects.bulk_create(  # a vote changes the weight of its own pair alone
            changed,
            batch_size=2000,
            update_conflicts=True,
            unique_fields=["first", "second"],
            update_fields=["weight", "sampler", "updated_at"],
        )
    return len(rows)


def _rows(ids: list[UUID]) -> list[PairWeight]:
    cells = _public_cells(ids)
    if not cells:
        return []
    from ranking.estimators import active_sampling  # numpy: in the fit alone
    from ranking.estimators.tally import Cell, Tally

    names = [str(one) for one in ids]
    pairs = Tally.of_cells([Cell(str(a), str(b), outcome, n) for (a, b, outcome), n in cells.items()], names).pairs()
    first, second = active_sampling.every_pair(len(ids))
    moment = clock.now()
    return [
        PairWeight(first_id=ids[i], second_id=ids[j], weight=w, sampler=active_sampling.SAMPLER, updated_at=moment)
        for i, j, w in zip(first.tolist(), second.tolist(), active_sampling.weights(pairs).tolist(), strict=True)
    ]


@transaction.atomic
def _public_cells(ids: list[UUID]) -> Counter[tuple[UUID, UUID, str]]:
    """As the public log stands: the weights show in every vote's probability, which the log tells, and from weights of all
    counts one could tell which votes were excluded."""
    counts.take_lock()
    counted = PairCount.objects.filter(origin=Origin.LIVE, category="", count__gt=0, first__in=ids, second__in=ids)
    found: Counter[tuple[UUID, UUID, str]] = Counter()
    for first, second, outcome, number in counted.values_list("first_id", "second_id", "outcome", "count"):
        found[first, second, outcome] += number
    for (_, category, first, second, _, outcome), change in exclusions.hidden(Origin.LIVE).pairs.items():
        if category == "" and {first, second} <= set(ids):
            found[first, second, outcome] += int(change[0])
    return +found
