"""Held-out comparison of the laws: fair folds, a common outcome space, the true law wins, refusals are named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import outcomes, tie_models
from ranking.estimators.davidson import DAVIDSON
from ranking.estimators.grounded_rao_kupper import GROUNDED_RAO_KUPPER
from ranking.estimators.half_win import DROP, HALF_WIN
from ranking.estimators.laws import Law, log_chances
from ranking.estimators.rao_kupper import RAO_KUPPER
from ranking.estimators.tally import Outcome, Tally
from tests.ranking.estimators import law_battles

THETA = np.linspace(-1.5, 1.5, 7)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.integers(2, 9))
def test_folds_are_a_partition_of_the_battles(seed: int, k: int, folds: int) -> None:
    tally = law_battles.ring(seed, k)
    parts = tie_models.thin(tally, folds, np.random.default_rng(seed))
    assert np.array_equal(sum(part.count for part in parts), tally.count)
    assert np.ptp([part.total for part in parts]) <= 1 and all((part.count >= 0).all() for part in parts)


def test_folds_are_as_likely_as_cut_rows() -> None:
    """Of two cells with 6 and 4 battles the first fold of two holds 3 and 2 on average, with the hypergeometric variance."""
    tally = Tally.of_battles("ab", [0] * 10, [1] * 10, [0] * 6 + [1] * 4)
    drawn = [tie_models.thin(tally, 2, np.random.default_rng(seed))[0].count[0] for seed in range(2000)]
    assert np.mean(drawn) == pytest.approx(3, abs=0.06)
    assert np.var(drawn) == pytest.approx(5 * 0.6 * 0.4 * 5 / 9, rel=0.1)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_every_law_is_scored_on_probabilities_that_sum_to_one(seed: int, both_bad: bool) -> None:
    tally = law_battles.ring(seed, 4, both_bad=both_bad)
    met, told_apart = tally.pairs(), 4 if both_bad else 3
    for law in tie_models.LAWS[: 5 if both_bad else 4]:
        logs = tie_models.predict(law, outcomes.fit(law, tally), met.first, met.second, tally, told_apart)
        assert np.allclose(np.exp(logs).sum(axis=0), 1, atol=1e-12)
        assert np.isfinite(logs[:told_apart]).all()


@pytest.mark.parametrize("law", [DAVIDSON, RAO_KUPPER, GROUNDED_RAO_KUPPER], ids=lambda law: law.name)
def test_the_law_that_made_the_battles_wins(law: Law) -> None:
    tally = law_battles.battles(np.random.default_rng(1), law, THETA, 60_000, 0.7)
    table = tie_models.compare(tally, seed=3)
    assert table.best == law.name and table.outcomes == (4 if law is GROUNDED_RAO_KUPPER else 3)
    rows = {row.name: row for row in table.scored}
    half = rows["half-win"]
    assert half.behind is not None and half.behind_se is not None and half.behind > 3 * half.behind_se > 0
    assert rows[law.name].behind == rows[law.name].behind_se == 0


def test_the_loss_is_that_of_the_law_and_its_standard_error_that_of_rows() -> None:
    """Against the expected loss under the truth, and against the differences battle by battle in one fold split by hand."""
    tally = law_battles.battles(np.random.default_rng(2), DAVIDSON, THETA, 40_000, 0.5)
    pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
    logs = log_chances(DAVIDSON, THETA[[i for i, _ in pairs]], THETA[[j for _, j in pairs]], 0.5)[:3]
    entropy = -(np.exp(logs) * logs).sum(axis=0).mean()
    table = tie_models.compare(tally, 1, folds=2, laws=(HALF_WIN, DAVIDSON))
    half, davidson = table.scored
    assert davidson.loss == pytest.approx(entropy, abs=0.015)
    losses: list[list[float]] = [[], []]
    parts = tie_models.thin(tally, 2, np.random.default_rng(1))
    for test, train in (parts, parts[::-1]):
        for n, law in enumerate((HALF_WIN, DAVIDSON)):
            fitted = outcomes.fit(law, train)
            scored = tie_models.predict(law, fitted, test.first, test.second, train, 3)
            losses[n] += np.repeat(-scored[test.outcome, np.arange(len(test.count))], test.count.astype(int)).tolist()
    assert half.loss == pytest.approx(np.mean(losses[0]), abs=1e-9)
    difference = np.subtract(*losses)
    assert half.behind == pytest.approx(difference.mean(), abs=1e-9)
    assert half.behind_se == pytest.approx(difference.std() / np.sqrt(len(difference)), rel=1e-6)
    decided = tally.count[tally.outcome < Outcome.TIE].sum()
    assert half.decided is not None and 0.4 < half.decided < 0.7 and decided < tally.total


def test_the_same_seed_gives_the_same_table() -> None:
    tally = law_battles.battles(np.random.default_rng(4), RAO_KUPPER, THETA, 2_000, 0.4)
    assert tie_models.compare(tally, 5) == tie_models.compare(tally, 5) != tie_models.compare(tally, 6)


def test_refused_laws_are_named_and_not_scored() -> None:
    tally = law_battles.battles(np.random.default_rng(5), DROP, THETA, 2_000)
    table = tie_models.compare(tally, 1)
    why = {row.name: row.why for row in table.scored if row.why}
    assert set(why) == {"Davidson", "Rao-Kupper", "grounded Rao-Kupper"} and "no ties" in why["Davidson"]
    assert table.best in ("half-win", "drop")
    nothing = tie_models.compare(Tally.of_battles("ab", [0] * 9, [1] * 9, [0] * 9), 1)
    assert nothing.best is None and all(row.loss is None and row.why for row in nothing.scored)


def test_a_law_without_an_estimate_in_one_fold_is_named() -> None:
    battles = [0, 1] * 30 + [2]
    table = tie_models.compare(Tally.of_battles("ab", [0] * 61, [1] * 61, battles), 1, laws=(HALF_WIN, DAVIDSON))
    half, davidson = table.scored
    assert (
        davidson.loss is None
        and davidson.why is not None
        and davidson.why.startswith("without a fold: Davidson: no ties")
    )
    assert table.best == "half-win" and half.behind == 0 and half.loss is not None


def test_folds_without_an_estimate_are_helped_and_counted() -> None:
    """c wins one battle of many: the fold that holds it leaves c without a win."""
    a, b, won = [0] * 40 + [0] * 20, [1] * 40 + [2] * 20, [0, 1] * 20 + [0] * 19 + [1]
    table = tie_models.compare(Tally.of_battles("abc", a, b, won), 1, laws=(HALF_WIN,))
    assert table.scored[0].helped == 1 and table.scored[0].loss is not None and table.scored[0].loss < 0.8


def test_counts_that_cannot_be_split_are_errors() -> None:
    tally = Tally.of_battles("ab", [0, 0, 0], [1, 1, 1], [0, 1, 2])
    with pytest.raises(ValueError, match="folds"):
        tie_models.thin(tally, 4, np.random.default_rng(0))
    half = tie_models._with_counts(tally, tally.count / 2)
    with pytest.raises(ValueError, match="whole"):
        tie_models.thin(half, 2, np.random.default_rng(0))
