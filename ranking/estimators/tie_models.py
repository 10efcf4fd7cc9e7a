"""Which law of ties predicts best: log-loss on held-out battles, from counts alone. No Django.

Folds are made without rows: the battles of a fold are drawn from the cells without replacement (multivariate hypergeometric),
so a fold is what shuffling the rows and cutting them would give. Each law is fitted on the other folds.

What is scored, the same for every law: minus log P of the whole outcome {first, second, tie, both bad}, per battle in nats.
A law that has no probability of a tie (half-win, drop) gets the training folds' share of ties t = (ties + 1/2) / (n + 1), the
same for every pair, and its own odds for the rest; a law that merges "both bad" with ties splits them by the training folds'
share. Where the data have no "both bad", the outcome is {first, second, tie}. Beside it: the loss on decided battles alone,
minus log P(winner | decided).

A fold whose training battles have no estimate gets half a virtual battle, a quarter of a win each way, for every pair that has
met; `Scored.helped` counts those folds. A law that has no estimate then either (no tie among them, for instance) is not scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit

from ranking.estimators import outcomes
from ranking.estimators.davidson import DAVIDSON
from ranking.estimators.grounded_rao_kupper import GROUNDED_RAO_KUPPER
from ranking.estimators.half_win import DROP, HALF_WIN
from ranking.estimators.laws import Law, log_chances
from ranking.estimators.outcomes import Fitted, NoEstimate
from ranking.estimators.rao_kupper import RAO_KUPPER
from ranking.estimators.tally import OUTCOMES, Bools, Floats, Ints, Outcome, Tally
from ranking.method import VIRTUAL_BATTLE

LAWS = (HALF_WIN, DROP, DAVIDSON, RAO_KUPPER, GROUNDED_RAO_KUPPER)
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Scored:
    """`loss`, `decided`: mean nats per battle and per decided battle; `behind`: loss less the best one's, with the standard error
    `behind_se` of the paired difference; `tie`: phi on all battles. `why`: no estimate, then the figures are None."""

    name: str
    loss: float | None
    decided: float | None
    behind: float | None
    behind_se: float | None
    helped: int
    tie: float | None
    why: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`best`: the name with the least loss, None where no law has an estimate; `outcomes`: how many outcomes are told apart."""

    scored: tuple[Scored, ...]
    best: str | None
    outcomes: int
    folds: int


def compare(tally: Tally, seed: int, folds: int = FOLDS, laws: Sequence[Law] = LAWS) -> Comparison:
    """The table of the laws on the battles of a strongly connected tally. The same seed and tally give the same table.

    Raises ValueError for counts that are not whole, or fewer battles than folds.
    """
    whole, why = {}, {}
    for law in laws:
        try:
            whole[law.name] = outcomes.fit(law, tally)
        except NoEstimate as refusal:
            why[law.name] = str(refusal)
    parts = thin(tally, folds, np.random.default_rng(seed))
    while True:
        fitted = [law for law in laws if law.name in whole]
        try:
            sums, helped = _scores(fitted, whole, parts, tally)
            break
        except _Refused as refusal:
            why[refusal.law] = f"without a fold: {refusal}"
            del whole[refusal.law]
    return _table(laws, fitted, whole, why, sums, helped, _told_apart(tally), folds)


class _Refused(NoEstimate):
    """One law has no estimate on the training battles of a fold."""

    def __init__(self, law: str, reason: str) -> None:
        super().__init__(reason)
        self.law = law


def _scores(
    fitted: Sequence[Law], whole: dict[str, Fitted], parts: Sequence[Tally], tally: Tally
) -> tuple["_Sums", list[int]]:
    sums, helped = _Sums(len(fitted)), [0] * len(fitted)
    for test in parts:
        train = _with_counts(tally, tally.count - test.count)
        for n, law in enumerate(fitted):
            try:
                helped[n] += sums.score(n, law, whole[law.name], train, test, tally)
            except NoEstimate as refusal:
                raise _Refused(law.name, str(refusal)) from None
        sums.close()
    return sums, helped


def thin(tally: Tally, folds: int, rng: np.random.Generator) -> list[Tally]:
    """Split the battles into `folds` tallies over the same cells (some counts 0), of sizes that differ by at most one."""
    counts = np.rint(tally.count).astype(np.int64)
    if not np.allclose(counts, tally.count):
        raise ValueError("counts of battles must be whole to be split")
    total = int(counts.sum())
    if folds < 2 or total < folds:
        raise ValueError(f"{total} battles cannot be split into {folds} folds")
    parts = []
    for fold in range(folds):
        size = total // folds + (fold < total % folds)
        drawn = rng.multivariate_hypergeometric(counts, size, method="marginals")
        parts.append(_with_counts(tally, drawn.astype(float)))
        counts -= drawn
    return parts


def _with_counts(tally: Tally, count: Floats) -> Tally:
    return Tally(
        tally.models, tally.first, tally.second, tally.first_was_a, tally.outcome, count, count.copy(), count.copy()
    )


def _told_apart(tally: Tally) -> int:
    return 4 if (tally.outcome == Outcome.BOTH_BAD).any() else 3


def _fit(law: Law, train: Tally, tally: Tally, start: Fitted) -> tuple[Fitted, bool]:
    """On the training battles, or with the virtual ones where there is no estimate without."""
    filled = train.count > 0
    try:
        kept = Tally(train.models, *(getattr(train, name)[filled] for name in _COLUMNS))
        return outcomes.fit(law, kept, start=start), False
    except NoEstimate:
        return outcomes.fit(law, _helped(train, tally), start=start), True


_COLUMNS = ("first", "second", "first_was_a", "outcome", "count", "inverse_p", "inverse_p2")


def _helped(train: Tally, tally: Tally) -> Tally:
    met, filled = tally.pairs(), train.count > 0
    twice, share = np.ones(2 * len(met.first), bool), np.full(2 * len(met.first), VIRTUAL_BATTLE / 2)
    ended = np.repeat([Outcome.FIRST, Outcome.SECOND], len(met.first)).astype(np.int64)
    virtual = (np.tile(met.first, 2), np.tile(met.second, 2), twice, ended, share, share, share)
    columns = (np.concatenate([getattr(train, n)[filled], v]) for n, v in zip(_COLUMNS, virtual, strict=True))
    return Tally(train.models, *columns)


def predict(law: Law, fitted: Fitted, first: Ints, second: Ints, train: Tally, told_apart: int) -> Floats:
    """(4, n) log P of every outcome of a pair, as stated at the top; the row of "both bad" is -inf where there are none."""
    counts = np.bincount(train.outcome, train.count, OUTCOMES)
    undecided = counts[Outcome.TIE] + counts[Outcome.BOTH_BAD]
    bad = (counts[Outcome.BOTH_BAD] + 0.5) / (undecided + 1) if told_apart == OUTCOMES else 0.0
    if Outcome.BOTH_BAD in law.chances:
        zero = fitted.anchor[0] if fitted.anchor else 0.0
        return log_chances(law, fitted.theta[first] + zero, fitted.theta[second] + zero, fitted.tie)
    if law.tie_start is None:
        tied, gap = (undecided + 0.5) / (counts.sum() + 1), fitted.theta[first] - fitted.theta[second]
        won, lost = log_expit(gap) + np.log1p(-tied), log_expit(-gap) + np.log1p(-tied)
        either = np.full(len(first), np.log(tied))
    else:
        won, lost, either, _none = log_chances(law, fitted.theta[first], fitted.theta[second], fitted.tie)
    with np.errstate(divide="ignore"):
        return np.stack([won, lost, either + np.log1p(-bad), either + np.log(bad)])


class _Sums:
    """Sums over held-out battles: of each law's losses, of their products by twos, and of the losses on decided battles."""

    def __init__(self, laws: int) -> None:
        self.loss, self.product, self.decided = np.zeros(laws), np.zeros((laws, laws)), np.zeros(laws)
        self.battles, self.decisions = 0.0, 0.0
        self._fold: list[Floats] = []
        self._count = np.zeros(0)

    def score(self, n: int, law: Law, start: Fitted, train: Tally, test: Tally, tally: Tally) -> bool:
        """Fit and score one law on one fold: were the virtual battles needed?"""
        fitted, helped = _fit(law, train, tally, start)
        filled: Bools = test.count > 0
        first, second, ended = test.first[filled], test.second[filled], test.outcome[filled]
        self._count = test.count[filled]
        logs = predict(law, fitted, first, second, train, _told_apart(tally))
        self._fold.append(-logs[ended, np.arange(len(ended))])
        decided = ended < Outcome.TIE
        given = logs[ended[decided], np.flatnonzero(decided)] - np.logaddexp(logs[0], logs[1])[decided]
        self.decided[n] -= self._count[decided] @ given
        if n == 0:
            self.battles += float(self._count.sum())
            self.decisions += float(self._count[decided].sum())
        return helped

    def close(self) -> None:
        """After the last law of a fold."""
        if self._fold:
            losses = np.stack(self._fold)
            self.loss += losses @ self._count
            self.product += (losses * self._count) @ losses.T
        self._fold = []


def _table(
    laws: Sequence[Law],
    fitted: Sequence[Law],
    whole: dict[str, Fitted],
    why: dict[str, str],
    sums: _Sums,
    helped: Sequence[int],
    told_apart: int,
    folds: int,
) -> Comparison:
    rows: dict[str, Scored] = {}
    best = int(np.argmin(sums.loss)) if fitted else 0
    for n, law in enumerate(fitted):
        square = sums.product[n, n] - 2 * sums.product[n, best] + sums.product[best, best]
        behind = (sums.loss[n] - sums.loss[best]) / sums.battles
        spread = max(float(square) / sums.battles - behind**2, 0.0)
        rows[law.name] = Scored(
            law.name,
            float(sums.loss[n] / sums.battles),
            float(sums.decided[n] / sums.decisions) if sums.decisions else None,
            float(behind),
            float(np.sqrt(spread / sums.battles)),
            helped[n],
            whole[law.name].tie,
            None,
        )
    for name, reason in why.items():
        rows[name] = Scored(name, None, None, None, None, 0, None, reason)
    return Comparison(tuple(rows[law.name] for law in laws), fitted[best].name if fitted else None, told_apart, folds)
