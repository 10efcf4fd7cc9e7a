"""Votes of a file in any known format, or all that is wrong with it."""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

from ranking.imports import formats
from ranking.imports.files import records
from ranking.imports.formats import Format
from ranking.imports.row import BadFile, Problem, Row

MOST_PROBLEMS = 20


def rows(
    path: Path,
    format: str = "auto",
    most: int = MOST_PROBLEMS,
    unvoted: Callable[[], object] = int,
) -> Iterator[Row]:
    """The votes in the file's order. Of ids it keeps 8 bytes each, to notice one that comes twice; `unvoted` is called for each
    row of a conversation that nobody voted on.

    After the first problem no more rows come; reading goes on until `most` problems are found or the file ends, and then BadFile
    says them all. Whoever writes rows must therefore be able to take them back.
    """
    problems: list[Problem] = []
    form: Format | None = None
    seen, voted = _Seen(), False
    try:
        for line, record in records(path, formats.COLUMNS):
            if isinstance(record, Problem):
                problems.append(record)
            else:
                form = form or _form(set(record), format, line)
                found = _row(form, line, record, seen)
                if found is None:
                    unvoted()
                elif isinstance(found, Problem):
                    problems.append(found)
                elif not problems:
                    voted = True
                    yield found
            if len(problems) >= most:
                raise BadFile(problems, more=True)
    except BadFile as bad:
        raise BadFile(problems + [one for one in bad.problems if one not in problems], bad.more) from bad
    if problems:
        raise BadFile(problems)
    if not voted:
        raise BadFile([Problem(0, "there is no vote in the file")])


def format_of(path: Path, format: str = "auto") -> str:
    """The name of the format, from the first record that can be read. Raises BadFile as `rows` does."""
    for line, record in records(path, formats.COLUMNS):
        if not isinstance(record, Problem):
            return _form(set(record), format, line).name
    raise BadFile([Problem(0, "there is no vote in the file")])


def _form(columns: set[str], format: str, line: int) -> Format:
    if found := formats.choose(columns, format):
        return found
    wanted = [one for one in formats.FORMATS if format in ("auto", one.name)]
    said = "; or ".join(f"{one.name}: {', '.join(one.wants)}" for one in wanted)
    raise BadFile([Problem(line, f"columns are missing; expected {said}; found {', '.join(sorted(columns))[:300]}")])


class _Seen:
    """Names that have come, as 8 bytes each."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def before(self, kind: str, name: str) -> bool:
        """Has this one come before? It has now."""
        digest = blake2b(name.encode(), digest_size=8, person=kind.encode()).digest()
        known = digest in self._digests
        self._digests.add(digest)
        return known


def _row(form: Format, line: int, record: dict[str, object], seen: _Seen) -> Row | Problem | None:
    try:
        row = form.row(line, record)
    except ValueError as error:
        return Problem(line, str(error))
    except (AttributeError, TypeError) as error:  # a struct where a word should be, or the other way round
        return Problem(line, f"a value has the wrong shape: {error}")
    if row is None:
        return None
    if row.key.startswith("line ") and row.key[5:].isdecimal():  # would be taken for a row without an id
        return Problem(line, f"the id {row.key!r} is how votes without one are named")
    if row.key and seen.before("id", row.key):
        return Problem(line, f"the id {row.key!r} came before")
    if row.once and seen.before("once", row.once):
        return row._replace(ranked=False)
    return row
