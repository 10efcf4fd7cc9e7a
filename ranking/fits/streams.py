"""Counted votes one by one, as columns of numbers: for what counts cannot answer (style, periods, judges of a category).

A vote counts under the same rule as in `contributions.counted`, said in SQL; a test compares the two. The votes come in the
order of their casts. Call under the counts' lock to see the votes that the counts hold.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ranking.counting.cells import JudgeChanges
from ranking.fits import columns
from ranking.fits.boards import Key

if TYPE_CHECKING:
    import numpy as np

FEATURES = ("length", "headers", "lists", "bold")
VOTE = (("a", "i4"), ("b", "i4"), ("outcome", "i4"), ("judge", "i8"), ("moment", "i8"))
STYLE = tuple((f"{name}_{side}", "i4") for side in "ab" for name in FEATURES)

VALUES = {
    "a": "model_a.place - 1",
    "b": "model_b.place - 1",
    "outcome": "CASE event.choice WHEN 'a' THEN 0 WHEN 'b' THEN 1 WHEN 'tie' THEN 2 ELSE 3 END",
    "moment": "extract(epoch FROM event.created_at)",
    # Unknown: -1. Two of a million known judges share a code with a probability below 1e-7.
    "judge": "CASE event.judge WHEN '' THEN -1 ELSE hashtextextended(event.judge, 0) & 4611686018427387903 END",
    **{name: f"style.{name}" for name, _kind in STYLE},
}
STYLED = "JOIN ranking_votestyle AS style ON style.event_id = event.id"
COUNTED = """
WITH model AS (SELECT id, place FROM unnest(%(models)s::uuid[]) WITH ORDINALITY AS known (id, place)),
later AS (
  SELECT vote_id, bool_or(kind = 'void') AS void,
    (array_agg(kind ORDER BY created_at DESC, id DESC) FILTER (WHERE kind IN ('flag', 'unflag')))[1] AS flag,
    (array_agg(to_jsonb(categories) ORDER BY created_at DESC, id DESC) FILTER (WHERE kind = 'recategorise'))[1] AS categories
  FROM arena_voteevent
  WHERE origin = %(origin)s AND kind <> 'cast' AND absorbed AND vote_id IS NOT NULL AND id <> ALL (%(hidden)s::uuid[])
  GROUP BY vote_id)
SELECT {selected} FROM arena_voteevent AS event
JOIN model AS model_a ON model_a.id = event.contestant_a_id
JOIN model AS model_b ON model_b.id = event.contestant_b_id
LEFT JOIN later ON later.vote_id = event.vote_id {joined}
WHERE event.origin = %(origin)s AND event.kind = 'cast' AND event.absorbed AND event.ranked
  AND later.void IS NOT TRUE AND later.flag IS DISTINCT FROM 'flag'
  AND (%(category)s = '' OR coalesce(later.categories, to_jsonb(event.categories)) ? %(category)s)
ORDER BY event.created_at {newest}, event.id {newest} LIMIT %(most)s
"""
JUDGED = """
SELECT {selected} FROM {counts} AS event
JOIN unnest(%(models)s::uuid[]) WITH ORDINALITY AS model_a (id, place) ON model_a.id = event.first_id
JOIN unnest(%(models)s::uuid[]) WITH ORDINALITY AS model_b (id, place) ON model_b.id = event.second_id
WHERE event.count > 0 ORDER BY judge, a, b, outcome
"""
COUNTS = "(SELECT * FROM ranking_judgecount WHERE origin = %(origin)s)"
CHANGED = """
(SELECT judge, first_id, second_id, outcome, sum(count) AS count FROM (
  SELECT judge, first_id, second_id, outcome, count FROM ranking_judgecount WHERE origin = %(origin)s
  UNION ALL SELECT * FROM unnest(%(judge)s::text[], %(first)s::uuid[], %(second)s::uuid[], %(ending)s::text[], %(more)s::bigint[])
) AS part GROUP BY 1, 2, 3, 4)
"""
JUDGE_COUNT = (*VOTE[:4], ("count", "i8"))
JUDGE_VALUES = VALUES | {
    "outcome": "CASE event.outcome WHEN 'first' THEN 0 WHEN 'second' THEN 1 WHEN 'tie' THEN 2 ELSE 3 END",
    "count": "event.count",
}


def votes(key: Key, models: Sequence[str], hidden: Sequence[UUID] = ()) -> "dict[str, np.ndarray]":
    """Counted votes of a board between `models` (contestant ids, whose positions stand for them), as (N,) columns.

    a, b: positions; outcome: an Outcome seen from A; judge: a code, -1 unknown; moment: seconds since 1970.
    `hidden`: events after the cast that are taken as not there.
    """
    return columns.arrays(_query("", VOTE), _asked(key, models, hidden), VOTE)


def styled(key: Key, models: Sequence[str], most: int, hidden: Sequence[UUID] = ()) -> Iterator[Any]:
    """The newest `most` counted votes that have style counts, newest first: records with the fields of VOTE and STYLE."""
    query = _query(STYLED, VOTE + STYLE, newest="DESC")
    return columns.records(query, _asked(key, models, hidden) | {"most": most}, VOTE + STYLE)


def judges(origin: str, models: Sequence[str], changes: JudgeChanges | None = None) -> "dict[str, np.ndarray]":
    """The counts per judge of an origin: a, b (first and second), outcome seen from first, judge and count.

    `changes` are added: those of exclusions that are not public. In an order that equal counts have, however they came about.
    """
    asked: dict[str, Any] = {"models": list(models), "origin": origin}
    if changes:
        parts = zip(*((*key[1:], change) for key, change in changes.items()), strict=True)
        asked |= dict(zip(("judge", "first", "second", "ending", "more"), map(list, parts), strict=True))
    selected = columns.selected(JUDGE_COUNT, JUDGE_VALUES)
    return columns.arrays(JUDGED.format(selected=selected, counts=CHANGED if changes else COUNTS), asked, JUDGE_COUNT)


def _query(joined: str, fields: columns.Fields, newest: str = "") -> str:
    return COUNTED.format(selected=columns.selected(fields, VALUES), joined=joined, newest=newest)


def _asked(key: Key, models: Sequence[str], hidden: Sequence[UUID]) -> dict[str, Any]:
    asked = {"models": list(models), "origin": key.origin, "category": key.category, "hidden": list(hidden)}
    return asked | {"most": None}
