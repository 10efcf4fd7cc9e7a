"""The shown board as a file: CSV for a spreadsheet; JSON with the counts, order and seed that fit a count board again."""

import csv
import io
import re
from dataclasses import asdict, fields
from typing import Any

from ranking.board import board_format
from ranking.pages import pair_tables
from ranking.pages.published import Board, Row

FORMATS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
CSV_COLUMNS = (
    *("rank", "rank_worst", "name", "organisation", "licence", "open_weights", "standing"),
    *("rating", "lower", "upper", "votes", "wins", "losses", "ties", "win_rate"),
    *("both_bad", "first_rate", "se", "joint_lower", "joint_upper", "rank_lower", "rank_upper", "p_first"),
    *("adjacent", "raw_rating", "reweighted", "drift_p"),
    *("slug", "price_in", "price_out", "replies", "failure_rate"),
)
PAIRS = {"first_token_s": "first_token_p95_s", "tokens_per_s": "tokens_per_s_p5"}  # a median, and its tail beside it
BATTLE_COLUMNS = tuple(one.name for one in fields(board_format.Ends))  # the same by battle, as battle_se and so on
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def filename(board: Board, ending: str) -> str:
    """Names of origins and categories may hold characters that a file name may not."""
    parts = [board.key.origin, board.key.category, "style" if board.key.controlled else ""]
    which = "-".join(re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in parts if part)
    return f"agon-board-{which}-{board.published_at:%Y%m%dT%H%M%SZ}.{ending}"


def as_csv(board: Board) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    ends = [name for pair in PAIRS.items() for name in pair]
    writer.writerow([*CSV_COLUMNS, *ends, *(f"battle_{name}" for name in BATTLE_COLUMNS)])
    for row in board.rows:
        figures = [getattr(row, column) for column in CSV_COLUMNS]
        figures += [end for name in PAIRS for end in getattr(row, name) or (None, None)]
        figures += [getattr(row.battle, name) if row.battle else None for name in BATTLE_COLUMNS]
        writer.writerow([plain(figure) for figure in figures])
    return out.getvalue()


def plain(value: Any) -> str:
    """Full precision; text that a spreadsheet would run as a formula is quoted."""
    text = "" if value is None else repr(value) if isinstance(value, float) else str(value)
    return "'" + text if isinstance(value, str) and text.startswith(FORMULA_STARTS) else text


def as_json(board: Board) -> dict[str, Any]:
    """`pairs` hold row against column in the order of `models`; wins = points - ties / 2."""
    return {
        "origin": board.origin,
        "category": board.key.category,
        "style": board.key.style,
        "synthetic": board.demo,
        "published": board.published_at.isoformat(),
        "votes": board.votes,
        "state": board.state,
        "method": board.method,
        "seed": board.seed,
        "log_entry": board.log_entry,
        "figures": {name: _plain(getattr(board.figures, name)) for name in board_format.FIGURES},
        "why": board.figures.why,
        "models": [_model(row) for row in board.rows],
        "pairs": pair_tables.as_json(board.pairs),
    }


def _plain(figure: Any) -> Any:
    if isinstance(figure, list):
        return [asdict(one) for one in figure]
    return None if figure is None else asdict(figure)


def _model(row: Row) -> dict[str, Any]:
    until = row.anonymous_until.isoformat() if row.anonymous_until else None
    return row.public() | {"anonymous_until": until, "battle": asdict(row.battle) if row.battle else None}
