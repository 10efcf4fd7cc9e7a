"""Importing a file of votes as an origin of its own, and taking it out again. Each is one transaction: all of it or nothing.

An import has contestants of its own, which cannot be drawn; its votes are events without a battle, absorbed from the start. Rows
go to PostgreSQL by COPY, and its counts are made there. A judge of the file is stored as a keyed hash under the import's name, so
that a person of two files is two judges and nobody's name is kept.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from arena import audit, clock, voiding
from arena.audit import Actor
from arena.errors import Refused
from arena.judges import DIGITS
from ranking import counts
from ranking.counting import tallying
from ranking.imports import import_names, reading, wiping
from ranking.imports.row import STYLE, BadFile, Problem, Row
from ranking.models import VoteImport

AT_ONCE = 5000  # rows in memory
EVENT = (
    "id", "kind", "origin", "contestant_a_id", "contestant_b_id", "choice", "probability", "categories", "judge", "reason",
    "ranked", "absorbed", "created_at",
)  # fmt: skip
Progress = Callable[[int], None]


@dataclass(slots=True)
class _Import:
    """What an import has come to so far."""

    slug: str
    origin: str
    begun: datetime
    contestants: dict[str, UUID] = field(default_factory=dict)
    votes: int = 0
    counted: int = 0
    styled: int = 0


def import_votes(
    path: Path,
    name: str = "",
    format: str = "auto",
    replace: bool = False,
    problems: int = reading.MOST_PROBLEMS,
    actor: Actor = None,
    progress: Progress = lambda _votes: None,
    unvoted: Callable[[], object] = int,
) -> VoteImport:
    """Import a file under `name` (default: the file's), or write nothing at all.

    `replace`: what was imported under that name goes first, in the same transaction. `problems`: how many are told. `unvoted` is
    called for each row that nobody voted on. Raises imports.row.BadFile with what is wrong with the file; Refused 409 when the
    name is taken, or the same file is there and no other name was given.
    """
    title = (name or path.name.partition(".")[0]).strip()[:80]
    slug = slugify(title)[:40].strip("-")
    if not slug:
        raise Refused(400, "name", _("Give the import a name with at least one letter a-z or digit."))
    state, sha256 = _state(path), _sha256(path)
    with transaction.atomic():
        counts.take_lock_of_imports()
        _free(slug, sha256, named=bool(name), replace=replace)
        done = _Import(slug, f"import:{slug}", clock.now())
        form = reading.format_of(path, format)
        rows = reading.rows(path, format, problems, unvoted)
        while batch := list(islice(rows, AT_ONCE)):
            _write(done, batch)
            progress(done.votes)
        if _state(path) != state:
            raise BadFile([Problem(0, "the file changed while it was read")])
        counts.take_lock()
        tallying.tally(done.origin)
        row = VoteImport.objects.create(
            slug=slug, title=title, file_name=path.name[:200], sha256=sha256, format=form, votes=done.votes,
            counted=done.counted, contestants=len(done.contestants), styled=done.styled, created_at=done.begun,
        )  # fmt: skip
        audit.record(actor, "import votes", row, {}, {"votes": done.votes, "file": path.name})
        transaction.on_commit(voiding.ask_for_a_fit)
    return row


def _free(slug: str, sha256: str, named: bool, replace: bool) -> None:
    """Make room for an import, or refuse."""
    there = VoteImport.objects.filter(slug=slug).first()
    if there and replace:
        wiping.wipe(there)
        return  # who replaces an import has named it
    if there:
        raise Refused(409, "name", _("There is an import of this name. Replace it, or choose another name."))
    same = VoteImport.objects.filter(sha256=sha256).first()
    if same and not named:
        said = _("This file is there already, as “%(name)s”. Give a name to import it once more.")
        raise Refused(409, "same", said % {"name": same.title})


def _state(path: Path) -> tuple[int, int, int]:
    """What is another one when a file was written to, or another file put in its place."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(done: _Import, batch: list[Row]) -> None:
    names = {name for row in batch for name in (row.model_a, row.model_b)} - done.contestants.keys()
    if names:
        done.contestants |= import_names.add(done.origin, sorted(names))
    key = settings.RELEASE_KEY.encode()
    events, styles = [], []
    for row in batch:
        done.votes += 1
        event = event_id(done.slug, row.key or f"line {row.line}")
        a, b = done.contestants[row.model_a], done.contestants[row.model_b]
        judge = _judge(key, done.slug, row.judge)
        at = row.at or done.begun
        events.append(
            (event, "cast", done.origin, a, b, row.choice, 1.0, list(row.categories), judge, "", row.ranked, True, at)
        )
        if row.style:
            styles.append((event, *row.style, ""))
    done.counted += sum(row.ranked for row in batch)
    done.styled += len(styles)
    _copy("arena_voteevent", EVENT, events)
    _copy("ranking_votestyle", ("event_id", *STYLE, "version"), styles)


def _copy(table: str, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    """`table` and `columns` are names of this module, never of a file."""
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def event_id(slug: str, key: str) -> UUID:
    """The id of the event of an import's vote, from the file's own id of it: how labels find it later (a version 8 UUID)."""
    digest = hashlib.sha256(f"{slug}\0{key}".encode()).digest()[:16]
    value = int.from_bytes(digest) & ~(0xF << 76) | 0x8 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def _judge(key: bytes, slug: str, judge: str) -> str:
    if not judge:
        return ""
    return hmac.new(key, f"agon.imported-judge:{slug}\0{judge}".encode(), hashlib.sha256).hexdigest()[:DIGITS]
