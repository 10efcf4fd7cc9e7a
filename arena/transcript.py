"""The turns of a battle with prompts, answers and texts, read at once: its page and its vote look at the same rows."""

from functools import cache

from django.db.models import Exists, OuterRef, Prefetch, QuerySet, prefetch_related_objects

from arena.models import Battle, Reply, Report, Turn


def rows() -> Prefetch:
    """What to prefetch of a battle. Each reply says whether the battle's visitor has `reported` it."""
    turns = Turn.objects.select_related("prompt").prefetch_related(Prefetch("replies", _replies()))
    return Prefetch("turns", turns)


def turns_of(battle: Battle) -> list[Turn]:
    """The turns in order, as they were when they were first asked for."""
    if "turns" not in getattr(battle, "_prefetched_objects_cache", ()):
        prefetch_related_objects([battle], rows())
    return list(battle.turns.all())


@cache
def _replies() -> QuerySet[Reply]:
    """Put together once: that costs as much as running it."""
    mine = Report.objects.filter(reply=OuterRef("pk"), visitor=OuterRef("turn__battle__visitor"))
    return Reply.objects.select_related("message").annotate(reported=Exists(mine))
