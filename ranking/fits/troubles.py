"""Boards that could not be fitted, noted for operators until the next fit succeeds. The last board stays what it was."""

from django.db.models import F

from arena import clock
from ranking.fits.boards import Key
from ranking.models import BoardTrouble

MOST = 300  # characters of an error


def note(key: Key, error: Exception) -> None:
    said = f"{type(error).__name__}: {error}"[:MOST]
    known, made = BoardTrouble.objects.get_or_create(**key.columns, defaults={"error": said, "at": clock.now()})
    if not made:
        BoardTrouble.objects.filter(pk=known.pk).update(error=said, at=clock.now(), times=F("times") + 1)


def clear(key: Key) -> None:
    BoardTrouble.objects.filter(**key.columns).delete()
