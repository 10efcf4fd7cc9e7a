"""Rows of a query as numpy records, through PostgreSQL's binary COPY: a million rows without a million Python objects.

Every selected value must be not null and of fixed width: "i4" (int4), "i8" (int8) or "f8" (float8). The fit alone calls this, and
numpy is loaded when it does.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db import connection

if TYPE_CHECKING:
    import numpy as np

HEADER = 19  # bytes before the first row
TRAILER = 2  # bytes after the last
ROWS = 1 << 16  # held as bytes at a time
SQL = {"i4": "int4", "i8": "int8", "f8": "float8"}

Fields = Sequence[tuple[str, str]]


def selected(fields: Fields, values: Mapping[str, str]) -> str:
    """The select list: each field's expression, cast to its type."""
    return ", ".join(f"({values[name]})::{SQL[kind]} AS {name}" for name, kind in fields)


def records(query: str, asked: Mapping[str, Any], fields: Fields) -> Iterator[Any]:
    """The rows in their order, as structured arrays of at most ROWS or so; the statement runs when the first is asked for."""
    import numpy as np

    layout = np.dtype([("fields", ">i2"), *(part for name, kind in fields for part in _value(name, kind))])
    for block in _blocks(query, asked, layout.itemsize):
        yield np.frombuffer(block, layout)


def arrays(query: str, asked: Mapping[str, Any], fields: Fields) -> "dict[str, np.ndarray]":
    """Whole columns in the machine's own byte order."""
    import numpy as np

    parts = [[rows[name].astype(kind) for name, kind in fields] for rows in records(query, asked, fields)]
    if not parts:
        return {name: np.empty(0, kind) for name, kind in fields}
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return {name: column for (name, _kind), column in zip(fields, columns, strict=True)}


def _value(name: str, kind: str) -> list[tuple[str, str]]:
    """A value comes after its length in bytes."""
    return [(f"{name} length", ">i4"), (name, f">{kind}")]


def _blocks(query: str, asked: Mapping[str, Any], size: int) -> Iterator[bytes]:
    """Whole rows of `size` bytes each, without header and trailer."""
    held, started = bytearray(), False
    with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)", asked) as stream:
        for data in stream:
            held += data
            if not started and len(held) >= HEADER:
                del held[:HEADER]
                started = True
            if len(held) >= ROWS * size + TRAILER:
                whole = (len(held) - TRAILER) // size * size
                yield bytes(held[:whole])
                del held[:whole]
    if len(held) > TRAILER:
        yield bytes(held[:-TRAILER])
