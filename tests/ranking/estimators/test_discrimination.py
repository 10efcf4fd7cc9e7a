"""Strong against weak by topic: counts by hand, statsmodels' Wilson, shrinkage against a grid, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, betabinom
from statsmodels.stats.proportion import proportion_confint

from ranking.estimators import discrimination
from ranking.estimators.tally import Tally


def tally(won: int, lost: int, tied: int = 0, other: int = 0) -> Tally:
    """Model 0 is strong, 3 is weak, 1 and 2 are neither; half of the battles are shown the other way round."""
    a = [0] * won + [3] * lost + [3] * tied + [1] * other
    b = [3] * won + [0] * lost + [0] * tied + [2] * other
    return Tally.of_battles("abcd", a, b, [0] * (won + lost) + [2] * tied + [0] * other)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 9), st.integers(0, 9))
def test_only_strong_against_weak_counts(won: int, lost: int, tied: int, other: int) -> None:
    found = discrimination.by_topic({"t": tally(won, lost, tied, other)}, [0], [3]).topics["t"]
    assert (found.won, found.decided, found.ties) == (won, won + lost, tied)
    if not won + lost:
        assert found.rate is None and found.lower is None and found.upper is None
        return
    assert found.rate == pytest.approx(won / (won + lost))
    assert (found.lower, found.upper) == pytest.approx(proportion_confint(won, won + lost, method="wilson"), abs=1e-12)


def test_sides_do_not_matter_and_strong_and_weak_mirror() -> None:
    topics = {"t": tally(7, 3), "u": tally(2, 6), "v": tally(1, 1)}
    one, other = (discrimination.by_topic(topics, *groups).topics["t"] for groups in (([0], [3]), ([3], [0])))
    assert one.rate == pytest.approx(0.7) and other.rate == pytest.approx(0.3)
    assert one.shrunk is not None and one.shrunk == pytest.approx(1 - (other.shrunk or 0), abs=1e-9)


def test_the_posterior_is_that_of_a_finer_grid() -> None:
    """Every (m, s) of another grid, weighed by scipy's beta-binomial, and scipy's beta distribution for the topic."""
    rng = np.random.default_rng(6)
    totals = rng.integers(5, 60, 12)
    won = rng.binomial(totals, rng.beta(7, 4, 12))
    topics = {str(n): tally(int(w), int(t - w)) for n, (w, t) in enumerate(zip(won, totals, strict=True))}
    found = discrimination.by_topic(topics, [0], [3])
    m, s = (axis.ravel() for axis in np.meshgrid(np.linspace(0.003, 0.997, 150), np.geomspace(1, 1e4, 120)))
    logs = sum(betabinom.logpmf(w, t, m * s, (1 - m) * s) for w, t in zip(won, totals, strict=True))
    share = np.exp(logs - 0.5 * np.log(s) - logs.max())
    share /= share.sum()
    assert found.mean == pytest.approx(share @ m, abs=2e-3)
    assert found.weight is not None and np.log(found.weight) == pytest.approx(share @ np.log(s), abs=0.05)
    a, b, one = m * s + won[0], (1 - m) * s + totals[0] - won[0], found.topics["0"]
    assert one.shrunk == pytest.approx(share @ (a / (a + b)), abs=2e-3)
    for end, mass in ((one.shrunk_lower, 0.025), (one.shrunk_upper, 0.975)):
        assert share @ beta.cdf(end, a, b) == pytest.approx(mass, abs=2e-3)


def test_thin_topics_come_to_the_mean_and_large_ones_keep_their_rate() -> None:
    topics = {f"t{n}": tally(300 + 100 * n, 700 - 100 * n) for n in range(5)} | {
        "thin": tally(2, 0),
        "none": tally(0, 0, 3),
    }
    found = discrimination.by_topic(topics, [0], [3])
    thin, none, large = (found.topics[name] for name in ("thin", "none", "t4"))
    assert found.mean == pytest.approx(0.5, abs=0.05) and thin.rate == 1
    assert thin.shrunk is not None and found.mean is not None and found.mean < thin.shrunk < 0.7
    assert large.shrunk == pytest.approx(0.7, abs=0.005)
    assert none.shrunk == pytest.approx(found.mean) and none.rate is None
    widths = [(one.shrunk_upper or 0) - (one.shrunk_lower or 0) for one in (large, thin, none)]
    assert widths[0] < widths[1] < widths[2]


def test_intervals_after_shrinkage_cover() -> None:
    rng, inside = np.random.default_rng(5), []
    for _study in range(60):
        rates, totals = rng.beta(9, 4, 15), rng.integers(4, 60, 15)
        won = rng.binomial(totals, rates)
        topics = {str(n): tally(int(w), int(t - w)) for n, (w, t) in enumerate(zip(won, totals, strict=True))}
        found = discrimination.by_topic(topics, [0], [3]).topics
        inside += [found[str(n)].shrunk_lower < rate < found[str(n)].shrunk_upper for n, rate in enumerate(rates)]
    assert abs(np.mean(inside) - 0.95) < 0.025


def test_too_few_topics_are_not_shrunk() -> None:
    found = discrimination.by_topic({"t": tally(5, 5), "u": tally(3, 1), "v": tally(0, 0)}, [0], [3])
    assert found.mean is None and "fewer than 3" in found.why and found.topics["t"].shrunk is None
    assert found.topics["t"].rate == 0.5


def test_thirds() -> None:
    strong, weak = discrimination.thirds(np.array([0.3, np.nan, -1.0, 2.0, 0.1, 0.2, -0.5]))
    assert strong.tolist() == [0, 3] and weak.tolist() == [2, 6]
    assert [part.tolist() for part in discrimination.thirds(np.array([1.0, 2.0]))] == [[1], [0]]
    with pytest.raises(ValueError, match="two rated"):
        discrimination.thirds(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="strong and weak"):
        discrimination.by_topic({}, [0, 1], [1])
