"""A published board against the one that its votes give: which figures votes alone decide, and which of them differ. No Django.

Ratings and interval ends are compared to a millionth of a point, which is far below what is printed: another processor may
round the last digits otherwise. Counts, ranks and labels must be equal.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ranking.board.build import build
from ranking.board.inputs import Inputs
from ranking.estimators.tally import Cell, Tally
from ranking.votelog.ballots import OVERALL, Ballots, Sums
from ranking.votelog.ballots import Cell as BallotCell

CLOSE = 1e-6
COUNTS = ("standing", "votes", "wins", "losses", "ties", "both_bad", "win_rate", "first_rate")
FITTED = ("rating", "raw_rating", "battle", "reweighted")
BY_LEVEL = (  # of the level that the board shows: from the log where that is battles, from the database where it is judges
    *(
        "rank",
        "rank_worst",
        "rank_lower",
        "rank_upper",
        "p_first",
        "se",
        "lower",
        "upper",
        "joint_lower",
        "joint_upper",
    ),
    *("quantiles", "adjacent"),
)
WHOLE = ("version", "state", "position", "ties", "cycles", "shrinkage")
WHOLE_BY_LEVEL = ("claims", "certificate")


def name_of(board: Mapping[str, Any]) -> str:
    return (
        f"{board['origin']} board, {board['category'] or 'overall'}{', style control' if board['controlled'] else ''}"
    )


def told(board: Mapping[str, Any]) -> str:
    method = board["board"]["method"]
    models, seed = len(board["board"]["models"]), board["seed"]
    text = f"{models} models, {board['votes']} votes, {method['replicates']} replicates, seed {seed}"
    return text if _by_battle(board) else f"{text}; intervals by judge are from the database only"


def differences(board: Mapping[str, Any], ballots: Ballots, models: Sequence[str]) -> list[str]:
    """What differs between the published board and that of the votes, in words. `models`: all, in the order of the fit."""
    try:
        made = rebuilt(board, ballots, models)
    except KeyError as missing:
        return [f"the log has counted votes of the model {missing.args[0]}, which its publication lacks"]
    stored = board["board"]
    whole = [*WHOLE, *(WHOLE_BY_LEVEL if _by_battle(board) else ())]
    found = [differ(name, stored.get(name), made.get(name)) for name in whole]
    found.append(differ("votes", board["votes"], sum(sum(row) for row in made["pairs"]["battles"]) // 2))
    theirs, ours = ({one["model"]: one for one in half["models"]} for half in (stored, made))
    found += [[f"model {name}: published, and no vote of it counts"] for name in sorted(theirs.keys() - ours.keys())]
    figures = [*COUNTS, *FITTED, *(BY_LEVEL if _by_battle(board) else ())]
    for name in sorted(ours):
        found += _model(name, theirs.get(name), ours[name], figures)
    found += [_pairs(stored, made, name) for name in ("battles", "ties", "both_bad", "points")]
    return [one for part in found for one in part]


def rebuilt(board: Mapping[str, Any], ballots: Ballots, models: Sequence[str]) -> dict[str, Any]:
    """The board of the votes, by the ids in the log. KeyError for a model that is not among `models`.

    The fit orders models by name, and its replicates depend on the order: so it gets names that sort as `models` do. A thin
    category that was drawn towards the overall board is so again.
    """
    category, named = board["category"], {f"{place:08d}": name for place, name in enumerate(models)}
    place = {name: number for number, name in enumerate(models)}
    drawn = bool(category and board["board"].get("shrinkage"))
    inputs = Inputs(
        tally=_tally(ballots.cells(category, place), place),
        seed=board["seed"],
        replicates=board["board"]["method"]["replicates"],
        overall=_tally(ballots.cells(OVERALL, place), place) if drawn else None,
        part=bool(category),
    )
    made = build(inputs)
    for model in made["models"]:
        model["model"] = named[model["model"]]
    return plain(made)


def _tally(cells: Mapping[BallotCell, Sums], place: Mapping[str, int]) -> Tally:
    rows = sorted(((place[cell[0]], place[cell[1]], *cell[2:]), sums) for cell, sums in cells.items())
    return Tally.of_cells(
        Cell(f"{one:08d}", f"{two:08d}", ending, sums.count, side, sums.inverse_p, sums.inverse_p2)
        for (one, two, side, ending), sums in rows
    )


def plain(made: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back from a file or a database."""
    return dict(json.loads(json.dumps(made)))


def _by_battle(board: Mapping[str, Any]) -> bool:
    return board["board"]["method"].get("level", "battle") == "battle"


def _model(
    name: str, published: Mapping[str, Any] | None, made: Mapping[str, Any], figures: Sequence[str]
) -> list[list[str]]:
    if published is None:
        return [[f"model {name}: has counted votes and is not published"]]
    return [differ(f"model {name}: {one}", published.get(one), made.get(one)) for one in figures]


def _pairs(stored: Mapping[str, Any], made: Mapping[str, Any], name: str) -> list[str]:
    """Row against column by model: the two may be in another order."""
    tables = [_named(one, name) for one in (stored, made)]
    return [
        line
        for key in sorted(tables[0].keys() | tables[1].keys())
        for line in differ(f"pairs: {name} of {' and '.join(key)}", tables[0].get(key), tables[1].get(key))
    ]


def _named(board: Mapping[str, Any], name: str) -> dict[tuple[str, str], Any]:
    models = [one["model"] for one in board["models"]]
    return {
        (a, b): value
        for a, row in zip(models, board["pairs"].get(name, []), strict=False)
        for b, value in zip(models, row, strict=True)
    }


def differ(name: str, published: Any, made: Any) -> list[str]:
    """Nothing, or one line per number that differs; inside of lists and objects by their place."""
    if isinstance(published, Mapping) and isinstance(made, Mapping):
        return [
            line
            for key in sorted(published.keys() | made.keys())
            for line in differ(f"{name}.{key}", published.get(key), made.get(key))
        ]
    if isinstance(published, list) and isinstance(made, list) and len(published) == len(made):
        return [
            line for i, pair in enumerate(zip(published, made, strict=True)) for line in differ(f"{name}[{i}]", *pair)
        ]
    if _is_real(published) and _is_real(made) and abs(published - made) <= CLOSE:
        return []
    return (
        []
        if published == made and type(published) is type(made)
        else [f"{name}: published {published}, from the log {made}"]
    )


def _is_real(value: Any) -> bool:
    """A number with a fraction; whole numbers must be equal."""
    return isinstance(value, float)
