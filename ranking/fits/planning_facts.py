"""What the planner needs of a board: how the difference of each two neighbours becomes surer with more votes. Numpy: fit only."""

from typing import Any

import numpy as np

from ranking import method
from ranking.estimators import planning
from ranking.estimators.tally import Floats, Ints

DIGITS = 5


def of(board: dict[str, Any], drawn: dict[tuple[str, str], float]) -> list[dict[str, Any]] | None:
    """One entry per two ranked neighbours of a count board (as `ranking.board` builds it); None without two ranked models.

    `better`, `worse`: places; `difference` in logits; `now`, `uniform`, `drawn`, `focused`: planning.Curves of it. `drawn`:
    chance of each pair (ids) to be drawn next; {} if unknown, which leaves that curve null.
    """
    ranked = [i for i, row in enumerate(board["models"]) if row["rating"] is not None]
    if len(ranked) < 2:
        return None
    ranked.sort(key=lambda i: -board["models"][i]["rating"])
    places = np.array(ranked)
    square = np.ix_(places, places)
    points, ties = (np.array(board["pairs"][name], float)[square] for name in ("points", "ties"))
    theta = np.array([board["models"][i]["rating"] - method.CENTRE for i in ranked]) / method.PER_LOGIT
    chances = _square([board["models"][i]["model"] for i in ranked], drawn)
    left = np.arange(len(ranked) - 1)
    found = planning.curves(theta, points - ties / 2, ties, chances, left, left + 1)
    return [_entry(places, theta, found, int(i)) for i in left]


def _square(models: list[str], drawn: dict[tuple[str, str], float]) -> Floats | None:
    place = {model: i for i, model in enumerate(models)}
    chances = np.zeros((len(models), len(models)))
    for (first, second), chance in drawn.items():
        if first in place and second in place:
            chances[place[first], place[second]] = chances[place[second], place[first]] = chance
    return chances if chances.any() else None


def _entry(places: Ints, theta: Floats, found: planning.Curves, i: int) -> dict[str, Any]:
    rounded = {"difference": theta[i] - theta[i + 1], "now": found.now[i]}
    return {
        "better": int(places[i]),
        "worse": int(places[i + 1]),
        **{name: float(f"{value:.{DIGITS}g}") for name, value in rounded.items()},
        "uniform": _short(found.uniform[i]),
        "drawn": None if found.drawn is None else _short(found.drawn[i]),
        "focused": _short(found.focused[i]),
    }


def _short(values: Floats) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
