"""Which boards there are and which one is asked for: origin, category, with style control or without."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from arena.models import SiteConfig
from arena.models.battles import Origin
from arena.models.site import BoardSource
from ranking.models import BoardSnapshot

if TYPE_CHECKING:
    from ranking.models import BoardHistory

OVERALL = ""
ON, OFF = "on", "off"
NAMES = ("origin", "category", "controlled")


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which board: of which votes, of which category ("" = all), with the effect of style taken out or not."""

    origin: str
    category: str = OVERALL
    controlled: bool = False

    @classmethod
    def of(cls, row: "BoardSnapshot | BoardHistory") -> Self:
        return cls(row.origin, row.category, row.controlled)

    @property
    def parts(self) -> tuple[str, str, bool]:
        return self.origin, self.category, self.controlled

    @property
    def columns(self) -> dict[str, Any]:
        """As fields of a row."""
        return dict(zip(NAMES, self.parts, strict=True))

    @property
    def imported(self) -> bool:
        return self.origin.startswith("import:")

    @property
    def demo(self) -> bool:
        return self.origin == Origin.DEMO

    @property
    def style(self) -> str:
        return ON if self.controlled else OFF

    def __str__(self) -> str:
        parts = [self.origin, self.category, "style control" if self.controlled else ""]
        return " · ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Entry:
    """A published board in the list of boards: its newest snapshot."""

    key: Key
    snapshot: UUID
    votes: int
    published_at: datetime


def published() -> list[Entry]:
    """Every published board, in the order of their keys."""
    newest = BoardSnapshot.objects.published().order_by(*NAMES, "-published_at", "-id").distinct(*NAMES)
    rows = newest.values_list(*NAMES, "pk", "votes", "published_at")
    return [Entry(Key(*row[:3]), *row[3:]) for row in rows]


def opening(entries: Iterable[Entry]) -> Entry | None:
    """The overall board the site opens with: live, or the demo's until the first live votes (SiteConfig.board_source)."""
    by_origin = {entry.key.origin: entry for entry in entries if entry.key == Key(entry.key.origin)}
    live, demo, source = by_origin.get(Origin.LIVE), by_origin.get(Origin.DEMO), _source()
    if source == BoardSource.LIVE:
        return live
    if source == BoardSource.DEMO:
        return demo
    return live if live and live.votes else demo or live


def choose(entries: list[Entry], asked: "Asked") -> Entry | None:
    """The board asked for; what is not asked for is as on the board that the site opens with. None: there is no such board."""
    first = opening(entries)
    origin = asked.origin or (first.key.origin if first else "")
    wanted = Key(origin, asked.category, asked.style == ON)
    return next((entry for entry in entries if entry.key == wanted), None)


def _source() -> str:
    return SiteConfig.objects.values_list("board_source", flat=True).first() or BoardSource.AUTO


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for: `origin` "" = that of the site's own board, `style` on or off."""

    origin: str = ""
    category: str = OVERALL
    style: str = OFF

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """From the page's address. Anything else than "on" is off; unknown names simply find no board."""
        style = ON if query.get("style") == ON else OFF
        return cls(query.get("origin", "")[:60], query.get("category", "")[:40], style)


DEFAULT = Asked()
