"""The ranked group: the models that can be fitted together, their estimate, and how sure it is."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ranking.board import levels
from ranking.board.inputs import Inputs
from ranking.board.levels import Uncertain
from ranking.board_format import Level, Why
from ranking.estimators import style
from ranking.estimators.bradley_terry import NotConverged, fit, to_rating
from ranking.estimators.connectivity import Group
from ranking.estimators.judges import JudgeTally
from ranking.estimators.sandwich import Covariance
from ranking.estimators.style import Style
from ranking.estimators.tally import Floats, Tally
from ranking.method import JUDGES_LEAST


@dataclass(frozen=True, eq=False)
class Ranked:
    """K models in the order of their ids; `tally`, `judges` and `theta` (logits, mean zero) are of them alone.

    `shown` is the uncertainty by judge where there are judges enough (`unjudged` is None then), else `battle`. `style` is the
    fit of a style-controlled board.
    """

    inputs: Inputs
    tally: Tally
    judges: JudgeTally | None
    theta: Floats
    battle: Uncertain
    shown: Uncertain
    unjudged: Why | None
    style: Style | None = None

    @cached_property
    def order(self) -> list[int]:
        """Positions in the order of the board: by rank, then rating, then name."""
        key = [(int(self.shown.rank[i]), -float(self.theta[i]), self.tally.models[i]) for i in range(len(self.theta))]
        return sorted(range(len(self.theta)), key=key.__getitem__)

    @cached_property
    def places(self) -> list[int]:
        """Of each model its place on the board."""
        return np.argsort(self.order).tolist()

    @cached_property
    def battles(self) -> Floats:
        """(K,) of each model."""
        tally = self.tally
        sums = (np.bincount(side, tally.count, tally.size) for side in (tally.first, tally.second))
        return np.asarray(sum(sums))

    @cached_property
    def beside(self) -> dict[str, list[float | None]]:
        """Figures of single models from other fits: `reweighted`."""
        return {"reweighted": _reweighted(self)}


def rank(inputs: Inputs, group: Group) -> Ranked | None:
    """None where no two models can be fitted together, or where the style of the answers decides every battle."""
    if not len(group.members):
        return None
    tally = inputs.tally.select(group.members)
    judges = inputs.judges.select(group.members) if inputs.judges else None
    unjudged = not_by_judge(judges)
    if inputs.rows is None:
        return _by_counts(inputs, tally, judges, unjudged)
    try:
        fitted = style.fit(inputs.rows.select(group.members))
    except NotConverged:
        return None
    return _by_rows(inputs, tally, judges, unjudged, fitted)


def not_by_judge(judges: JudgeTally | None) -> Why | None:
    """Why uncertainty cannot be by judge; None where it can."""
    if judges is None or judges.judges == judges.total:  # every battle is a judge of its own
        return Why.NO_JUDGES
    return Why.FEW_JUDGES if judges.judges < JUDGES_LEAST else None


def _by_counts(inputs: Inputs, tally: Tally, judges: JudgeTally | None, unjudged: Why | None) -> Ranked:
    theta = fit(tally.pairs()).theta
    battle = levels.by_battle(tally, theta, inputs.seed, inputs.replicates)
    shown = battle
    if judges is not None and unjudged is None:
        shown = levels.by_judge(judges, theta, inputs.seed, inputs.replicates)
    return Ranked(inputs, tally, judges, theta, battle, shown, unjudged)


def _by_rows(inputs: Inputs, tally: Tally, judges: JudgeTally | None, unjudged: Why | None, fitted: Style) -> Ranked:
    theta, part = fitted.theta, slice(len(fitted.theta))
    covariance = Covariance(fitted.covariance[part, part])
    battle = levels.by_sandwich(Level.BATTLE, theta, covariance, inputs.seed, inputs.replicates)
    shown = battle
    if fitted.clustered is not None and unjudged is None:
        clustered = Covariance(fitted.clustered[part, part], fitted.judges)
        shown = levels.by_sandwich(Level.JUDGE, theta, clustered, inputs.seed, inputs.replicates)
    return Ranked(inputs, tally, judges, theta, battle, shown, unjudged, fitted)


def _reweighted(ranked: Ranked) -> list[float | None]:
    """Ratings with each vote weighed by 1 / P of its draw (equation 7); None where that changes no weight."""
    tally = ranked.tally
    if ranked.style or np.ptp(tally.inverse_p / tally.count) <= 1e-9 * (tally.inverse_p / tally.count).max():
        return [None] * tally.size
    return [float(rating) for rating in to_rating(fit(tally.pairs(reweighted=True), start=ranked.theta).theta)]
