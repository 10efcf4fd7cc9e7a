"""Since when a model leads: followed from one published board to the next, so that it tells of no moment in between."""

from datetime import datetime

from ranking.fits.boards import Key
from ranking.models import BoardSnapshot


def follow(snapshot: BoardSnapshot, moment: datetime) -> None:
    """Complete `sure` of a board that is being published at `moment` (not saved here), from the one published before it."""
    sure = snapshot.board.get("sure")
    if not sure:
        return
    earlier = BoardSnapshot.objects.published().filter(**Key.of(snapshot).columns).exclude(pk=snapshot.pk)
    last = earlier.order_by("-published_at", "-id").first()
    before = (last.board.get("sure") or {}) if last else {}
    at = moment.isoformat(timespec="seconds")
    same = bool(last and before.get("since")) and _leader(last) == _leader(snapshot)
    sure["since"] = before["since"] if same else at
    sure["confirmed_at"] = ((same and before["confirmed_at"]) or at) if sure["confirmed"] else None
    sure["looks"] = before.get("looks", 0) + 1


def _leader(snapshot: BoardSnapshot | None) -> str | None:
    board = snapshot.board if snapshot else {}
    return board["models"][board["sure"]["leader"]]["model"] if board.get("sure") else None
