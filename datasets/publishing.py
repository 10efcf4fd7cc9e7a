"""The moment at which a release becomes public: one transaction, and one rename just before it commits.

A folder without its rows can never be downloaded; rows without their folder could be asked for in vain. So the rename comes
first, and a crash between the two leaves a folder that the next job removes.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from pathlib import Path
from time import sleep

from django.db import OperationalError, connection, transaction

from arena import clock
from datasets import changes, releases, storage
from datasets.models import Release, ReleasedConversation, ReleaseFile, ReleaseState
from datasets.spill import Spilled

INSERT = 2000
LOCK_MS, LOCK_TRIES, LOCK_PAUSE_S = 800, 20, 0.3  # below PostgreSQL's deadlock_timeout: we give way, never a visitor


class ReleaseFailed(RuntimeError):
    """Why no release was made, in words for the operator."""


class TakenBack(Exception):
    """Conversations that may no longer leave: public id -> reason."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__(f"{len(reasons)} conversations were taken back")
        self.reasons = reasons


def publish(release: Release, out: Path, files: list[ReleaseFile], spilled: Iterable[Spilled], since: datetime) -> None:
    """Everything at once, or nothing: rows, state and address. Raises TakenBack when conversations must stay in by now."""
    with transaction.atomic():
        released = (_released(release, one) for one in spilled)
        while batch := list(islice(released, INSERT)):
            ReleasedConversation.objects.bulk_create(batch)
        ReleaseFile.objects.bulk_create(files)
        _nobody_took_back(changes.taken_back(release, since))
        _nobody_deletes_now()
        _nobody_took_back(changes.taken_back_by_persons(release, since))
        release.state, release.published_at = ReleaseState.PUBLISHED, clock.now()
        names = ["state", "published_at", "conversations", "messages", "dropped", "facts"]
        mine = releases.at_work().filter(pk=release.pk, job=release.job_id)  # not cancelled, nor begun again by another
        if not mine.update(**{name: getattr(release, name) for name in names}):
            raise ReleaseFailed("The release was given up meanwhile.")
        storage.move_home(out, release.name)


def _released(release: Release, one: Spilled) -> ReleasedConversation:
    return ReleasedConversation(release=release, conversation_id=one.conversation_id, public_id=one.public_id)


def _nobody_took_back(reasons: dict[str, str]) -> None:
    if reasons:
        raise TakenBack(reasons)


def _nobody_deletes_now() -> None:
    """To the end of the transaction no consent and no conversation is written: who deletes or withdraws now waits until the
    release is published, and is then one who did so afterwards. Raises OperationalError when a table stays busy."""
    for attempt in range(LOCK_TRIES):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
                cursor.execute("LOCK TABLE arena_consent, arena_conversation IN SHARE MODE")
            return
        except OperationalError:
            if attempt + 1 == LOCK_TRIES:
                raise
            sleep(LOCK_PAUSE_S)
