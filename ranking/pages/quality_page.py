"""How discriminating prompts are, as the page shows it: the stored figures with the names that are public today."""

from dataclasses import dataclass
from typing import Any

from ranking import categories
from ranking.pages.published import Board, Row


@dataclass(frozen=True, slots=True)
class Prompts:
    """The two groups of models, best first, and a line per category: its `title` and the figures of ranking.fits.topics."""

    strong: list[Row]
    weak: list[Row]
    lines: list[dict[str, Any]]


def prompts(board: Board) -> Prompts | None:
    """None where nothing was measured. A category that this version does not know is shown by its name."""
    told = board.topics
    if not told:
        return None
    strong, weak = ([row for row in board.rows if row.key in told[side]] for side in ("strong", "weak"))
    lines = [{"title": _title(name), **told["topics"][name]} for name in categories.ordered(set(told["topics"]))]
    return Prompts(strong, weak, lines)


def _title(name: str) -> str:
    return str(categories.title(name)) if name in categories.ALL else name
