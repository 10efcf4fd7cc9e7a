"""A file of votes in, a leaderboard out: no settings, no database. `python -m ranking --help`.

The same readers as `manage.py import_votes` and the same fit as the site's boards, so both say the same of one file.
"""

import argparse
import csv
import json
import os
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ranking import method
from ranking.imports.formats import NAMES
from ranking.imports.reading import rows
from ranking.imports.row import CHOICES, BadFile, Row

if TYPE_CHECKING:
    import numpy as np

    from ranking.estimators.tally import Tally

COLUMNS = ("rank", "rank_worst", "model", "rating", "lower", "upper", "votes", "standing")
PRIORS = ("virtual_opponent", "half_battle", "firth")
TIES = ("half-win", "drop", "davidson", "rao-kupper", "grounded-rao-kupper")
WRONG = 2  # exit code
UNTIMED = 2**62  # after all others, as an import takes them
Lines = list[dict[str, Any]]


class Unusable(Exception):
    """What was asked for cannot be done with this file; the message is one line."""


def _codes() -> "array[int]":
    return array("q")


@dataclass(slots=True, eq=False)
class Votes:
    """Counted votes as columns of codes: places in `models` (order of appearance), in CHOICES, judges (-1: unknown), seconds.

    `unvoted`: rows of the file that nobody voted on.
    """

    models: dict[str, int] = field(default_factory=dict)
    judges: dict[str, int] = field(default_factory=dict)
    a: "array[int]" = field(default_factory=_codes)
    b: "array[int]" = field(default_factory=_codes)
    outcome: "array[int]" = field(default_factory=_codes)
    judge: "array[int]" = field(default_factory=_codes)
    moment: "array[int]" = field(default_factory=_codes)
    unvoted: int = 0

    def add(self, row: Row) -> None:
        self.a.append(self.models.setdefault(row.model_a, len(self.models)))
        self.b.append(self.models.setdefault(row.model_b, len(self.models)))
        self.outcome.append(CHOICES.index(row.choice))
        self.judge.append(self.judges.setdefault(row.judge, len(self.judges)) if row.judge else -1)
        self.moment.append(int(row.at.timestamp()) if row.at else UNTIMED)

    def columns(self) -> "tuple[tuple[str, ...], dict[str, np.ndarray]]":
        """The models sorted by name, and the columns with places among these."""
        import numpy as np

        names = tuple(sorted(self.models))
        place = np.empty(len(names), np.int64)
        place[[self.models[name] for name in names]] = np.arange(len(names))
        found = {name: np.asarray(getattr(self, name), np.int64) for name in ("a", "b", "outcome", "judge", "moment")}
        return names, found | {side: place[found[side]] for side in "ab"}

    def tally(self) -> "Tally":
        from ranking.estimators.tally import Tally

        names, found = self.columns()
        return Tally.of_battles(names, found["a"], found["b"], found["outcome"])


def main(arguments: Sequence[str], out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Print a leaderboard; returns the exit code: 0, or 2 with one line that says what is wrong."""
    err = err or sys.stderr or open(os.devnull, "w")  # noqa: SIM115 (no stderr at all)
    options = _parser().parse_args(arguments)
    try:
        if (out := out or sys.stdout) is None:
            raise Unusable("there is no standard output to write to")
        votes = read(options.file, options.format, options.category)
        if votes.unvoted:
            err.write(f"{options.file}: {votes.unvoted} rows are of conversations that nobody voted on\n")
        if options.json:
            if options.ties != TIES[0] or options.prior:
                raise Unusable("--json is the board, in which a tie is half a win: leave --ties and --prior out")
            json.dump(_board(votes, options), out, indent=1)
            out.write("\n")
        else:
            (_as_csv if options.csv else _as_table)(_lines(votes, options), out)
        out.flush()  # a full disk or a reader that is gone is told here
    except (BadFile, Unusable, OSError, ArithmeticError) as error:  # the last: no fit, as of counts beyond all floats
        err.write(f"{options.file}: {_one_line(error)}\n")
        return WRONG
    return 0


def _one_line(error: Exception) -> str:
    said = str(error)
    if isinstance(error, BadFile):
        said = f"{error.problems[0]}" + (f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else "")
    return " ".join(said.split())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m ranking", description="Rank the models of a file of votes.")
    parser.add_argument(
        "file", type=Path, help="CSV, TSV, JSON, JSON lines (all also .gz) or Parquet: docs/importing.md"
    )
    parser.add_argument("--format", choices=("auto", *NAMES), default="auto", help="default: told by the columns")
    parser.add_argument("--category", default="", help="only votes of this category")
    parser.add_argument(
        "--ties", choices=TIES, default=TIES[0], help="what a tie is; intervals of the others: sandwich"
    )
    parser.add_argument(
        "--prior",
        choices=PRIORS,
        help="a figure for models that have none, too, under this prior; no intervals, no ranks",
    )
    parser.add_argument("--replicates", type=_positive, default=method.REPLICATES, help="of the bootstrap (half-win)")
    parser.add_argument("--seed", type=_whole, default=0, help="of the bootstrap")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="the whole board as JSON")
    how.add_argument("--csv", action="store_true", help="the table as CSV")
    return parser


def _positive(said: str) -> int:
    if (number := int(said)) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _whole(said: str) -> int:
    if (number := int(said)) < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def read(path: Path, format: str = "auto", category: str = "") -> Votes:
    """Counted votes of the file. Raises BadFile, and Unusable when none is left."""
    votes, unvoted = Votes(), count()
    others: set[str] = set()
    for row in rows(path, format, unvoted=lambda: next(unvoted)):
        if row.ranked and (not category or category in row.categories):
            votes.add(row)
        others.update(row.categories)
    votes.unvoted = next(unvoted)
    if not votes.a:
        there = f"; there are: {', '.join(sorted(others)) or 'none'}" if category else ""
        raise Unusable(f"no vote counts in the category {category!r}{there}" if category else "no vote counts")
    return votes


def _lines(votes: Votes, options: argparse.Namespace) -> Lines:
    if options.prior:
        if options.ties != TIES[0]:
            raise Unusable("--prior is for half-win: leave --ties out")
        return _by_prior(votes, options.prior)
    return _board(votes, options)["models"] if options.ties == TIES[0] else _by_law(votes, options.ties)


def _board(votes: Votes, options: argparse.Namespace) -> dict[str, Any]:
    from ranking.board.build import build
    from ranking.board.inputs import Inputs
    from ranking.board.periods import periods
    from ranking.estimators.judges import JudgeTally

    names, found = votes.columns()
    judges = JudgeTally.of_battles(names, *(found[name] for name in ("a", "b", "outcome", "judge")))
    inputs = Inputs(
        tally=votes.tally(),
        seed=options.seed,
        replicates=options.replicates,
        judges=judges if votes.judges else None,
        periods=() if options.category else periods(names, found),
        part=not options.json,  # the table shows none of the figures that a part of a board leaves out
    )
    return build(inputs)


def spelled(law: str) -> str:
    """A law of ties as --ties takes it."""
    return law.casefold().replace(" ", "-")


def _by_law(votes: Votes, name: str) -> Lines:
    """Ratings of the largest group with an estimate, under a law of ties: 95 % intervals by the sandwich, pointwise."""
    import numpy as np
    from scipy.special import ndtri

    from ranking.estimators import outcomes, ranks
    from ranking.estimators.bradley_terry import to_rating
    from ranking.estimators.connectivity import ranked_group
    from ranking.estimators.tie_models import LAWS

    tally = votes.tally()
    group = ranked_group(tally.pairs())
    law = next(law for law in LAWS if spelled(law.name) == name)
    try:
        fitted = outcomes.fit(law, tally.select(group.members))
    except outcomes.NoEstimate as refusal:
        raise Unusable(str(refusal)) from None
    reach = ndtri((1 + method.CONFIDENCE) / 2) * fitted.deviations[: len(group.members)]
    ends = to_rating(fitted.theta - reach), to_rating(fitted.theta + reach)
    best, worst = ranks.bounds(*ends)
    figures = dict(zip(group.members, zip(best, worst, to_rating(fitted.theta), *ends, strict=True), strict=True))
    battles = np.bincount(np.concatenate([tally.first, tally.second]), np.tile(tally.count, 2), tally.size)
    lines: Lines = []
    for i, model in enumerate(tally.models):
        rank, low, *ratings = figures.get(i, [None] * 5)
        numbers = [None if rating is None else float(rating) for rating in ratings]
        placed = [None if place is None else int(place) for place in (rank, low)]
        lines.append(
            dict(zip(COLUMNS, (*placed, model, *numbers, int(battles[i]), str(group.standing[i])), strict=True))
        )
    return sorted(lines, key=lambda line: (line["rank"] is None, line["rank"], -(line["rating"] or 0), line["model"]))


def _by_prior(votes: Votes, name: str) -> Lines:
    """Ratings of all models under a named weak prior, best first; `standing` says what each could be without, and the prior."""
    import numpy as np

    from ranking.estimators import bradley_terry, priors
    from ranking.estimators.connectivity import ranked_group

    tally = votes.tally()
    pairs = tally.pairs()
    if name in list(bradley_terry.Prior):
        theta = bradley_terry.fit(pairs, prior=bradley_terry.Prior(name)).theta
    else:
        theta = priors.fit(pairs, priors.Weak(name)).theta
    battles = np.bincount(np.concatenate([tally.first, tally.second]), np.tile(tally.count, 2), tally.size)
    rows = zip(tally.models, bradley_terry.to_rating(theta), battles, ranked_group(pairs).standing, strict=True)
    nothing = dict.fromkeys(COLUMNS)
    return [
        {
            **nothing,
            "model": model,
            "rating": float(rating),
            "votes": int(number),
            "standing": f"{standing}; prior {name}",
        }
        for model, rating, number, standing in sorted(rows, key=lambda row: (-row[1], row[0]))
    ]


def _as_csv(lines: Lines, out: TextIO) -> None:
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)


def _as_table(lines: Lines, out: TextIO) -> None:
    shown = [("rank", "model", "rating", "95 % interval", "votes"), *map(_shown, lines)]
    widths = [max(len(row[column]) for row in shown) for column in range(5)]
    for row in shown:
        out.write(
            "  ".join(_padded(text, width, i == 1) for i, (text, width) in enumerate(zip(row, widths, strict=True)))
            + "\n"
        )


def _padded(text: str, width: int, left: bool) -> str:
    return text.ljust(width) if left else text.rjust(width)


def _shown(line: dict[str, Any]) -> tuple[str, str, str, str, str]:
    if line["rank"] is None:
        rating = "-" if line["rating"] is None else f"{line['rating']:.1f}"
        return "-", line["model"], rating, line["standing"], f"{line['votes']}"
    places = f"{line['rank']}" if line["rank"] == line["rank_worst"] else f"{line['rank']}-{line['rank_worst']}"
    interval = f"{line['lower']:.1f} to {line['upper']:.1f}"
    return places, line["model"], f"{line['rating']:.1f}", interval, f"{line['votes']}"
