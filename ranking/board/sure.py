"""Who leads, by confidence sequences: a verdict that may be looked at every day (`estimators.sequences`).

Since when a model leads is no matter of the votes but of what was published; `ranking.fits.leads` writes it down at publication.
"""

from ranking.board.board_format import Part, Sure, Why
from ranking.board.ranked import Ranked
from ranking.estimators import sequences


def sure(ranked: Ranked) -> Part | Why:
    found = sequences.leader(ranked.theta, ranked.shown.covariance, ranked.battles)
    if found is None:
        return Why.TOO_FEW
    leader, runner_up = ranked.places[found.model], ranked.places[found.runner_up]
    return Sure(leader=leader, runner_up=runner_up, confirmed=found.confirmed)
