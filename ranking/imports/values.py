"""Single values of a record. Each says what it expected (ValueError); a value that is not there is "", None or 0."""

import ast
import json
import math
from datetime import UTC, datetime
from typing import Any

from ranking.imports.row import Record

LONGEST = 300  # characters of a name or an id
EMPTY = (None, "", "nan", "NaN", "null", "None")
TRUE, FALSE = {"true", "1", "1.0", "yes"}, {"false", "0", "0.0", "no"}
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
COUNT_MOST = 2_147_483_647
STRUCT_LONGEST = 100_000  # characters of a struct that a table spells out
# A moment beyond the first number is in units of which a second has the second number.
PER_SECOND = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


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


def struct(record: Record, name: str) -> dict[str, Any]:
    """Named values; {} when they are not there. A table spells them as JSON or as Python does (pandas' to_csv)."""
    found = record.get(name)
    if found in EMPTY or (isinstance(found, float) and math.isnan(found)):
        return {}
    read: Any = spelled(found) if isinstance(found, str) and len(found) <= STRUCT_LONGEST else found
    if not isinstance(read, dict):
        raise ValueError(f"{name} is {found!r:.60} where named values are expected")
    return read


def spelled(text: str) -> object:
    """What JSON or Python spells in this way; None if neither does."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):  # of the nesting too: ast's parser has a bound
            continue
    return None


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
    """A moment: ISO 8601 (without a zone: UTC), a Parquet timestamp, or seconds since 1970, milliseconds (as pandas writes JSON),
    micro- or nanoseconds.
    """
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
        number = float(said)
    except ValueError:
        return datetime.fromisoformat(said)
    unit = next((unit for least, unit in PER_SECOND if number >= least), 1.0)
    return datetime.fromtimestamp(number / unit, UTC)
