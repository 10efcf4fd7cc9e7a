"""Style control against statsmodels, arena-rank without its penalty, its own symmetries, and what it must refuse."""

import csv
import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import bradley_terry, style
from ranking.estimators.bradley_terry import PER_LOGIT, NotConverged, to_rating
from ranking.estimators.connectivity import Standing
from ranking.estimators.style_rows import Chunk, Rows, contrast, fold, gather
from ranking.estimators.tally import Outcome, Pairs
from tests.ranking import real_votes

NAMES = ("length", "headers")
seeds = st.integers(0, 2**32 - 1)


def simulate(seed: int, models: int, battles: int, beta: tuple[float, ...] = (0.6, -0.3), judges: int = 0) -> Chunk:
    """Battles with ties whose logits are theta . + beta . x; every pair meets in a ring of ties, so an estimate exists."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, 0.7, models)
    a = rng.integers(0, models, battles)
    b = (a + rng.integers(1, models, battles)) % models
    x = rng.uniform(-1, 1, (battles, len(beta)))
    won = rng.random(battles) < 1 / (1 + np.exp(theta[b] - theta[a] - x @ np.array(beta)))
    outcome = np.where(rng.random(battles) < 0.1, Outcome.TIE, np.where(won, Outcome.FIRST, Outcome.SECOND))
    a[:models], b[:models], outcome[:models] = np.arange(models), (np.arange(models) + 1) % models, Outcome.TIE
    return Chunk(a, b, outcome, x, rng.integers(0, judges, battles) if judges else None)


def rows_of(chunk: Chunk, models: int) -> Rows:
    names = [f"f{i}" for i in range(np.shape(chunk.features)[1])]
    return gather([f"m{i}" for i in range(models)], names, [chunk])


def regression(rows: Rows, fitted: style.Style) -> sm.GLM:
    """The same likelihood in statsmodels, with the last model as the reference."""
    a, b = rows.first[rows.pair], rows.second[rows.pair]
    design = np.eye(rows.size)[a] - np.eye(rows.size)[b]
    kept = [rows.names.index(name) for name in fitted.names]
    x = (rows.columns[kept].astype(float).T - fitted.centre) / fitted.scale
    return sm.GLM(rows.half_points / 2, np.hstack([design[:, :-1], x]), family=sm.families.Binomial())


def contrasts(covariance: np.ndarray, models: int) -> np.ndarray:
    """Covariance of (theta - the last theta, beta)."""
    change = np.eye(len(covariance))
    change[:models, models - 1] -= 1
    change = np.delete(change, models - 1, axis=0)
    return change @ covariance @ change.T


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(2, 6), st.booleans())
def test_estimate_and_sandwiches_are_those_of_statsmodels(seed: int, models: int, centred: bool) -> None:
    rows = rows_of(simulate(seed, models, 300, judges=20), models)
    fitted = style.fit(rows, centred=centred)
    model = regression(rows, fitted)
    plain = model.fit(tol=1e-14, maxiter=100, cov_type="HC0")
    theta = np.append(plain.params[: models - 1], 0.0)
    assert np.allclose(fitted.theta, theta - theta.mean(), atol=1e-8)
    assert np.allclose(fitted.beta, plain.params[models - 1 :], atol=1e-8)
    assert np.allclose(contrasts(fitted.covariance, models), plain.cov_params(), rtol=1e-6, atol=1e-12)
    clusters = {"groups": rows.judge, "use_correction": False}
    grouped = model.fit(tol=1e-14, maxiter=100, cov_type="cluster", cov_kwds=clusters)
    assert fitted.clustered is not None and fitted.judges == len(np.unique(rows.judge))
    wider = grouped.cov_params() * fitted.judges / (fitted.judges - 1)
    assert np.allclose(contrasts(fitted.clustered, models), wider, rtol=1e-6, atol=1e-12)
    assert np.abs(fitted.covariance[:models].sum(axis=0)).max() < 1e-12  # the gauge: ratings sum to a constant


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(1, 90))
def test_sides_chunks_and_order_of_rows_and_models_do_not_matter(seed: int, size: int) -> None:
    chunk = simulate(seed, 4, 200, judges=9)
    a, b, outcome, x, judge = (
        np.asarray(part) for part in (chunk.a, chunk.b, chunk.outcome, chunk.features, chunk.judge)
    )
    expected = style.fit(rows_of(chunk, 4))
    rng = np.random.default_rng(seed)
    turned = rng.random(len(a)) < 0.5
    sides = np.where(turned, b, a), np.where(turned, a, b)
    ended = np.where(turned & (outcome < 2), 1 - outcome, outcome)
    moved, order = rng.permutation(4), rng.permutation(len(a))

    def parts() -> Iterator[Chunk]:
        signed = np.where(turned[:, None], -x, x)
        for i in range(0, len(a), size):
            rows = order[i : i + size]
            yield Chunk(moved[sides[0][rows]], moved[sides[1][rows]], ended[rows], signed[rows], judge[rows] * 7)

    fitted = style.fit(gather("abcd", ["f0", "f1"], parts()))
    assert np.allclose(fitted.theta[moved], expected.theta, atol=1e-9)
    assert np.allclose(fitted.beta, expected.beta, atol=1e-9)
    places = [*moved, 4, 5]
    for name in ("covariance", "clustered"):
        assert np.allclose(getattr(fitted, name)[np.ix_(places, places)], getattr(expected, name), atol=1e-9)


def crowd() -> tuple[list[str], Chunk]:
    with real_votes.file("llmfao_crowd.csv").open() as stream:
        votes = list(csv.DictReader(stream))
    models = sorted({vote["model_a"] for vote in votes} | {vote["model_b"] for vote in votes})
    place = {"model_a": Outcome.FIRST, "model_b": Outcome.SECOND, "tie": Outcome.TIE}
    sides = [[models.index(vote[f"model_{side}"]) for vote in votes] for side in "ab"]
    counts = [[[float(v[f"{name}_{side}"]) for v in votes] for name in COUNTED] for side in "ab"]
    features = contrast(np.array(counts[0]).T, np.array(counts[1]).T, offset=0)
    return models, Chunk(*sides, [place[v["winner"]] for v in votes], features, [int(v["judge"][1:]) for v in votes])


COUNTED = ("chars", "headers", "lists", "bold")


def test_real_votes_give_the_unpenalised_coefficients_of_a_peer() -> None:
    """arena-rank's own default shrinks them 7 to 43 times here; without its penalty it agrees, in estimate and interval."""
    reference = json.loads(real_votes.file("reference_arena_rank_0.1.1.json").read_text())["llmfao_crowd"]["style"]
    peer, shrunk = reference["reg=0.0"], reference["reg=1.0"]
    models, chunk = crowd()
    assert models == peer["competitors"]
    group, fitted = style.control(models, COUNTED, [chunk], centred=True)
    assert fitted is not None and len(group.members) == len(models) and not fitted.dropped
    assert np.allclose(fitted.beta, peer["coeffs"], atol=1e-8)
    assert np.abs(fitted.beta / shrunk["coeffs"])[:3].min() > 4  # of the three that are not about nothing
    assert np.abs(to_rating(fitted.theta) - peer["ratings"]).max() < 1e-6
    half = 1.959963984540054 * PER_LOGIT * np.sqrt(np.diag(fitted.covariance)[: len(models)])
    assert np.abs(half / ((np.array(peer["upper"]) - peer["lower"]) / 2) - 1).max() < 0.01
    exact = regression(gather(models, COUNTED, [chunk]), fitted).fit(tol=1e-14, maxiter=100).params
    theta = np.append(exact[: len(models) - 1], 0.0)
    assert np.abs(PER_LOGIT * (fitted.theta - theta + theta.mean())).max() < 1e-6
    assert np.abs(fitted.beta - exact[len(models) - 1 :]).max() < 1e-8


def test_intervals_cover_the_true_coefficients_and_strengths() -> None:
    beta, inside = np.array([0.6, -0.3]), []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        x, a = rng.uniform(-1, 1, (800, 2)), rng.integers(0, 3, 800)
        b = (a + rng.integers(1, 3, 800)) % 3
        theta = np.array([0.5, 0.0, -0.5])
        won = rng.random(800) < 1 / (1 + np.exp(theta[b] - theta[a] - x @ beta))
        fitted = style.fit(rows_of(Chunk(a, b, np.where(won, 0, 1), x), 3))
        error = np.concatenate([fitted.theta - theta, fitted.beta / fitted.scale - beta])
        scale = np.append(np.ones(3), fitted.scale)
        inside.append(np.abs(error) < 1.96 * np.sqrt(np.diag(fitted.covariance)) / scale)
    assert np.all(np.abs(np.mean(inside, axis=0) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 400) + 0.003)


def test_covariates_that_cannot_be_told_apart_are_dropped_with_a_reason() -> None:
    chunk = simulate(3, 4, 400)
    x, a, b = np.asarray(chunk.features), np.asarray(chunk.a), np.asarray(chunk.b)
    quality = np.array([0.1, 0.4, -0.2, 0.9])
    more = np.column_stack([x, 2 * x[:, 0] - x[:, 1], np.full(len(x), 0.3), quality[a] - quality[b], np.zeros(len(x))])
    names = ["f0", "f1", "sum", "level", "model", "zero"]
    fitted = style.fit(gather("abcd", names, [Chunk(a, b, chunk.outcome, more)]))
    assert dict(fitted.dropped) == {
        "sum": "collinear with the others",
        "level": "constant",
        "model": "the same in every battle of a pair",
        "zero": "constant",
    }
    alone = style.fit(rows_of(chunk, 4))
    assert fitted.names == alone.names == ("f0", "f1") and np.allclose(fitted.beta, alone.beta, atol=1e-9)


def test_the_contrast_of_two_counts() -> None:
    """FastChat's (a - b) / (a + b + 1), and arena-rank's without the one, which is 0 where nothing is there."""
    assert contrast([3, 0, 0], [1, 0, 7]).tolist() == pytest.approx([2 / 5, 0, -7 / 8])
    assert contrast([3, 0, 0], [1, 0, 7], offset=0).tolist() == pytest.approx([1 / 2, 0, -1])


def test_points_of_every_outcome() -> None:
    for outcome, points in ((Outcome.FIRST, 1), (Outcome.SECOND, 0), (Outcome.TIE, 0.5), (Outcome.BOTH_BAD, 0.5)):
        rows = gather("ab", [], [Chunk([1], [0], [outcome], np.zeros((1, 0)))])
        assert (rows.points[1, 0], rows.points[0, 1]) == (points, 1 - points)


def test_without_covariates_it_is_bradley_terry() -> None:
    chunk = simulate(5, 5, 200)
    rows = gather("abcde", [], [Chunk(chunk.a, chunk.b, chunk.outcome, np.zeros((200, 0)))])
    assert np.allclose(style.fit(rows).theta, bradley_terry.fit(Pairs.of_points(rows.points)).theta, atol=1e-10)
    assert fold(rows).total == 200 and rows.points.sum() == 200


def test_the_first_position_takes_up_what_centring_moves() -> None:
    rows = rows_of(simulate(6, 4, 600), 4)
    plain, centred = style.fit(rows, position=True), style.fit(rows, position=True, centred=True)
    assert plain.names == ("f0", "f1", style.POSITION)
    assert np.allclose(plain.theta, centred.theta, atol=1e-9)
    assert np.allclose(plain.beta[:2] / plain.scale[:2], centred.beta[:2] / centred.scale[:2], atol=1e-9)
    moved = plain.beta[2] + (centred.centre / centred.scale * centred.beta)[:2].sum()
    assert centred.beta[2] == pytest.approx(moved, abs=1e-9)


def test_a_position_that_the_pairs_decide_is_refused() -> None:
    rows = gather("ab", [], [Chunk([0, 0, 0], [1, 1, 1], [0, 1, 2], np.zeros((3, 0)))])
    with pytest.raises(ValueError, match="always shown in one order"):
        style.fit(rows, position=True)


@pytest.mark.parametrize("apart", [1e-2, 1e-4])
def test_nearly_collinear_covariates_are_fitted_and_not_called_separating(apart: float) -> None:
    """Their coefficients are hundreds of logits that cancel; the fitted chances are those of the regression."""
    rng = np.random.default_rng(31)
    a, b, x = *np.array([(i, j) for i in range(5) for j in range(5) if i != j] * 50).T, rng.normal(size=(1000, 2))
    x = np.column_stack([x, x[:, 0] + apart * rng.normal(size=1000)]).astype(np.float32)
    outcome = (rng.random(1000) > 1 / (1 + np.exp(-x[:, 1] / 2))).astype(int)
    _group, made = style.control("abcde", ["f", "g", "near"], [Chunk(a, b, outcome, x)])
    assert made is not None and made.names == ("f", "g", "near")
    design = np.column_stack([np.eye(5)[a] - np.eye(5)[b], x / made.scale])[:, 1:]
    model = sm.GLM(1 - outcome, design, family=sm.families.Binomial()).fit(tol=1e-13, maxiter=200)
    assert made.beta == pytest.approx(model.params[4:], rel=1e-4)
    assert made.log_likelihood == pytest.approx(model.llf, rel=1e-9)


def test_a_covariate_that_separates_the_outcomes_is_refused() -> None:
    chunk = simulate(7, 3, 200, beta=(0.0,))
    won = np.where(np.asarray(chunk.outcome) == Outcome.TIE, 0.0, 1.0 - 2 * np.asarray(chunk.outcome))
    with pytest.raises(NotConverged, match="separate"):
        style.fit(rows_of(Chunk(chunk.a, chunk.b, chunk.outcome, won[:, None]), 3))


def test_models_outside_the_group_are_labelled_and_change_nothing() -> None:
    chunk = simulate(8, 3, 300, judges=5)
    extra = [3] * 20, [0] * 20, [Outcome.FIRST] * 20, np.linspace(-1, 1, 40).reshape(20, 2), [-1] * 20
    group, fitted = style.control("abcd", NAMES, [chunk, Chunk(*extra)])
    _, without = style.control("abc", NAMES, [chunk])
    assert fitted is not None and without is not None and fitted.models == ("a", "b", "c")
    assert group.standing[3] == Standing.UNBEATEN and np.array_equal(fitted.theta, without.theta)
    nothing, none = style.control("ab", NAMES, [])
    assert none is None and set(nothing.standing) == {Standing.DISCONNECTED}


def test_an_unknown_judge_is_a_cluster_of_its_own() -> None:
    chunk = simulate(9, 3, 120)
    judge = np.where(np.arange(120) < 60, -1, np.arange(120) % 7)
    rows = rows_of(Chunk(chunk.a, chunk.b, chunk.outcome, chunk.features, judge), 3)
    assert rows.judge is not None and len(np.unique(rows.judge)) == 60 + 7
    all_unknown = rows_of(Chunk(chunk.a, chunk.b, chunk.outcome, chunk.features, np.full(120, -1)), 3)
    fitted = style.fit(all_unknown)
    assert fitted.clustered is not None and np.allclose(fitted.clustered, fitted.covariance * 120 / 119)


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (Chunk([0], [0], [0], [[0.0]]), "itself"),
        (Chunk([0], [2], [0], [[0.0]]), "position"),
        (Chunk([0], [1], [4], [[0.0]]), "outcome"),
        (Chunk([0], [1], [0], [[np.nan]]), "finite"),
    ],
)
def test_malformed_chunks_are_errors(chunk: Chunk, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gather("ab", ["f"], [chunk])
    with pytest.raises(ValueError, match="judges"):
        gather("ab", ["f"], [Chunk([0], [1], [0], [[0.0]]), Chunk([0], [1], [0], [[0.0]], [1])])


def test_a_hundred_thousand_battles_take_a_fraction_of_a_second() -> None:
    rng = np.random.default_rng(1)
    chunk = simulate(10, 50, 100_000, beta=tuple(rng.normal(0, 0.2, 8)))
    begin = time.process_time()
    fitted = style.fit(rows_of(chunk, 50))
    assert time.process_time() - begin < 1.5 and len(fitted.beta) == 8  # 0.1 s on an idle core
