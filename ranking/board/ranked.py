"""The ranked group: the models that can be fitted together, their estimate, and how sure it is."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ranking.board import levels
from ranking.board.board_format import Level, Why
from ranking.board.inputs import Inputs
from ranking.board.levels import Uncertain
from ranking.board.reasons import Interval
from ranking.estimators import few_judges, reweighting, shrinkage, style
from ranking.estimators.bradley_terry import NotConverged, fit, to_rating
from ranking.estimators.claims import holm
from ranking.estimators.connectivity import Group, ranked_group
from ranking.estimators.drift import Constancy, constancy
from ranking.estimators.judges import JudgeTally
from ranking.estimators.sandwich import Covariance
from ranking.estimators.style import Style
from ranking.estimators.tally import Floats, Tally


@dataclass(frozen=True, slots=True)
class Shrunk:
    """`spread`: tau in logits; `weight`: mean share kept; `own`: of each model its rating by the category's votes alone."""

    spread: float
    weight: float
    own: list[float | None]


@dataclass(frozen=True, eq=False)
class Ranked:
    """K models in the order of their ids, at the positions `members` of the inputs; `tally`, `judges` and `theta` (logits) are of
    them alone. theta has the mean zero, but on a board that is drawn towards the overall one, which is in that one's gauge.

    `shown` is the uncertainty by judge where that can be told (`unjudged` is None then), else `battle`. `style` is the
    fit of a style-controlled board; `shrunk` says how a thin category was drawn.
    """

    inputs: Inputs
    members: list[int]
    tally: Tally
    judges: JudgeTally | None
    theta: Floats
    battle: Uncertain
    shown: Uncertain
    unjudged: Why | None
    style: Style | None = None
    shrunk: Shrunk | None = None

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
        """Figures of single models from other fits."""
        own: list[float | None] = self.shrunk.own if self.shrunk else [None] * self.tally.size
        return {"reweighted": _reweighted(self), "raw_rating": own, "drift_p": self.drift[1]}

    @cached_property
    def drift(self) -> tuple[Constancy | None, list[float | None]]:
        """The test of constancy and each model's p-value by Holm; None and nulls where there are no periods."""
        if len(self.inputs.periods) < 2 or self.style or self.shrunk:
            return None, [None] * self.tally.size
        found = constancy([period.select(self.members) for period in self.inputs.periods])
        return found, [float(p) for p in holm(found.p_value)]


def rank(inputs: Inputs, group: Group) -> Ranked | None:
    """None where no two models can be fitted together, or where the style of the answers decides every battle."""
    if inputs.overall is not None and (drawn := _by_overall(inputs, inputs.overall)):
        return drawn
    if not len(group.members):
        return None
    tally = inputs.tally.select(group.members)
    judges = inputs.judges.select(group.members) if inputs.judges else None
    begun = Begun(inputs, group.members.tolist(), tally, judges, not_by_judge(judges))
    if inputs.rows is None:
        return _by_counts(begun)
    try:
        fitted = style.fit(inputs.rows.select(group.members))
    except NotConverged:
        return None
    return _by_rows(begun, fitted)


def not_by_judge(judges: JudgeTally | None) -> Why | None:
    """Why uncertainty cannot be by judge; None where it can."""
    if judges is None or judges.judges == judges.total:  # every battle is a judge of its own
        return Why.NO_JUDGES
    return Why.ONE_JUDGE if judges.judges < 2 else None


class Begun(NamedTuple):
    """The first fields of Ranked, which do not depend on the fit."""

    inputs: Inputs
    members: list[int]
    tally: Tally
    judges: JudgeTally | None
    unjudged: Why | None

    def ranked(self, theta: Floats, battle: Uncertain, shown: Uncertain, **more: Any) -> Ranked:
        named = self._asdict()
        return Ranked(**named, theta=theta, battle=battle, shown=shown, **more)


def _by_counts(begun: Begun) -> Ranked:
    seed, replicates = begun.inputs.seed, begun.inputs.replicates
    theta = fit(begun.tally.pairs()).theta
    battle = levels.by_battle(begun.tally, theta, seed, replicates)
    if begun.judges is None or begun.unjudged:
        return begun.ranked(theta, battle, battle)
    shown = levels.by_judge(begun.judges, theta, seed, replicates)
    if battle.interval is Interval.BOUND or not shown.variance > levels.NOTHING * battle.variance:
        return begun._replace(unjudged=Why.NO_SPREAD).ranked(theta, battle, battle)
    return begun.ranked(theta, battle, shown)


def _by_rows(begun: Begun, fitted: Style) -> Ranked:
    seed, replicates = begun.inputs.seed, begun.inputs.replicates
    theta, part = fitted.theta, slice(len(fitted.theta))
    battle = levels.by_sandwich(Level.BATTLE, theta, Covariance(fitted.covariance[part, part]), seed, replicates)
    shown = battle
    if fitted.clustered is not None and begun.judges is not None and begun.unjudged is None:
        counted = fit(begun.tally.pairs()).theta
        clustered = few_judges.borrowed(fitted.clustered[part, part], begun.judges, counted)
        shown = levels.by_sandwich(Level.JUDGE, theta, clustered, seed, replicates)
    return begun.ranked(theta, battle, shown, style=fitted)


def _by_overall(inputs: Inputs, overall: Tally) -> Ranked | None:
    """A thin category, drawn towards all votes; None where those cannot be fitted. Its draws are from the posterior."""
    place = np.array([overall.models.index(name) for name in inputs.tally.models], np.int64)
    here = replace(
        inputs.tally, models=overall.models, first=place[inputs.tally.first], second=place[inputs.tally.second]
    )
    try:
        found = shrinkage.boards(overall, {"here": here})
    except NotConverged:
        return None
    if found is None:
        return None
    among = {int(member): i for i, member in enumerate(found.members)}
    members = [i for i, position in enumerate(place.tolist()) if position in among]
    if len(members) < 2:
        return None
    kept = np.array([among[int(place[i])] for i in members], np.int64)
    category = found.categories["here"]
    theta, covariance = category.theta[kept], Covariance(category.covariance[np.ix_(kept, kept)])
    drawn = levels.by_sandwich(Level.BATTLE, theta, covariance, inputs.seed, inputs.replicates, Interval.POSTERIOR)
    told = Shrunk(found.tau, float(category.kept[kept].mean()), _own(inputs.tally, members))
    tally = inputs.tally.select(members)
    return Begun(inputs, members, tally, None, Why.SHRUNK).ranked(theta, drawn, drawn, shrunk=told)


def _own(tally: Tally, members: list[int]) -> list[float | None]:
    """Ratings by the category's votes alone, in its own gauge; None for models that these cannot rank."""
    group = ranked_group(tally.pairs())
    ratings: dict[int, float] = {}
    if len(group.members):
        alone = to_rating(fit(tally.select(group.members).pairs()).theta)
        ratings = dict(zip(group.members.tolist(), alone.tolist(), strict=True))
    return [ratings.get(i) for i in members]


def _reweighted(ranked: Ranked) -> list[float | None]:
    """Ratings with each vote weighed by 1 / P of its draw (equation 7); None where that changes no weight."""
    tally = ranked.tally
    weights = tally.inverse_p / tally.count
    if ranked.style or ranked.shrunk or np.ptp(weights) <= 1e-9 * weights.max():
        return [None] * tally.size
    return [float(rating) for rating in to_rating(reweighting.estimate(tally).theta)]
