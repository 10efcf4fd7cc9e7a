"""manage.py release NAME: publish a release of all conversations that pass the gate."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena import jobs
from arena.errors import Refused
from arena.models import Job
from arena.models.operations import JobState
from datasets import releases, workers
from datasets.models import Release
from datasets.reasons import ADMITTED, Drop

POLL_S = 0.3
NOBODY = "No worker of the queue `export` answers: start worker-long (`make up` runs it)"


class Command(BaseCommand):
    help = "Write and publish a release in a worker. --dry-run counts what would leave, and why the rest stays in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", nargs="?", default="", help="part of its address; never used twice")
        parser.add_argument("--wait", action="store_true", help="show the progress; exit 1 unless it was published")
        parser.add_argument("--dry-run", action="store_true", help="ask the gate and write nothing; needs no NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._survey() if options["dry_run"] else self._release(options["name"], options["wait"])
        except Refused as refused:
            raise CommandError(refused.message) from None

    def _survey(self) -> None:
        job = releases.survey(None)
        if not workers.listening():
            jobs.fail(job.pk, NOBODY)
            raise CommandError(f"{NOBODY}, then ask again.")
        job = self._watch(job)
        counts = releases.surveyed(job)
        if job.state != JobState.DONE or counts is None:
            raise CommandError(job.message or "The dry run has left no figures.")
        self.stdout.write(f"{counts.get(ADMITTED, 0)} conversations would leave.")
        self._table(counts)

    def _release(self, name: str, wait: bool) -> None:
        release = releases.start(name, None)
        assert release.job is not None
        self.stdout.write(f"{name} is queued.")
        listening = workers.listening()
        if not wait:
            words = "Its progress stands in the admin, and here with --wait."
            self.stdout.write(words if listening else self.style.WARNING(f"{NOBODY}. The release waits until then."))
            return
        if not listening:
            releases.give_up(release, NOBODY)
            raise CommandError(f"{NOBODY}, then release it again. The name is free.")
        job = self._watch(release.job)
        releases.settle()
        release.refresh_from_db()
        self._ended(release, job)

    def _watch(self, job: Job) -> Job:
        """Print every change until the job has ended."""
        told = ""
        while True:
            job.refresh_from_db()
            line = f"{job.message or job.get_state_display()} ({job.done} of {job.total or '?'})"
            if line != told and job.state in (JobState.QUEUED, JobState.RUNNING):
                self.stdout.write(told := line)
            if job.state in (JobState.DONE, JobState.FAILED):
                return job
            time.sleep(POLL_S)

    def _ended(self, release: Release, job: Job) -> None:
        self._table(release.dropped)
        if release.state != "published":
            raise CommandError(job.message)
        self.stdout.write(
            f"Published {release.name}: {release.conversations} conversations, {release.messages} messages, "
            f"{release.size} bytes, at /datasets/{release.name}/"
        )

    def _table(self, counts: dict[str, int]) -> None:
        """Reasons in the order in which the gate asks."""
        labels = dict(Drop.choices)
        for reason in Drop.values:
            if counts.get(reason):
                self.stdout.write(f"  {counts[reason]:>9}  {reason:<20} {labels[reason]}")
