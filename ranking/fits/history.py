"""Ratings over time: of every published board one small row per publication, kept long after the whole board is gone.

A row holds each model's rating, interval, rank and votes by contestant id. Of a board the newest settings.BOARD_HISTORY_RECENT
rows stay; of older ones the last of each UTC day, for settings.BOARD_HISTORY_DAYS such days.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from django.conf import settings
from django.db.models import Window
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import RowNumber, TruncDay

from ranking.fits.boards import NAMES, Key
from ranking.models import BoardHistory, BoardSnapshot

FIGURES = ("rating", "lower", "upper", "rank", "votes")


@dataclass(frozen=True, slots=True)
class Point:
    """One model on one published board; all but the votes are null while it had no rating."""

    published: datetime
    rating: float | None
    lower: float | None
    upper: float | None
    rank: int | None
    votes: int


def keep(snapshot: BoardSnapshot) -> None:
    """Write down a board that has just been published, and thin out its older rows. In the publication's transaction."""
    if snapshot.published_at is None:
        raise ValueError("only what is published has a history")
    points = {one["model"]: [one[name] for name in FIGURES] for one in snapshot.board["models"]}
    key = Key.of(snapshot)
    BoardHistory.objects.update_or_create(
        id=snapshot.pk,
        defaults={
            **dict(zip(NAMES, key.parts, strict=True)),
            "votes": snapshot.votes,
            "published_at": snapshot.published_at,
            "points": points,
        },
    )
    thin(key)


def thin(key: Key) -> int:
    """Delete what is neither among the newest nor the last of its day; returns how many rows."""
    rows = BoardHistory.objects.of(*key.parts)
    recent = rows.order_by("-published_at", "-id").values_list("pk", flat=True)[: settings.BOARD_HISTORY_RECENT]
    of_day = Window(RowNumber(), partition_by=TruncDay("published_at"), order_by=["-published_at", "-id"])
    last = rows.annotate(of_day=of_day).filter(of_day=1).order_by("-published_at")
    daily = last.values_list("pk", flat=True)[: settings.BOARD_HISTORY_DAYS]
    removed, _by_model = rows.exclude(pk__in={*recent, *daily}).delete()
    return removed


def series(
    key: Key, models: Sequence[str], limit: int, since: date | None = None, until: date | None = None
) -> dict[str, list[Point]]:
    """Each of these contestant ids -> its points, oldest first: of the newest `limit` publications in these days (UTC).

    A publication that did not have the model gives no point.
    """
    rows = BoardHistory.objects.of(*key.parts)
    if since:
        rows = rows.filter(published_at__gte=datetime.combine(since, time.min, UTC))
    if until:
        rows = rows.filter(published_at__lte=datetime.combine(until, time.max, UTC))
    wanted = rows.order_by("-published_at", "-id").values_list(
        "published_at", *[KeyTransform(model, "points") for model in models]
    )
    return _by_model(models, reversed(list(wanted[:limit])))


def _by_model(models: Sequence[str], rows: Iterable[Sequence[object]]) -> dict[str, list[Point]]:
    made: dict[str, list[Point]] = {model: [] for model in models}
    for published, *figures in rows:
        for model, point in zip(models, figures, strict=True):
            if isinstance(point, list) and isinstance(published, datetime):
                made[model].append(Point(published, *point))
    return made
