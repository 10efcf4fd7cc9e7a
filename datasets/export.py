"""The export job: battles -> gate -> rows -> files -> published, in bounded memory, or nothing at all.

1. `collect` streams the keys of all battles, asks the gate in batches and puts admitted rows aside (`datasets/spill.py`).
2. `datasets/shards.py` writes them in the order of their public ids; `datasets/card.py` adds what describes them.
3. `datasets/publishing.py` makes it public in one transaction, which first asks again about every conversation that changed
   meanwhile. If the gate would keep one in by now, the files are written again without it.

Whatever goes wrong, the release is failed, its folder is removed, and nothing of it can be downloaded.
"""

import errno
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

from django.conf import settings

from arena import clock, jobs
from arena.jobs import Progress
from arena.models import Battle
from arena.moderation import verdicts
from datasets import card, gate, releases, rows, shards, storage
from datasets.models import Release, ReleaseFile
from datasets.public_ids import public_id
from datasets.publishing import ReleaseFailed, TakenBack, publish
from datasets.reasons import ADMITTED, Drop
from datasets.spill import Spill, Spilled

REWRITES = 5  # times that files are written again because somebody took something back meanwhile
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FULL = "The disk is full. Nothing was published; make room in AGON_RELEASES_DIR and start it again."


def run(job_id: UUID) -> None:
    """The job of a release, from claim to end. How it ended stands on the job and on the release."""
    with jobs.running(job_id) as progress:
        if progress is None:
            return
        release = releases.at_work().filter(job=job_id).first()
        if release is None:
            jobs.fail(job_id, "Its release is gone.")
            return
        with _said(lambda words: releases.give_up(release, words)):
            releases.remove_leftovers()
            build(release, progress)


def survey(job_id: UUID) -> None:
    """The job of a dry run: counts by reason, and nothing else."""
    with jobs.running(job_id) as progress:
        if progress is None:
            return
        with _said(lambda words: jobs.fail(job_id, words)):
            counts = collect(progress, None, progress.job.arguments["policy"])
            releases.keep_survey(progress.job, dict(counts))


@contextmanager
def _said(give_up: Callable[[str], object]) -> Iterator[None]:
    """End a failed job in words for operators. What nobody expected is raised, too, but its own words are not stored: they could
    hold a text, and operators read no conversation."""
    try:
        yield
    except ReleaseFailed as error:
        give_up(str(error))
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in NO_ROOM
        give_up(FULL if full else f"Stopped by {type(error).__name__}; the log of worker-long has more.")
        if not full:
            raise


def build(release: Release, progress: Progress) -> None:
    """Write and publish a release. Raises ReleaseFailed, OSError, PolicyError or Cancelled; then nothing was published."""
    if not releases.same_key():
        raise ReleaseFailed(
            "AGON_RELEASE_KEY of this worker is not the key of the earlier releases. Nothing was published."
        )
    place = storage.workplace(progress.job.pk)
    try:
        since = clock.now()
        spill = Spill(place / "spill")
        dropped = collect(progress, spill, release.policy)
        asked, admitted = dropped.total(), dropped.pop(ADMITTED, 0)
        taken_back: dict[str, str] = {}
        for _try in range(REWRITES):
            _remember(release, dropped + Counter(taken_back.values()))
            if admitted == len(taken_back):
                raise ReleaseFailed("No conversation passes the gate: " + card.counts(release.dropped))
            try:
                told = partial(_tell, progress, asked)
                files = _write(release, place / "out", spill.read(taken_back), told)
                _same_policy(release.policy)
                return publish(release, place / "out", files, spill.read(taken_back), since)
            except TakenBack as error:
                taken_back |= error.reasons
        raise ReleaseFailed(
            "Conversations were taken back faster than the files could be written. Start it again later."
        )
    finally:
        storage.discard(progress.job.pk)


def collect(progress: Progress, spill: Spill | None, policy: str) -> Counter[str]:
    """Ask the gate about every battle; admitted rows go to `spill`. Returns conversations by reason, ADMITTED among them."""
    found: Counter[str] = Counter()
    progress.total(2 * Battle.objects.count(), "asking the gate")
    for batch in _batches():
        _same_policy(policy)
        decisions = gate.admit(batch)
        for decision in decisions:
            found[decision.reason] += 2
        if spill:
            spill.add(_spilled(leaving) for decision in decisions for leaving in decision.conversations)
        progress.at(found.total())
    return found


def _same_policy(policy: str) -> None:
    if verdicts.current_policy() != policy:
        raise ReleaseFailed("The moderation policy changed meanwhile. Start it again.")


def _batches() -> Iterator[list[UUID]]:
    """The keys of all battles, by key: each query goes on behind the last one, so nothing is held open meanwhile."""
    last = UUID(int=0)
    while True:
        found = Battle.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)
        batch = list(found[: min(settings.RELEASE_BATCH, gate.BATCH_MOST)])
        if not batch:
            return
        yield batch
        last = batch[-1]


def _spilled(leaving: gate.Leaving) -> Spilled:
    passed_by = [name for said in leaving.messages for name in said.passed_by]
    name = public_id(leaving.conversation_id)
    return Spilled(name, leaving.conversation_id, passed_by, rows.line(rows.row(leaving)))


def _remember(release: Release, dropped: Counter[str]) -> None:
    release.dropped = {reason: dropped[reason] for reason in Drop.values if dropped[reason]}
    release.save(update_fields=["dropped"])


def _tell(progress: Progress, asked: int, written: int) -> None:
    progress.at(asked, f"writing: {written} conversations")


def _write(release: Release, out: Path, spilled: Iterable[Spilled], told: Callable[[int], None]) -> list[ReleaseFile]:
    """All files of the release below `out`, flushed to the disk; the release's figures on the row in memory."""
    for path in storage.files(out):
        path.unlink()
    written = shards.write(out, spilled, told)
    release.conversations, release.messages = written.conversations, written.messages
    release.facts = {
        "input": written.conversations + sum(release.dropped.values()),
        "models": dict(written.models.most_common()),
        "languages": dict(written.languages.most_common()),
        "passed_by": dict(written.passed_by.most_common()),
        "rows": written.rows,
        "bytes": written.bytes,
    }
    digests = card.write(release, out)
    storage.flush(out)
    return [
        ReleaseFile(release=release, path=path, size=(out / path).stat().st_size, sha256=sha256)
        for path, sha256 in sorted(digests.items())
    ]
