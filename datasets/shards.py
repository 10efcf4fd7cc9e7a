"""Writes the data files: the same rows, in the same order, as Parquet and as gzipped JSON lines, in shards of bounded size.

What is in memory is one row group, bounded by rows and by bytes. The files depend on the rows alone: no time, no machine.
"""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.conf import settings

from datasets.parquet import ParquetFile
from datasets.spill import Spilled

GZIP_LEVEL = 6


@dataclass
class Written:
    """What is in the files: rows per file, and the figures of the card."""

    conversations: int = 0
    messages: int = 0
    bytes: int = 0
    models: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    passed_by: Counter[str] = field(default_factory=Counter)
    rows: dict[str, int] = field(default_factory=dict)


class Shard:
    """Two files under temporary names, open until `close` or `abandon`."""

    def __init__(self, folder: Path, number: int) -> None:
        self.paths = [folder / "data" / f"{number}.part", folder / "jsonl" / f"{number}.part"]
        for path in self.paths:
            path.parent.mkdir(exist_ok=True)
        self.rows = self.bytes = 0
        self._group: list[dict[str, Any]] = []
        self._group_bytes = 0
        self._raw: IO[bytes] = self.paths[1].open("wb")
        self._lines = gzip.GzipFile(filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=self._raw, mtime=0)
        self._parquet = ParquetFile(self.paths[0])

    def add(self, line: bytes, row: dict[str, Any]) -> None:
        self._lines.write(line + b"\n")
        self._group.append(row)
        self._group_bytes += len(line)
        self.rows += 1
        if len(self._group) >= settings.RELEASE_GROUP_ROWS or self._group_bytes >= settings.RELEASE_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        self.bytes += self._parquet.write(self._group)
        self._group, self._group_bytes = [], 0

    def close(self) -> None:
        if self._group:
            self._flush()
        self._parquet.close()
        self._lines.close()
        self._raw.close()

    def abandon(self) -> None:
        """Let go of both files; what is in them no longer matters."""
        for file in (self._parquet, self._lines, self._raw):
            with suppress(Exception):
                file.close()


def write(folder: Path, spilled: Iterable[Spilled], told: Callable[[int], None]) -> Written:
    """Write all rows below `folder`; `told` is called with the number of rows so far. OSError when the disk has no room."""
    written = Written()
    shards: list[Shard] = []
    try:
        for one in spilled:
            if not shards or shards[-1].rows >= settings.RELEASE_SHARD_ROWS:
                for full in shards[-1:]:
                    full.close()
                shards.append(Shard(folder, len(shards)))
            row = json.loads(one.line)
            shards[-1].add(one.line, row)
            _count(written, row, one.passed_by)
            told(written.conversations)
        for last in shards[-1:]:
            last.close()
    except BaseException:
        for last in shards[-1:]:
            last.abandon()
        raise
    _name(folder, shards, written)
    return written


def _count(written: Written, row: dict[str, Any], passed_by: list[str]) -> None:
    written.conversations += 1
    written.messages += len(row["conversation"])
    written.models[row["model"]] += 1
    written.languages[row["language"]] += 1
    written.passed_by.update(passed_by)


def _name(folder: Path, shards: list[Shard], written: Written) -> None:
    """Final names, which tell how many shards there are."""
    written.bytes = sum(shard.bytes for shard in shards)
    for number, shard in enumerate(shards):
        stem = f"train-{number:05d}-of-{len(shards):05d}"
        for path, name in zip(shard.paths, (f"data/{stem}.parquet", f"jsonl/{stem}.jsonl.gz"), strict=True):
            path.rename(folder / name)
            written.rows[name] = shard.rows
