"""manage.py verify_log: walk both chains of the vote log and compare them with the counts."""

import sys
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from ranking import counts
from ranking.votelog import checking

MOST = 20


class Command(BaseCommand):
    help = "Check the vote log: every line against the next, both chains, and the counts they stand for. Exit code 1 on a fault."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        counts.take_lock()
        (public, wrong), (withheld, more) = checking.public_chain(), checking.withheld_chain()
        self.stdout.write(f"vote log: {public.head.number} lines, head {public.head.hash}")
        self.stdout.write(f"exclusions: {withheld.head.number} sealed")
        faults = wrong + more
        faults += [] if faults else checking.commitments() + checking.counts()
        for fault in faults[:MOST]:
            self.stdout.write(fault)
        if faults:
            self.stdout.write(f"{len(faults)} faults")
            sys.exit(1)
        self.stdout.write("sound, and the counts are those of the log")
