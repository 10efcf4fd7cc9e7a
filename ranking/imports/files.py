"""Records of a file with the line that each begins on: CSV, TSV, JSON lines, a JSON array (all of them also .gz), Parquet.

Nothing is held but the record at hand, so a file may be larger than memory. A record that cannot be read is handed on as a
Problem where the next one can still be found; where it cannot, BadFile is raised.
"""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from ranking.imports import json_text
from ranking.imports.json_text import CHUNK, LONGEST
from ranking.imports.row import BadFile, Found, Problem

if TYPE_CHECKING:
    import pyarrow

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


def _bytes(path: Path) -> io.BufferedReader:
    return cast(io.BufferedReader, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _unreadable(path: Path) -> int:
    """The first line that is no UTF-8 text, or that a cut or damaged .gz does not hold as a whole; 0 where it holds none.

    In pieces: a line may be longer than memory.
    """
    decoder, lines, piece = codecs.getincrementaldecoder("utf-8")(), 0, b""
    with _bytes(path) as raw:
        try:
            while piece := raw.read1(CHUNK):
                decoder.decode(piece)
                lines += piece.count(b"\n")
        except UnicodeDecodeError as error:
            return lines + error.object[: error.start].count(b"\n") + 1
        except BROKEN_GZIP:
            return lines + 1 if piece else 0
    return lines


def _lines(stream: TextIO) -> Iterator[str]:
    """As the file has them, none of them longer than LONGEST."""
    for number, line in enumerate(iter(lambda: stream.readline(LONGEST), ""), 1):
        if len(line) >= LONGEST:
            raise BadFile([Problem(number, f"the line has more than {LONGEST} characters")])
        yield line


def _table(stream: TextIO, delimiter: str) -> Iterator[Found]:
    """Quoted fields may hold line ends, so a record's line is the one after the last record's end."""
    csv.field_size_limit(LONGEST)
    reader = csv.reader(_lines(stream), delimiter=delimiter, strict=True)
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
            names = _header(list(file.schema_arrow.names), 0)
            there, begun = [name for name in names if name in set(columns)], 1
            for batch in file.iter_batches(batch_size=AT_ONCE, columns=there):
                yield from _found(batch, begun)
                begun += batch.num_rows
    except pyarrow.ArrowException as error:
        raise BadFile([Problem(0, f"not readable as Parquet: {error}")]) from error


def _found(batch: "pyarrow.RecordBatch", begun: int) -> Iterator[Found]:
    """Rows with their numbers. What Python cannot hold (text that is not UTF-8, the year 300000) is the problem of its row."""
    import pyarrow

    for place, field in enumerate(batch.schema):
        if pyarrow.types.is_timestamp(field.type) and field.type.unit == "ns":  # which only pandas has an object for
            coarse = batch.column(place).cast(pyarrow.timestamp("us", field.type.tz), safe=False)
            batch = batch.set_column(place, field.name, coarse)
    try:
        yield from enumerate(batch.to_pylist(), begun)
        return
    except (ValueError, OverflowError):
        pass  # which row is it?
    for row in range(batch.num_rows):
        try:
            yield begun + row, batch.slice(row, 1).to_pylist()[0]
        except (ValueError, OverflowError) as error:
            yield begun + row, Problem(begun + row, f"not readable: {error}")
