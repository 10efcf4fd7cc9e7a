"""Single values of a record. Each says what it expected (ValueError); a value that is not there is "", None or 0."""

import math
from datetime import UTC, datetime
from typing import Any

from ranking.imports.row import Record

LONGEST = 300  # characters of a name or an id
EMPTY = (None, "", "nan", "NaN", "null", "None")
TRUE, FALSE = {"true", "1", "1.0", "yes"}, {"false", "0", "0.0", "no"}
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
COUNT_MOST = 2_147_483_647


def text(record: Record, name: str, needed: bool = False) -> str:
    found = record.get(name)
    if isinstance(found, bytes):  # a Parquet column that is not marked as text
        found = _decoded(name, found)
    if isinstance(found, float) and math.isnan(found):
        found = None
    if isinstance(found, dict | list | bool):
        raise ValueError(f"{name} is {found!r:.60} where a word is expected")
    said = "" if found in EMPTY else str(found).strip()
    if needed and not said:
        raise ValueError(f"{name} is missing")
    if len(said) > LONGEST or not said.isprintable():
        raise ValueError(f"{name} has more than {LONGEST} characters, or signs that cannot be printed")
    return said


def _decoded(name: str, found: bytes) -> str:
    try:
        return found.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{name} is {found!r:.60}, which is not UTF-8 text") from None


def flag(record: Record, name: str) -> bool | None:
    """True, false, or None when it is not said."""
    found = record.get(name)
    if found in EMPTY or (isinstance(found, float) and math.isnan(found)):
        return None
    said = str(found).strip().casefold()
    if said in TRUE:
        return True
    if said in FALSE:
        return False
    raise ValueError(f"{name} is {found!r:.60} where true or false is expected")


def integer(record: Record, name: str) -> int | None:
    found = record.get(name)
    if found in EMPTY or (isinstance(found, float) and math.isnan(found)):
        return None
    try:
        number = float(found)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {found!r:.60} where a whole number is expected") from None
    if number != number // 1 or not 0 <= number <= COUNT_MOST:
        raise ValueError(f"{name} is {found!r:.60} where a whole number from 0 is expected")
    return int(number)


def count(record: Record, name: str) -> int:
    """A count, or the sum of a struct of counts. One that is not said is an error: zero would be made up."""
    found: Any = record.get(name)
    parts = found if isinstance(found, dict) else {name: found}
    numbers = [integer(parts, part) for part in parts]
    if None in numbers:
        raise ValueError(f"{name} is missing")
    if (total := sum(number for number in numbers if number is not None)) > COUNT_MOST:
        raise ValueError(f"{name} adds up to {total}, more than {COUNT_MOST}")
    return total


def at(record: Record, name: str) -> datetime | None:
    """A moment: seconds since 1970, ISO 8601 (without a zone: UTC), or a Parquet timestamp."""
    found = record.get(name)
    if found in EMPTY or (isinstance(found, float) and math.isnan(found)):
        return None
    try:
        moment = found if isinstance(found, datetime) else _moment(str(found).strip())
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{name} is {found!r:.60} where a time is expected") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not EARLIEST <= moment <= LATEST:
        raise ValueError(f"{name} is {found!r:.60}, which is not between {EARLIEST.year} and {LATEST.year}")
    return moment


def _moment(said: str) -> datetime:
    try:
        return datetime.fromtimestamp(float(said), UTC)
    except ValueError:
        return datetime.fromisoformat(said)
