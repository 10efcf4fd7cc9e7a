"""What a rigging would do to a board: its votes are put among the real ones, and the watch's rules are asked.

Assumptions about the rigger (`Spread`): his votes are spread evenly over the last DAYS days; his visitors each have the same
number of votes, are new, take their time (no haste), and share so many address prefixes and prompts. `hard`: every visitor
has a prefix of his own and every prompt is new, so that nothing but the votes themselves can be seen.
"""

from dataclasses import dataclass, fields

import numpy as np

from ranking.detectors.history import Ballots, History
from ranking.detectors.watching import DAY_S, Rules, Votes, examine
from ranking.estimators.tally import Bools
from ranking.rigging.strategies import ratings

DAYS = 7.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Over how many visitors, address prefixes and prompts the votes are spread; 0 prompts = each vote has its own."""

    name: str
    visitors: int
    prefixes: int
    prompts: int = 0


SPREADS = (
    Spread("1 visitor", 1, 1),
    Spread("20 visitors, 5 prefixes", 20, 5),
    Spread("1,000 visitors, 40 prefixes, 100 prompts", 1000, 40, 100),
    Spread("1,000 visitors, hard", 1000, 1000),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Ranks of the target (1 = first); `flagged`: share of the rigged votes that went out; `honest`: how many real ones."""

    before: int
    without: int
    defended: int
    flagged: float
    honest: int


def replay(
    history: History,
    votes: Votes,
    target: int,
    rigged: Ballots,
    spread: Spread,
    rules: Rules,
    now: float,
    seed: int = 1,
) -> Outcome:
    """`history` and `votes`: the real ones, as the watch sees them. `rigged`: votes of a `Rigger`; only they are new to it."""
    both, is_rigged = _mixed(votes, _disguised(rigged, spread, now, votes, seed))
    attacked = history.plus(rigged)
    out = np.zeros(len(both), bool)
    for finding in examine(attacked, both, rules, now):
        out[finding.rows] = True
    out &= both.counted
    return Outcome(
        before=rank(history, target),
        without=rank(attacked, target),
        defended=rank(attacked.without(both.ballots.take(out)), target),
        flagged=float(out[is_rigged].mean()),
        honest=int(out[~is_rigged].sum()),
    )


def rank(history: History, target: int) -> int:
    """1 + models with a higher rating."""
    theta = ratings(history)
    return 1 + int((theta > theta[target]).sum())


def _disguised(ballots: Ballots, spread: Spread, now: float, real: Votes, seed: int) -> Votes:
    """The rigged votes with the rest of what the site knows about a vote; codes that no real vote has."""
    rng, n = np.random.default_rng(seed), len(ballots)
    visitor = rng.permutation(np.arange(n) % spread.visitors)
    prompt = rng.integers(0, spread.prompts, n) if spread.prompts else np.arange(n)
    return Votes(
        ballots=ballots,
        voter=visitor + 1 + real.voter.max(initial=-1),
        prefix=visitor % spread.prefixes + 1 + real.prefix.max(initial=-1),
        prompt=prompt + 1 + real.prompt.max(initial=-1),
        at=now - DAYS * DAY_S * (1 - (np.arange(n) + 0.5) / n),
        risk=np.zeros(n),
        fresh=np.ones(n, bool),
        counted=np.ones(n, bool),
    )


def _mixed(real: Votes, rigged: Votes) -> tuple[Votes, Bools]:
    """Both in the order of time, and which are rigged."""
    order = np.argsort(np.concatenate([real.at, rigged.at]), kind="stable")
    is_rigged = np.repeat([False, True], [len(real), len(rigged)])[order]
    columns = {
        field.name: np.concatenate([getattr(real, field.name), getattr(rigged, field.name)])[order]
        for field in fields(Votes)
        if field.name not in ("ballots", "fresh")
    }
    ballots = real.ballots.then(rigged.ballots).take(order)
    return Votes(ballots=ballots, fresh=is_rigged, **columns), is_rigged
