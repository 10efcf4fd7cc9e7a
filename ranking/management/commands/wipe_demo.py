"""manage.py wipe_demo: remove the synthetic demo battles and their board."""

from typing import Any

from django.core.management.base import BaseCommand

from ranking import demo


class Command(BaseCommand):
    help = "Remove all demo battles, their votes, counts and boards. Contestants and everything live stay."

    def handle(self, *args: Any, **options: Any) -> None:
        removed = demo.wipe()
        self.stdout.write(f"removed {removed} demo battles" if removed else "there was no demo data")
