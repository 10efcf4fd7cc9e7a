"""Which boards are fitted: origin x category x style control, where there are enough votes, and in which order.

Every origin with counts has its overall board. A category has one from settings.CATEGORY_VOTES votes on, and a board a
style-controlled one from settings.STYLE_VOTES votes with style counts on. A board that exists keeps being fitted when its
votes become fewer: what was published must not stay behind its votes.
"""

from datetime import datetime

from django.conf import settings
from django.db.models import Max, Sum

from arena.models.battles import Origin
from ranking.fits.boards import NAMES, OVERALL, Key
from ranking.models import BoardSnapshot, PairCount, VoteStyle

FIRST = (Origin.LIVE.value, Origin.DEMO.value)


def wanted(origin: str | None = None) -> list[Key]:
    """Overall boards first, live before demo before imports; then the boards whose last fit is longest ago."""
    known = _fitted(origin)
    keys = _counted(origin) | set(known)
    return sorted(keys, key=lambda key: _turn(key, known))


def _turn(key: Key, known: dict[Key, datetime]) -> tuple[bool, int, float, Key]:
    overall = key == Key(key.origin)
    place = FIRST.index(key.origin) if key.origin in FIRST else len(FIRST)
    since = known[key].timestamp() if key in known else 0.0
    return not overall, place if overall else 0, 0.0 if overall else since, key


def _fitted(origin: str | None) -> dict[Key, datetime]:
    """Each board that has been fitted, and when last."""
    rows = BoardSnapshot.objects.filter(origin=origin) if origin else BoardSnapshot.objects.all()
    newest = rows.order_by().values_list(*NAMES).annotate(at=Max("fitted_at"))
    return {Key(*names): at for *names, at in newest}


def _counted(origin: str | None) -> set[Key]:
    counts = PairCount.objects.filter(origin=origin) if origin else PairCount.objects.all()
    votes = {
        (name, category): number
        for name, category, number in counts.order_by().values_list("origin", "category").annotate(n=Sum("count"))
    }
    keys = {Key(*pair) for pair, number in votes.items() if number >= _least(pair[1])}
    return keys | {Key(key.origin, key.category, True) for key in keys if _styled(key, votes[key.origin, key.category])}


def _least(category: str) -> int:
    return 1 if category == OVERALL else settings.CATEGORY_VOTES


def _styled(key: Key, votes: int) -> bool:
    """Whether enough of its votes may have style counts; the fit itself counts them exactly and says when they are few."""
    if votes < settings.STYLE_VOTES:
        return False
    styled = VoteStyle.objects.filter(event__origin=key.origin)
    return styled[settings.STYLE_VOTES - 1 : settings.STYLE_VOTES].exists()
