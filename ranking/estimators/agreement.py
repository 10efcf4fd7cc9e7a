"""How often people agree: percentage, Cohen's and Fleiss' kappa, intervals by battle. Pure numpy, no Django.

Chatbot Arena (arXiv 2403.04132) reports crowd against experts (72 to 83 %) and experts against each other (79 to 90 %).
`between` compares two groups on the battles that both judged, `among` the members of one group on the battles that two or more
of them judged. Every battle counts once, however many labels it has. Cohen (1960): chance agreement from the two groups' own
shares of labels; Fleiss (1971): from the shares of the one group; where the number of raters varies, the mean over battles of
the agreeing share of rater pairs. With one label each, or the same number in every battle, these are the textbook figures.

Intervals are 95 % percentiles of a bootstrap that draws battles with all their labels, because labels of one battle belong
together. Shown by tests/ranking/estimators/test_agreement.py (statsmodels' kappas, coverage).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ranking.estimators.tally import Floats, Ints
from ranking.method import CONFIDENCE, REPLICATES

CHUNK_FLOATS = 1 << 22


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """n judgements: codes of the battle and of the rater, and the label (an Outcome, or any code from 0)."""

    battle: Ints
    rater: Ints
    label: Ints

    @classmethod
    def of(cls, battle: ArrayLike, rater: ArrayLike, label: ArrayLike) -> "Labels":
        """Raises ValueError for columns of different lengths, a negative label, or two labels of one rater on one battle."""
        columns = [np.asarray(column, np.int64) for column in (battle, rater, label)]
        if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
            raise ValueError("battles, raters and labels must be columns of one length")
        if len(columns[2]) and columns[2].min() < 0:
            raise ValueError("a label is negative")
        if len(np.unique(np.column_stack(columns[:2]), axis=0)) < len(columns[0]):
            raise ValueError("a rater has judged a battle twice")
        return cls(*columns)

    def only(self, labels: Iterable[int]) -> "Labels":
        """The judgements with one of these labels, such as those that name a winner."""
        return self._where(np.isin(self.label, list(labels)))

    def by(self, raters: Iterable[int]) -> "Labels":
        return self._where(np.isin(self.rater, list(raters)))

    def _where(self, kept: np.ndarray) -> "Labels":
        return Labels(self.battle[kept], self.rater[kept], self.label[kept])


@dataclass(frozen=True, slots=True)
class Agreement:
    """`share` of agreeing pairs of labels and `kappa`, each with its 95 % interval, over `battles` and `pairs` of labels.

    All None where no battle was judged by both sides (`why` says so); kappa alone is None where everybody always chose the same
    label, or where more than a twentieth of the replicates are so.
    """

    share: float | None
    lower: float | None
    upper: float | None
    kappa: float | None
    kappa_lower: float | None
    kappa_upper: float | None
    battles: int
    pairs: int
    why: str = ""


def between(one: Labels, other: Labels, seed: int, replicates: int = REPLICATES) -> Agreement:
    """Percentage and Cohen's kappa of two groups, such as the crowd and the experts, or of two raters."""
    common = np.intersect1d(one.battle, other.battle)
    if not len(common):
        return _nothing("no battle was judged by both")
    size = 1 + int(max(one.label.max(), other.label.max()))
    rows, columns = _counts(one, common, size), _counts(other, common, size)
    pairs = rows.sum(axis=1) * columns.sum(axis=1)
    tables = rows[:, :, None] * columns[:, None, :] / pairs[:, None, None]

    def figures(weights: Floats) -> tuple[Floats, Floats]:
        table = (weights @ tables.reshape(len(common), -1)).reshape(-1, size, size) / len(common)
        return np.trace(table, axis1=1, axis2=2), (table.sum(axis=2) * table.sum(axis=1)).sum(axis=1)

    return _agreement(figures, len(common), int(pairs.sum()), seed, replicates)


def among(labels: Labels, seed: int, replicates: int = REPLICATES) -> Agreement:
    """Percentage and Fleiss' kappa of the members of one group, such as the experts."""
    battles, times = np.unique(labels.battle, return_counts=True)
    common = battles[times > 1]
    if not len(common):
        return _nothing("no battle was judged by two of them")
    counts = _counts(labels, common, 1 + int(labels.label.max()))
    raters = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))

    def figures(weights: Floats) -> tuple[Floats, Floats]:
        shares = weights @ counts
        shares /= shares.sum(axis=1, keepdims=True)
        return weights @ agreeing / len(common), (shares**2).sum(axis=1)

    return _agreement(figures, len(common), int((raters * (raters - 1) / 2).sum()), seed, replicates)


def _counts(labels: Labels, battles: Ints, size: int) -> Floats:
    """(battles, labels) how many judged each battle so; `battles` sorted."""
    inside = np.isin(labels.battle, battles)
    place = np.searchsorted(battles, labels.battle[inside])
    return (
        np.bincount(place * size + labels.label[inside], minlength=len(battles) * size).reshape(-1, size).astype(float)
    )


def _agreement(
    figures: Callable[[Floats], tuple[Floats, Floats]], battles: int, pairs: int, seed: int, replicates: int
) -> Agreement:
    """`figures`: (B, battles) weights that sum to the number of battles -> observed and chance agreement, (B,) each."""
    rng = np.random.default_rng(seed)
    share, chance = (float(column[0]) for column in figures(np.ones((1, battles))))
    observed, expected = [], []
    size = max(1, CHUNK_FLOATS // battles)
    for begin in range(0, replicates, size):
        drawn = rng.multinomial(battles, np.full(battles, 1 / battles), size=min(size, replicates - begin))
        columns = figures(drawn.astype(float))
        observed.append(columns[0])
        expected.append(columns[1])
    shares, chances = np.concatenate(observed), np.concatenate(expected)
    defined = chances < 1 - 1e-12
    tail = (1 - CONFIDENCE) / 2
    lower, upper = np.quantile(shares, [tail, 1 - tail])
    if chance >= 1 - 1e-12 or defined.mean() < 0.95:
        return Agreement(
            share, float(lower), float(upper), None, None, None, battles, pairs, "nearly all labels are the same"
        )
    kappas = (shares[defined] - chances[defined]) / (1 - chances[defined])
    low, high = np.quantile(kappas, [tail, 1 - tail])
    kappa = (share - chance) / (1 - chance)
    return Agreement(share, float(lower), float(upper), kappa, float(low), float(high), battles, pairs)


def _nothing(why: str) -> Agreement:
    return Agreement(None, None, None, None, None, None, 0, 0, why)
