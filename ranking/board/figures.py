"""What is said of a board as a whole: each figure, or the reason why there is none."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, ndtri

from ranking.board.board_format import (
    FIGURES,
    Certificate,
    Claim,
    Clusters,
    Cycles,
    Drift,
    Part,
    Position,
    Shrinkage,
    Style,
    StyleTerm,
    TieModel,
    Ties,
    Why,
)
from ranking.board.ranked import Ranked
from ranking.board.sure import sure
from ranking.estimators import certificate as drop
from ranking.estimators import claims as tests
from ranking.estimators import cycles as triads
from ranking.estimators import position as first_shown
from ranking.estimators import tie_models
from ranking.estimators.bradley_terry import PER_LOGIT
from ranking.estimators.few_judges import widening
from ranking.estimators.outcomes import NoEstimate
from ranking.method import CONFIDENCE

Figure = Part | Sequence[Part] | Why


def of(ranked: Ranked | None) -> dict[str, Any]:
    """Fields of board_format.Board: the figures, and `why` for those that are null."""
    found: dict[str, Figure] = dict.fromkeys(FIGURES, Why.TOO_FEW)
    if ranked:
        found |= {name: find(ranked) for name, find in FINDERS.items()}
    why = {name: figure.value for name, figure in found.items() if isinstance(figure, Why)}
    return {name: None if name in why else figure for name, figure in found.items()} | {"why": why}


def position(ranked: Ranked) -> Figure:
    if ranked.style:
        return Why.CONTROLLED
    try:
        found = first_shown.estimate(ranked.tally)
    except NoEstimate:
        return Why.NOT_CONVERGED
    reach = float(ndtri(0.5 + CONFIDENCE / 2)) * found.se
    share, lower, upper = (float(expit(found.logit + by)) for by in (0.0, -reach, reach))
    return Position(logit=found.logit, se=found.se, share=share, lower=lower, upper=upper)


def ties(ranked: Ranked) -> Figure:
    if ranked.style or ranked.inputs.part:
        return Why.CONTROLLED if ranked.style else Why.OVERALL_ONLY
    try:
        found = tie_models.compare(ranked.tally, ranked.inputs.seed)
    except (ValueError, ArithmeticError):
        return Why.TOO_FEW
    if found.best is None:
        return Why.NOT_CONVERGED
    models = [
        TieModel(name=one.name, log_loss=one.loss, behind=one.behind, behind_se=one.behind_se, why=one.why)
        for one in sorted(found.scored, key=lambda one: (one.loss is None, one.loss))
    ]
    pairs = ranked.tally.pairs()
    share = float((pairs.tied + pairs.both_bad).sum() / pairs.battles.sum())
    return Ties(models=models, best=found.best, share=share, folds=found.folds)


def claims(ranked: Ranked) -> Figure:
    """Each model against the next on the board; the better one of the two is the one with the higher rating."""
    order = np.array(ranked.order)
    tested = tests.of_pairs(ranked.theta, ranked.shown.covariance, order[:-1], order[1:])
    return [
        Claim(
            better=place if gap >= 0 else place + 1,
            worse=place + 1 if gap >= 0 else place,
            difference=abs(float(PER_LOGIT * gap)),
            se=float(PER_LOGIT * tested.se[place]),
            p=float(tested.p[place]),
            p_holm=float(tested.adjusted[place]),
            holds=bool(tested.holds()[place]),
        )
        for place, gap in enumerate(tested.gap)
    ]


def style(ranked: Ranked) -> Figure:
    fitted = ranked.style
    if fitted is None:
        return Why.NOT_CONTROLLED
    by_judge = fitted.clustered is not None and ranked.unjudged is None
    matrix = fitted.clustered if by_judge and fitted.clustered is not None else fitted.covariance
    errors = np.sqrt(np.maximum(np.diag(matrix)[len(fitted.theta) :], 0.0))
    reach = float(ndtri(0.5 + CONFIDENCE / 2) * np.median(widening(ranked.shown.covariance)))  # of a typical model
    terms = [
        StyleTerm(name=name, coefficient=float(b), se=float(e), lower=float(b - reach * e), upper=float(b + reach * e))
        for name, b, e in zip(fitted.names, fitted.beta, errors, strict=True)
    ]
    return Style(covariates=terms, dropped=[list(one) for one in fitted.dropped], votes=fitted.battles)


def clusters(ranked: Ranked) -> Figure:
    """How much wider intervals are by judge: the root of the ratio of their mean squares, Student's beside the normal one."""
    if ranked.unjudged or ranked.judges is None:
        return ranked.unjudged or Why.NO_JUDGES
    covariance, votes = ranked.shown.covariance, ranked.tally.total
    widths = (widening(covariance) * covariance.se) ** 2
    effect = float(widths.sum()) / ranked.battle.variance
    fewest = None if covariance.effective is None else float(covariance.effective.min())
    return Clusters(
        judges=ranked.judges.judges, effective_judges=fewest, effective_votes=votes / effect, inflation=effect**0.5
    )


def certificate(ranked: Ranked) -> Figure:
    if ranked.style or ranked.shrunk:
        return Why.CONTROLLED if ranked.style else Why.SHRUNK
    found = drop.top(ranked.tally.pairs(), ranked.theta)
    if found is None or found.votes is None or found.share is None:
        return Why.NOT_FOUND
    leader, runner_up = ranked.places[found.upper], ranked.places[found.lower]
    return Certificate(votes=found.votes, share=found.share, leader=leader, runner_up=runner_up, exact=True)


def drift(ranked: Ranked) -> Figure:
    if ranked.style or ranked.inputs.part:
        return Why.CONTROLLED if ranked.style else Why.OVERALL_ONLY
    found, adjusted = ranked.drift
    if found is None:
        return Why.NO_PERIODS
    most = int(np.argmin(found.p_value))
    return Drift(
        statistic=float(found.statistic[most]),
        df=int(found.freedom[most]),
        p=min(p for p in adjusted if p is not None),
        periods=len(ranked.inputs.periods),
        most=ranked.places[most],
    )


def cycles(ranked: Ranked) -> Figure:
    if ranked.style or ranked.inputs.part:
        return Why.CONTROLLED if ranked.style else Why.OVERALL_ONLY
    if len(ranked.theta) < 3:
        return Why.TOO_FEW
    try:
        found = triads.judge(ranked.tally, ranked.inputs.seed)
    except NoEstimate:
        return Why.NOT_CONVERGED
    if not found.triads:
        return Why.TOO_FEW
    return Cycles(observed=found.observed, triads=found.triads, expected=found.expected, p=found.p_value)


def shrinkage(ranked: Ranked) -> Figure:
    if ranked.shrunk is None:
        return Why.NOT_THIN
    return Shrinkage(towards="", spread=float(PER_LOGIT * ranked.shrunk.spread), weight=ranked.shrunk.weight)


FINDERS: dict[str, Callable[[Ranked], Figure]] = {
    "position": position,
    "ties": ties,
    "claims": claims,
    "certificate": certificate,
    "drift": drift,
    "cycles": cycles,
    "style": style,
    "sure": sure,
    "clusters": clusters,
    "shrinkage": shrinkage,
}
