"""manage.py verify_board: rebuild every published live board, from the stored log and from the database."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from ranking.votelog import verifying


class Command(BaseCommand):
    help = "Rebuild the published live boards and compare every figure. Exit code 1 where one differs."

    def handle(self, *args: Any, **options: Any) -> None:
        report = verifying.verify()
        for line in report.said:
            self.stdout.write(line)
        self.stdout.write("identical" if not report.faults else f"{report.faults} differences")
        if report.faults:
            sys.exit(1)
