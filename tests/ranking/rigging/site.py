"""A site with 200,000 honest votes between 50 models, by people as arenas have them; the target of the riggers has rank 25.

Votes per person are heavy-tailed (P(n) ~ n^-2, 2.6 on average, as 243,329 votes of 90,051 people); four people share a prefix
now and then; prompts are new but for a tenth, which come from a list of 500; votes are spread over 60 days. 25 % ties.
"""

import numpy as np

from ranking.detectors.history import Ballots, History
from ranking.detectors.watching import DAY_S, Votes
from ranking.rigging.strategies import ratings

MODELS, VOTES, DAYS, NOW, TIES, SPREAD = 50, 200_000, 60.0, 1e9, 0.25, 2.4


def honest(seed: int, spread: float = SPREAD) -> tuple[History, Votes, int]:
    """The counts, the votes as the watch sees them, and the position of the model with rank 25."""
    rng = np.random.default_rng(seed)
    theta = rng.permutation(np.linspace(spread / 2, -spread / 2, MODELS))
    a = rng.integers(0, MODELS, VOTES)
    b = (a + rng.integers(1, MODELS, VOTES)) % MODELS
    chance = 1 / (1 + np.exp(theta[b] - theta[a]))
    drawn = rng.random(VOTES)
    outcome = np.select([drawn < TIES, drawn < TIES + (1 - TIES) * chance], [2, 0], 1)
    ballots = Ballots.of(a, b, outcome)
    history = History.of_ballots(MODELS, ballots)
    voter = _people(rng)
    votes = Votes(
        ballots=ballots,
        voter=voter,
        prefix=voter // 4,
        prompt=np.where(rng.random(VOTES) < 0.1, rng.integers(0, 500, VOTES), 500 + np.arange(VOTES)),
        at=NOW - DAYS * DAY_S + np.sort(rng.random(VOTES)) * DAYS * DAY_S,
        risk=np.zeros(VOTES),
        fresh=np.zeros(VOTES, bool),
        counted=np.ones(VOTES, bool),
    )
    target = int(np.argsort(-ratings(history))[24])
    return history, votes, target


def _people(rng: np.random.Generator) -> np.ndarray:
    """Who cast each vote: most people a few in one stretch of time, some many over weeks."""
    sizes = np.minimum(rng.zipf(2.0, VOTES), 400)
    owners = np.repeat(np.arange(VOTES), sizes)[:VOTES]
    starts = rng.random(VOTES)[owners]
    when = starts + rng.exponential(0.02, VOTES) * np.minimum(sizes[owners], 20)
    return owners[np.argsort(when, kind="stable")]
