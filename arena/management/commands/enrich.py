"""manage.py enrich: re-check the enrichment of every message, after an upgrade or a change of the policy."""

import time
from typing import Any

from django.core.management import CommandParser
from django.core.management.base import BaseCommand, CommandError

from arena.models import Job
from arena.models.operations import JobState
from arena.moderation import backfill, enrichment

LOOK_S = 1.0


class Command(BaseCommand):
    help = "Bring what is known of each message up to date. It also starts by itself when detectors or policy have changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--here", action="store_true", help="work in this process instead of waiting for worker-long"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        job = enrichment.start_backfill(None)
        if options["here"]:
            backfill.run(job.pk)
        job = self._follow(job)
        if job.state == JobState.FAILED:
            raise CommandError(job.message)
        self.stdout.write(job.message or "there is no message yet")

    def _follow(self, job: Job) -> Job:
        """Wait for the job's end, with a line for each change."""
        told = ""
        while True:
            job.refresh_from_db()
            if job.state in (JobState.DONE, JobState.FAILED):
                return job
            line = f"{job.get_state_display()}: {job.done} of {job.total or '?'}"
            if line != told and self.stderr.isatty():
                self.stderr.write(line)
            told = line
            time.sleep(LOOK_S)
