"""The counted votes of an origin with the style of both answers, streamed: what the fit of style control reads once.

They come by COPY in binary: every column is a number of fixed width, so a chunk of rows is a view of the bytes, and neither
side holds more than a chunk. Models are numbered by the caller's order and judges by a hash, both in the database.
"""

from collections.abc import Collection, Iterator, Sequence
from uuid import UUID

import numpy as np
from django.db import connection

from ranking.estimators.style_rows import FEATURES, Chunk, contrast
from ranking.estimators.tally import NAMES

CHUNK = 1 << 15  # rows
SIGNATURE, HEAD, END = (
    b"PGCOPY\n\xff\r\n\0",
    19,
    b"\xff\xff",
)  # how binary COPY begins (with flags and a length), and ends
_NAMES = tuple(f"{name}_{side}" for name in FEATURES for side in ("a", "b"))
_COLUMNS = (("a", ">i4"), ("b", ">i4"), ("outcome", ">i4"), ("judge", ">i8"), *((name, ">i4") for name in _NAMES))
# A row: how many columns there are, then each column behind its length.
_ROW = np.dtype(
    [("columns", ">i2"), *(part for name, kind in _COLUMNS for part in ((f"{name}_bytes", ">i4"), (name, kind)))]
)

STATEMENT = f"""
COPY (
  WITH later AS (
    SELECT vote_id, bool_or(kind = 'void') AS void,
      (array_agg(kind ORDER BY created_at DESC, id DESC) FILTER (WHERE kind IN ('flag', 'unflag')))[1] AS flag,
      (array_agg(categories::text ORDER BY created_at DESC, id DESC) FILTER (WHERE kind = 'recategorise'))[1]::text[]
        AS categories
    FROM arena_voteevent
    WHERE origin = %(origin)s AND absorbed AND kind <> 'cast' AND vote_id IS NOT NULL
    GROUP BY vote_id
  )
  SELECT a.place::int4, b.place::int4,
    CASE choice WHEN 'a' THEN {NAMES["first"]:d} WHEN 'b' THEN {NAMES["second"]:d} WHEN 'tie' THEN {NAMES["tie"]:d}
      ELSE {NAMES["both_bad"]:d} END::int4,
    CASE WHEN judge = '' THEN -1 ELSE hashtextextended(judge, 0) & 9223372036854775807 END::int8,
    {", ".join(f"style.{name}::int4" for name in _NAMES)}
  FROM arena_voteevent AS vote
  JOIN ranking_votestyle AS style ON style.event_id = vote.id
  JOIN unnest(%(models)s::uuid[]) WITH ORDINALITY AS one (id, number) ON one.id = vote.contestant_a_id
  CROSS JOIN LATERAL (SELECT one.number - 1 AS place) AS a
  JOIN unnest(%(models)s::uuid[]) WITH ORDINALITY AS other (id, number) ON other.id = vote.contestant_b_id
  CROSS JOIN LATERAL (SELECT other.number - 1 AS place) AS b
  LEFT JOIN later ON later.vote_id = vote.vote_id
  WHERE vote.origin = %(origin)s AND vote.kind = 'cast' AND vote.ranked AND vote.absorbed
    AND (vote.id = ANY(%(also)s::uuid[]) OR NOT coalesce(later.void, false) AND coalesce(later.flag, '') <> 'flag')
    AND NOT vote.id = ANY(%(without)s::uuid[])
    AND (%(category)s::text = '' OR %(category)s::text = ANY(coalesce(later.categories, vote.categories::text[])))
) TO STDOUT (FORMAT BINARY)
"""  # noqa: S608 (the names are this module's)


def chunks(
    origin: str,
    models: Sequence[UUID],
    category: str = "",
    also: Collection[UUID] = (),
    without: Collection[UUID] = (),
) -> Iterator[Chunk]:
    """Votes among `models` (positions in this order), covariates in the order of style_rows.FEATURES, ready for `gather`.

    Votes without a style row are left out. `also`, `without`: ids of cast events that count, or do not, whatever later events
    say (exclusions that are not public yet). In no order; read it to its end, or the connection stays busy.
    """
    values = {
        "origin": origin,
        "models": list(models),
        "category": category,
        "also": list(also),
        "without": list(without),
    }
    held, begun, size = bytearray(), False, CHUNK * _ROW.itemsize
    with connection.cursor() as cursor, cursor.copy(STATEMENT, values) as copy:
        for block in copy:
            held += block
            if not begun and len(held) >= HEAD:
                _check(held.startswith(SIGNATURE))
                del held[: HEAD + int.from_bytes(held[HEAD - 4 : HEAD])]
                begun = True
            while len(held) >= size + len(END):
                yield _chunk(bytes(held[:size]))
                del held[:size]
    _check(begun and held.endswith(END))
    if rest := bytes(held[: -len(END)]):
        yield _chunk(rest)


def _chunk(read: bytes) -> Chunk:
    _check(len(read) % _ROW.itemsize == 0)
    rows = np.frombuffer(read, _ROW)
    _check(bool((rows["columns"] == len(_COLUMNS)).all()))
    covariates = [contrast(rows[f"{name}_a"], rows[f"{name}_b"]) for name in FEATURES]
    judge = rows["judge"].astype(np.int64)
    return Chunk(rows["a"], rows["b"], rows["outcome"], np.column_stack(covariates), judge)


def _check(right: bool) -> None:
    if not right:
        raise ValueError("PostgreSQL's binary COPY is not as expected")
