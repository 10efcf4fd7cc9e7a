"""Byte ranges and conditions of HTTP (RFC 9110, sections 13 and 14) for files that never change."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

ONE_RANGE = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*")


class Unsatisfiable(Exception):
    """The range begins behind the end of the file: 416."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


def wanted(headers: Mapping[str, str], size: int, etag: str, modified: datetime) -> Part | None:
    """The one range that a request asks for; None = the whole file: no range, several, one that is none, or a stale If-Range.

    Raises Unsatisfiable.
    """
    match = ONE_RANGE.fullmatch(headers.get("range", ""))
    if match is None or match.groups() == ("", "") or not _if_range(headers.get("if-range"), etag, modified):
        return None
    first, last = match.groups()
    if not first:  # the last n bytes
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= size:
        raise Unsatisfiable
    return Part(start, end)


def unchanged(headers: Mapping[str, str], etag: str, modified: datetime) -> bool:
    """The reader has it already: 304. If-None-Match speaks before If-Modified-Since."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    since = _date(headers.get("if-modified-since"))
    return since is not None and modified.replace(microsecond=0) <= since


def _if_range(condition: str | None, etag: str, modified: datetime) -> bool:
    """Whether the part still belongs to the file that the reader has begun; weak tags never do."""
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition == etag
    return _date(condition) == modified.replace(microsecond=0)


def _date(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found
