"""The rule that this site flags a voter by, and why testing again and again flags no more honest voters than it says.

Two parts share ALPHA, the probability that an honest voter is ever flagged, in a whole life of voting:

- nine tenths for the likelihood-ratio e-process (`attackers`), which needs no correction for looks: Ville's inequality;
- one tenth for the fixed-number tests, which are applied at looks only: to a voter's first 50, 100, 200, 400, ... votes,
  whenever the job happens to run, so that the result depends on the votes alone. Look k = 0, 1, ... may spend 2^-(k+1) of
  that tenth (the sum of which is 1), half of it on the residuals per model, a quarter on agreement, an eighth each on sides
  and on ties.

Bonferroni over the parts gives P(an honest voter is ever flagged) <= ALPHA. Test: tests/ranking/detectors/test_sequential.py
measures it over 400 votes per voter, and the power at 50 and 100 votes against the published table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ranking.detectors import attackers, residual, sides
from ranking.detectors.history import Ballots, History

ALPHA = 0.05
PROCESS_SHARE = 0.9
FIRST_LOOK = 50
SPLIT = {"residual": 0.5, "agreement": 0.25, "sides": 0.125, "ties": 0.125}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`detector`: what saw it first (`attackers` first among equals), "" for nobody; `statistic`: log10 E, or the p-value.

    `way` and `model` (-1 = none): what the voter seems to do.
    """

    detector: str
    statistic: float
    way: str
    model: int

    @property
    def flagged(self) -> bool:
        return bool(self.detector)


def looks(votes: int, alpha: float) -> Iterator[tuple[int, float]]:
    """(number of votes, alpha to spend) of each look that so many votes allow; all looks together spend at most `alpha`."""
    at, share = FIRST_LOOK, 0.5
    while at <= votes:
        yield at, alpha * share
        at, share = 2 * at, share / 2


def judge(history: History, ballots: Ballots, alpha: float = ALPHA, first_share: float = 0.5) -> Verdict:
    """Of one voter's ballots in the order in which they were cast. `history` holds none of them (`History.without`)."""
    suspicion = attackers.suspect(history, ballots)
    if suspicion.flags(alpha * PROCESS_SHARE):
        return Verdict("attackers", suspicion.peak, suspicion.way, suspicion.model)
    for at, spent in looks(len(ballots), alpha * (1 - PROCESS_SHARE)):
        p, model = _at_look(history, ballots.take(slice(0, at)), first_share)
        for name, share in SPLIT.items():
            if p[name] < share * spent:
                return Verdict(name, p[name], name, model if name == "residual" else -1)
    return Verdict("", suspicion.peak, suspicion.way, suspicion.model)


def _at_look(history: History, ballots: Ballots, first_share: float) -> tuple[dict[str, float], int]:
    found, habits = residual.look_at(history, ballots), sides.look_at(history, ballots, first_share)
    p = {"residual": found.p, "agreement": found.agreement_p, "sides": habits.side_p, "ties": habits.tie_p}
    return p, found.model
