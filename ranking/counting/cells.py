"""Adding changes to the counts: one INSERT ... ON CONFLICT DO UPDATE per table and batch. Only the holder of the lock may.

The statement proposes a cell's new total, not its change: PostgreSQL holds the CHECK (count >= 0) against the proposed row, so a
bare negative change would be refused although its cell is large enough. The old total is read in the same statement, which is
safe because `counts.take_lock` leaves one writer. A count that would become negative is refused, and the batch with it. At
count 0 the sums of 1/P become exactly 0, so that no rounding is left behind.
"""

from collections.abc import Mapping
from uuid import UUID

from django.db import connection

# origin, category, first, second, first_was_a, outcome
PairKey = tuple[str, str, UUID, UUID, bool, str]
# origin, judge, first, second, outcome
JudgeKey = tuple[str, str, UUID, UUID, str]
PairChanges = dict[PairKey, list[float]]  # count, sum 1/P, sum 1/P^2
JudgeChanges = dict[JudgeKey, int]

PAIRS = """
INSERT INTO ranking_paircount
  (id, origin, category, first_id, second_id, first_was_a, outcome, count, inverse_p, inverse_p2)
SELECT gen_random_uuid(), origin, category, first_id, second_id, first_was_a, outcome, total,
  CASE WHEN total = 0 THEN 0 ELSE coalesce(cell.inverse_p, 0) + more.inverse_p END,
  CASE WHEN total = 0 THEN 0 ELSE coalesce(cell.inverse_p2, 0) + more.inverse_p2 END
FROM unnest(%s::text[], %s::text[], %s::uuid[], %s::uuid[], %s::boolean[], %s::text[], %s::bigint[], %s::float8[], %s::float8[])
  AS more (origin, category, first_id, second_id, first_was_a, outcome, count, inverse_p, inverse_p2)
LEFT JOIN ranking_paircount AS cell USING (origin, category, first_id, second_id, first_was_a, outcome)
CROSS JOIN LATERAL (SELECT coalesce(cell.count, 0) + more.count AS total) AS sums
ORDER BY origin, category, first_id, second_id, first_was_a, outcome
ON CONFLICT (origin, category, first_id, second_id, first_was_a, outcome) DO UPDATE
SET count = EXCLUDED.count, inverse_p = EXCLUDED.inverse_p, inverse_p2 = EXCLUDED.inverse_p2
"""
JUDGES = """
INSERT INTO ranking_judgecount (id, origin, judge, first_id, second_id, outcome, count)
SELECT gen_random_uuid(), origin, judge, first_id, second_id, outcome, coalesce(cell.count, 0) + more.count
FROM unnest(%s::text[], %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::bigint[])
  AS more (origin, judge, first_id, second_id, outcome, count)
LEFT JOIN ranking_judgecount AS cell USING (origin, judge, first_id, second_id, outcome)
ORDER BY origin, judge, first_id, second_id, outcome
ON CONFLICT (origin, judge, first_id, second_id, outcome) DO UPDATE SET count = EXCLUDED.count
"""


def add_pairs(changes: Mapping[PairKey, list[float]]) -> None:
    _add(PAIRS, [(*key, *change) for key, change in changes.items() if any(change)])


def add_judges(changes: Mapping[JudgeKey, int]) -> None:
    _add(JUDGES, [(*key, change) for key, change in changes.items() if change])


def _add(statement: str, rows: list[tuple[object, ...]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])
