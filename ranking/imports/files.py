"""Records of a file with the line that each begins on: CSV, TSV, JSON lines, a JSON array (all of them also .gz), Parquet.

Nothing is held but the record at hand, so a file may be larger than memory. A record that cannot be read is handed on as a
Problem where the next one can still be found; where it cannot, BadFile is raised.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from ranking.imports import json_text
from ranking.imports.json_text import LONGEST
from ranking.imports.row import BadFile, Found, Problem

BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)
AT_ONCE = 2000  # rows of a Parquet file in memory
KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "lines", ".ndjson": "lines", ".json": "json", ".parquet": "parquet"}


def records(path: Path, columns: Sequence[str]) -> Iterator[Found]:
    """Line and record, or line and what is wrong with it. `columns`: those that anybody asks for (Parquet reads no other).

    Raises BadFile for a kind of file that is not known and for what makes the rest unreadable; OSError as open() does.
    """
    kind = KINDS.get(Path(path.name.removesuffix(".gz")).suffix.lower())
    if kind is None or (kind == "parquet" and path.suffix != ".parquet"):
        raise BadFile(
            [Problem(0, f"{path.name}: expected a name that ends in {', '.join(KINDS)} (text also with .gz)")]
        )
    if kind == "parquet":
        yield from _parquet(path, columns)
        return
    with _text(path) as stream:
        try:
            if kind in ("csv", "tsv"):
                yield from _table(stream, "\t" if kind == "tsv" else ",")
            else:
                yield from (json_text.either(stream) if kind == "json" else json_text.lines(stream))
        except UnicodeDecodeError as error:
            raise BadFile([Problem(_unreadable(path), f"the file is not UTF-8 text: {error.reason}")]) from error
        except BROKEN_GZIP as error:
            raise BadFile([Problem(_unreadable(path), f"the file is cut off or no gzip: {error}")]) from error


def _text(path: Path) -> TextIO:
    return io.TextIOWrapper(_bytes(path), encoding="utf-8-sig", newline="")


def _bytes(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _unreadable(path: Path) -> int:
    """The first line that is no UTF-8 text, or that a cut or damaged .gz does not hold as a whole; 0 where it holds none."""
    line = 0
    with _bytes(path) as raw:
        try:
            for line, text in enumerate(raw, 1):  # noqa: B007 (asked for after the loop)
                text.decode()
        except UnicodeDecodeError:
            return line
        except BROKEN_GZIP:
            return line + 1 if line else 0
    return line


def _table(stream: TextIO, delimiter: str) -> Iterator[Found]:
    """Quoted fields may hold line ends, so a record's line is the one after the last record's end."""
    csv.field_size_limit(LONGEST)
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    names: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise BadFile([Problem(line, f"not readable as a table: {error}")]) from error
        if fields is None:
            return
        if not fields:
            continue  # an empty line, also before the header
        if names is None:
            names = _header([name.strip() for name in fields], line)
        elif len(fields) != len(names):
            yield line, Problem(line, f"{len(fields)} fields where the header has {len(names)}")
        else:
            yield line, dict(zip(names, fields, strict=True))


def _header(names: list[str], line: int) -> list[str]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadFile([Problem(line, f"the column {twice[0]!r} stands twice in the header")])
    return names


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Found]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            there = [name for name in file.schema_arrow.names if name in set(columns)]
            batches = file.iter_batches(batch_size=AT_ONCE, columns=there)
            yield from enumerate(chain.from_iterable(batch.to_pylist() for batch in batches), 1)
    except pyarrow.ArrowException as error:
        raise BadFile([Problem(0, f"not readable as Parquet: {error}")]) from error
