"""Counts of a whole origin from its events, by the database alone: for imports, whose events come by the million.

One statement per table, not one per batch: nobody else writes to the origin's cells. What a vote adds is written a second time
here, in SQL; `ranking/counting/contributions.py` says it in Python, and a test holds the two together on random events.
"""

from django.db import connection

# The events that count, as first and second with first < second.
_COUNTED = """
FROM (
  SELECT *, contestant_a_id < contestant_b_id AS first_was_a,
    least(contestant_a_id, contestant_b_id) AS first_id, greatest(contestant_a_id, contestant_b_id) AS second_id,
    CASE WHEN choice NOT IN ('a', 'b') THEN choice
         WHEN (choice = 'a') = (contestant_a_id < contestant_b_id) THEN 'first' ELSE 'second' END AS outcome
  FROM arena_voteevent WHERE origin = %s AND kind = 'cast' AND ranked AND absorbed
) AS vote
"""
PAIRS = f"""
INSERT INTO ranking_paircount
  (id, origin, category, first_id, second_id, first_was_a, outcome, count, inverse_p, inverse_p2)
SELECT gen_random_uuid(), origin, category, first_id, second_id, first_was_a, outcome,
  count(*), sum(1 / probability), sum(1 / probability ^ 2)
{_COUNTED}
CROSS JOIN LATERAL (SELECT DISTINCT unnest(categories || ARRAY['']::varchar[]) AS category) AS inside
GROUP BY origin, category, first_id, second_id, first_was_a, outcome
"""
JUDGES = f"""
INSERT INTO ranking_judgecount (id, origin, judge, first_id, second_id, outcome, count)
SELECT gen_random_uuid(), origin, judge, first_id, second_id, outcome, count(*)
{_COUNTED}
GROUP BY origin, judge, first_id, second_id, outcome
"""


def tally(origin: str) -> None:
    """Count every absorbed cast event of an import, which has no cells yet and no later events about its votes.

    Inside the caller's transaction, under the counts' lock.
    """
    with connection.cursor() as cursor:
        cursor.execute(PAIRS, [origin])
        cursor.execute(JUDGES, [origin])
