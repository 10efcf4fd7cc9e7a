"""A model's page: who it is (as far as that is public), where it stands, and how it did against each opponent."""

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.db.models.fields.json import KeyTransform
from django.utils.text import slugify
from django.utils.translation import gettext as _

from arena.models import Contestant, ContestantRevision
from ranking import categories
from ranking.fits.boards import NAMES, Asked, Key
from ranking.fits.history import Point
from ranking.models import BoardHistory, BoardSnapshot
from ranking.pages import choosing
from ranking.pages.matrices import expected
from ranking.pages.published import Board, Row


class Moved(Exception):
    """The codename's time is over: the page lives under `slug` now."""

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.slug = slug


@dataclass(frozen=True, slots=True)
class Opponent:
    """`expected`: the win rate that the two ratings predict, None unless both are ranked."""

    row: Row
    battles: int
    win_rate: float
    expected: float | None


def find(slug: str) -> Contestant | None:
    """The contestant whose public address this is. A real slug finds nothing while its contestant has a codename.

    Raises Moved for the codename of a contestant that has been revealed.
    """
    real = Contestant.objects.filter(slug=slug).first()
    if real and not real.anonymous:
        return real
    revealed = None
    for contestant in Contestant.objects.exclude(codename="").filter(imported=False).order_by("created_at"):
        if slugify(contestant.codename) == slug:
            if contestant.anonymous:
                return contestant
            revealed = revealed or contestant
    if revealed:
        raise Moved(revealed.slug)
    return None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The model on another published board of the same votes, as it was last published."""

    key: Key
    title: str
    point: Point
    query: str


def home(contestant: Contestant, asked: Asked) -> Asked:
    """The board that its page shows: the one asked for; else, for an imported model, the board of its import."""
    if asked.origin or not contestant.imported:
        return asked
    if contestant.origin:
        return replace(asked, origin=contestant.origin)
    known = BoardHistory.objects.filter(points__has_key=str(contestant.pk)).order_by("-published_at")
    return replace(asked, origin=known.values_list("origin", flat=True).first() or "")


def elsewhere(contestant: Contestant, shown: Key) -> list[Elsewhere]:
    """Its figures on each board of an origin, categories in their order; [] when there is only one board."""
    boards = BoardSnapshot.objects.published().filter(origin=shown.origin)
    newest = boards.order_by(*NAMES, "-published_at", "-id").distinct(*NAMES)
    rows = BoardHistory.objects.filter(pk__in=newest.values("pk"))  # of years of history, only these are read
    found = {}
    for *parts, published, point in rows.values_list(
        *NAMES, "published_at", KeyTransform(str(contestant.pk), "points")
    ):
        if point is not None:
            found[Key(*parts)] = Point(published, *point)
    order = categories.ordered({key.category for key in found})
    keys = sorted(found, key=lambda key: (order.index(key.category), key.controlled))
    return [_elsewhere(key, found[key]) for key in keys] if len(keys) > 1 else []


def _elsewhere(key: Key, point: Point) -> Elsewhere:
    asked = Asked(key.origin, key.category, key.style)
    title = choosing.category(key.category) + (" · " + _("style control") if key.controlled else "")
    return Elsewhere(key, title, point, urlencode(choosing.parts(asked)))


def row_of(contestant: Contestant, board: Board | None) -> Row | None:
    return next((row for row in board.rows if row.key == str(contestant.pk)), None) if board else None


def opponents(row: Row, board: Board) -> list[Opponent]:
    """Everybody it has met, most battles first."""
    met = [
        Opponent(other, board.battles(row, other), rate, expected(row, other))
        for other in board.rows
        if other.place != row.place and (rate := board.win_rate(row, other)) is not None
    ]
    return sorted(met, key=lambda opponent: (-opponent.battles, opponent.row.name))


def revision(contestant: Contestant) -> ContestantRevision | None:
    """What it is made of now; None under a codename."""
    if contestant.anonymous:
        return None
    return contestant.revisions.filter(current=True).select_related("adapter").first()


def adapters(contestant: Contestant, made_of: ContestantRevision | None) -> list[Contestant]:
    """Other public contestants that are adapters of the same base model; for a base model's page."""
    if made_of is None or made_of.adapter_id:
        return []
    others = Contestant.objects.filter(
        revisions__current=True, revisions__model=made_of.model, revisions__adapter__isnull=False, imported=False
    )
    return [other for other in others.exclude(pk=contestant.pk).order_by("name") if not other.anonymous]
