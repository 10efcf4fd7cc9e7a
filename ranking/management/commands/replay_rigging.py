"""How far the live board could be rigged: the seven published strategies against its counts, with the watch off and on."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena import clock
from arena.models import Contestant
from ranking.guard import watch


class Command(BaseCommand):
    help = "Replay published vote-rigging strategies on the live board's counts. Writes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--target", help="slug of the contestant to push; the one in the middle of the board when left out"
        )
        parser.add_argument("--votes", type=int, default=1000, help="rigged votes per strategy (default 1000)")
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, *, target: str | None, votes: int, seed: int, **_: Any) -> None:
        import numpy as np

        from ranking.guard import watch_rows
        from ranking.rigging.replay import SPREADS, replay
        from ranking.rigging.strategies import STRATEGIES, Rigger, ratings

        if votes < 1 or seed < 0:
            raise CommandError("--votes is 1 or more, --seed 0 or more.")
        moment = clock.now()
        seen = watch_rows.look(moment)
        if len(seen.models) < 3 or not seen.history.ended.sum():
            raise CommandError("There are too few live votes: a replay needs three contestants that have met.")
        place = self._place(target, seen.models)
        if place is None:
            place = int(np.argsort(-ratings(seen.history))[len(seen.models) // 2])
        name = Contestant.objects.get(pk=seen.models[place]).name
        self.stdout.write(f"{seen.history.ended.sum() / 2:.0f} live votes, {votes} rigged ones for {name}, seed {seed}")
        self.stdout.write(
            f"{'strategy':<10} {'over':<42} {'rank':>5} {'without':>8} {'with':>5} {'flagged':>8} {'honest':>7}"
        )
        for strategy in STRATEGIES:
            rigged = Rigger(seen.history, place, seed).votes(strategy, votes)
            for spread in SPREADS:
                one = replay(seen.history, seen.votes, place, rigged, spread, watch.rules(), moment.timestamp(), seed)
                self.stdout.write(
                    f"{strategy:<10} {spread.name:<42} {one.before:>5} {one.without:>8} {one.defended:>5}"
                    f" {one.flagged:>8.0%} {one.honest:>7}"
                )

    def _place(self, slug: str | None, models: list[Any]) -> int | None:
        if slug is None:
            return None
        found = Contestant.objects.filter(slug=slug).values_list("pk", flat=True).first()
        if found not in models:
            raise CommandError(f"{slug!r} is no contestant with live votes.")
        return models.index(found)
