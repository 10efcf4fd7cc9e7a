"""The board's figures are the estimators' own, on real votes and on made ones; and each null says why."""

import csv
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import expit, ndtri, stdtrit

from ranking.board import levels
from ranking.board.board_format import Level
from ranking.board.build import build
from ranking.board.inputs import Inputs
from ranking.board.reasons import Interval
from ranking.estimators import (
    certificate,
    claims,
    cycles,
    drift,
    few_judges,
    position,
    ranks,
    sandwich,
    shrinkage,
    simultaneous,
    style,
    style_rows,
    tie_models,
)  # fmt: skip
from ranking.estimators.bradley_terry import PER_LOGIT, fit, to_rating
from ranking.estimators.judges import JudgeTally
from ranking.estimators.style_rows import Chunk
from ranking.estimators.tally import Outcome, Tally
from tests.ranking import real_votes
from tests.ranking.board.made_votes import column, made

OUTCOME = {"model_a": Outcome.FIRST, "model_b": Outcome.SECOND, "tie": Outcome.TIE}
FEATURES = {"length": "chars", "headers": "headers", "lists": "lists", "bold": "bold"}
SEED, REPLICATES = 7, 300


@dataclass
class Crowd:
    """The 8,931 votes of llmfao_crowd."""

    tally: Tally
    judges: JudgeTally
    rows: style_rows.Rows


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    with real_votes.file("llmfao_crowd.csv").open() as stream:
        votes = list(csv.DictReader(stream))
    names = sorted({vote[side] for vote in votes for side in ("model_a", "model_b")})
    a, b = (np.array([names.index(vote[side]) for vote in votes]) for side in ("model_a", "model_b"))
    outcome = np.array([OUTCOME[vote["winner"]] for vote in votes])
    known = sorted({vote["judge"] for vote in votes})
    judge = np.array([known.index(vote["judge"]) for vote in votes])
    counts = {side: np.array([[float(v[f"{c}_{side}"]) for c in FEATURES.values()] for v in votes]) for side in "ab"}
    chunk = Chunk(a, b, outcome, style_rows.contrast(counts["a"], counts["b"]), judge)
    return Crowd(
        Tally.of_battles(names, a, b, outcome),
        JudgeTally.of_battles(names, a, b, outcome, judge),
        style_rows.gather(names, tuple(FEATURES), [chunk]),
    )


def test_figures_by_judge_are_those_of_the_estimators(crowd: Crowd) -> None:
    board = build(Inputs(tally=crowd.tally, judges=crowd.judges, seed=SEED, replicates=REPLICATES))
    theta = fit(crowd.tally.pairs()).theta
    covariance = few_judges.clustered(crowd.judges, theta)
    thetas = levels.by_sandwich(Level.JUDGE, theta, covariance, SEED, REPLICATES).thetas
    joint, ends = simultaneous.max_t(theta, covariance, SEED), simultaneous.pointwise(theta, covariance)
    best, worst = ranks.bounds(joint.lower, joint.upper)
    expected = {
        "rating": to_rating(theta),
        "se": PER_LOGIT * covariance.se,
        "lower": to_rating(ends.lower),
        "upper": to_rating(ends.upper),
        "joint_lower": to_rating(joint.lower),
        "joint_upper": to_rating(joint.upper),
        "rank": best,
        "rank_worst": worst,
        "p_first": ranks.p_first(thetas),
        **dict(zip(("rank_lower", "rank_upper"), ranks.intervals(thetas), strict=True)),
        "first_rate": position.share_first(crowd.tally),
        "effective_judges": covariance.effective,
    }
    assert (board["method"]["level"], board["method"]["interval"]) == ("judge", Interval.STUDENT)
    for name, values in expected.items():
        assert column(board, name) == pytest.approx(values, abs=1e-9), name
    assert [model["rank"] for model in board["models"]] == sorted(best)


def test_battle_level_figures_stand_beside_and_are_all_there_is_without_judges(crowd: Crowd) -> None:
    beside = build(Inputs(tally=crowd.tally, judges=crowd.judges, seed=SEED, replicates=REPLICATES))
    alone = build(Inputs(tally=crowd.tally, seed=SEED, replicates=REPLICATES))
    ends = {model["model"]: model["battle"] for model in beside["models"]}
    theta = fit(crowd.tally.pairs()).theta
    assert column(alone, "se") == pytest.approx(PER_LOGIT * sandwich.battle(crowd.tally, theta).se, abs=1e-9)
    assert alone["method"]["level"] == "battle" and alone["why"]["clusters"] == "no_judges"
    for model in alone["models"]:
        assert ends[model["model"]] == model["battle"] == {name: model[name] for name in model["battle"]}


def test_the_effect_of_judges_is_the_ratio_of_the_variances(crowd: Crowd) -> None:
    board = build(Inputs(tally=crowd.tally, judges=crowd.judges, seed=SEED, replicates=REPLICATES))
    theta, clusters = fit(crowd.tally.pairs()).theta, board["clusters"]
    found = few_judges.clustered(crowd.judges, theta)
    by_judge = ((stdtrit(found.freedom, 0.975) / ndtri(0.975) * found.se) ** 2).sum()
    by_battle = np.trace(sandwich.battle(crowd.tally, theta).matrix)
    assert clusters["judges"] == 124 and clusters["inflation"] ** 2 == pytest.approx(by_judge / by_battle)
    assert clusters["effective_judges"] == found.effective.min()
    assert clusters["effective_votes"] * clusters["inflation"] ** 2 == pytest.approx(8931)


def test_board_figures_are_those_of_the_estimators(crowd: Crowd) -> None:
    board = build(Inputs(tally=crowd.tally, judges=crowd.judges, seed=SEED, replicates=REPLICATES))
    first, table = position.estimate(crowd.tally), tie_models.compare(crowd.tally, SEED)
    assert (board["position"]["logit"], board["position"]["se"]) == (first.logit, first.se)
    assert board["position"]["share"] == pytest.approx(expit(first.logit))
    assert board["ties"]["best"] == table.best
    assert {one["name"]: one["log_loss"] for one in board["ties"]["models"]} == {
        one.name: one.loss for one in table.scored
    }
    theta = fit(crowd.tally.pairs()).theta
    order = np.array([crowd.tally.models.index(model["model"]) for model in board["models"]])
    tested = claims.of_pairs(theta, few_judges.clustered(crowd.judges, theta), order[:-1], order[1:])
    assert [model["adjacent"] for model in board["models"]] == [*tested.adjusted.tolist(), None]
    assert [claim["p_holm"] for claim in board["claims"]] == tested.adjusted.tolist()
    assert all(claim["difference"] >= 0 and {claim["better"], claim["worse"]} == {place, place + 1}
               for place, claim in enumerate(board["claims"]))  # fmt: skip


def test_the_style_controlled_board_is_the_style_fit(crowd: Crowd) -> None:
    given = {"tally": crowd.tally, "judges": crowd.judges, "rows": crowd.rows}
    board = build(Inputs(**given, seed=SEED, replicates=REPLICATES))
    fitted = style.fit(crowd.rows)
    assert fitted.clustered is not None
    errors = np.sqrt(np.diag(fitted.clustered))
    assert column(board, "rating") == pytest.approx(to_rating(fitted.theta), abs=1e-9)
    counted, place = fit(crowd.tally.pairs()).theta, slice(len(fitted.theta))
    plain, exact = sandwich.clustered(crowd.judges, counted), few_judges.clustered(crowd.judges, counted)
    variance = np.diag(fitted.clustered[place, place] + exact.matrix - plain.matrix)
    assert column(board, "se") == pytest.approx(PER_LOGIT * variance**0.5, abs=1e-6)
    assert column(board, "effective_judges") == pytest.approx(exact.effective)
    terms = board["style"]["covariates"]
    assert [term["name"] for term in terms] == list(fitted.names) == list(FEATURES)
    assert [term["coefficient"] for term in terms] == fitted.beta.tolist()
    assert [term["se"] for term in terms] == errors[len(fitted.theta) :].tolist()
    assert board["style"]["votes"] == 8931 and board["why"]["position"] == "controlled"
    half = (column(board, "upper") - column(board, "lower")) / 2
    assert np.median(half / (stdtrit(exact.freedom, 0.975) * column(board, "se"))) == pytest.approx(1, abs=0.1)
    reach = ndtri(0.975) * np.median(few_judges.widening(exact))
    assert [term["upper"] - term["coefficient"] for term in terms] == pytest.approx(reach * errors[len(fitted.theta) :])


def test_votes_weighed_by_their_draw_give_a_rating_of_their_own() -> None:
    rng = np.random.default_rng(5)
    a, b = np.repeat([0, 0, 1], 80), np.repeat([1, 2, 2], 80)
    outcome, chance = rng.choice(3, 240, p=[0.5, 0.3, 0.2]), np.repeat([0.5, 0.25, 0.25], 80)
    for given, differs in ((chance, True), (np.full(240, 1 / 3), False), (None, False)):
        tally = Tally.of_battles(["x", "y", "z"], a, b, outcome, given)
        board = build(Inputs(tally=tally, seed=1, replicates=100))
        assert all((model["reweighted"] is not None) == differs for model in board["models"])
        if differs:
            expected = to_rating(fit(tally.pairs(reweighted=True)).theta)
            assert column(board, "reweighted") == pytest.approx(expected, abs=1e-6)


def test_a_clear_leader_is_confirmed_and_a_doubtful_one_is_not() -> None:
    for share, confirmed in ((0.9, True), (0.52, False)):
        a, b = np.repeat([0, 0, 1], 400), np.repeat([1, 2, 2], 400)
        won = np.concatenate([np.arange(400) < 400 * share] * 2 + [np.arange(400) < 200])
        tally = Tally.of_battles(["x", "y", "z"], a, b, np.where(won, Outcome.FIRST, Outcome.SECOND))
        board = build(Inputs(tally=tally, seed=1, replicates=100))
        leader = board["models"][board["sure"]["leader"]]["model"]
        assert (leader, board["sure"]["confirmed"], board["sure"]["since"]) == ("x", confirmed, None)


def test_style_that_decides_every_vote_gives_no_board_and_says_so() -> None:
    a, b = np.repeat([0, 1], 30), np.repeat([1, 0], 30)
    longer = np.tile([0.5, -0.5], 30)
    chunk = Chunk(a, b, np.where(longer > 0, Outcome.FIRST, Outcome.SECOND), longer[:, None])
    tally = Tally.of_battles(["x", "y"], a, b, np.asarray(chunk.outcome))
    board = build(Inputs(tally=tally, rows=style_rows.gather(["x", "y"], ["length"], [chunk]), seed=1))
    assert board["state"] == "too_few" and set(board["why"].values()) == {"too_few"}


def test_the_certificate_drift_and_cycles_are_those_of_the_estimators() -> None:
    tally, _judges = made(5, 90)
    rng = np.random.default_rng(8)
    part = np.sort(rng.choice(3, int(tally.total)))
    a, b = (np.repeat(side, tally.count.astype(int)) for side in (tally.first, tally.second))
    outcome = np.repeat(tally.outcome, tally.count.astype(int))
    shuffled = rng.permutation(len(a))
    a, b, outcome = a[shuffled], b[shuffled], outcome[shuffled]
    periods = tuple(Tally.of_battles(tally.models, a[part == t], b[part == t], outcome[part == t]) for t in range(3))
    board = build(Inputs(tally=tally, periods=periods, seed=4, replicates=100))
    theta = fit(tally.pairs()).theta
    found, circles, moved = certificate.top(tally.pairs(), theta), cycles.judge(tally, 4), drift.constancy(periods)
    assert found and board["certificate"]["votes"] == found.votes and board["certificate"]["exact"]
    names = [model["model"] for model in board["models"]]
    assert names[board["certificate"]["leader"]] == tally.models[found.upper]
    assert names[board["certificate"]["runner_up"]] == tally.models[found.lower]
    told = board["cycles"]
    assert (told["observed"], told["triads"], told["p"]) == (circles.observed, circles.triads, circles.p_value)
    assert column(board, "drift_p") == pytest.approx(claims.holm(moved.p_value))
    assert board["drift"]["p"] == pytest.approx(min(claims.holm(moved.p_value))) and board["drift"]["periods"] == 3
    assert names[board["drift"]["most"]] == tally.models[int(np.argmin(moved.p_value))]


def test_a_thin_category_is_drawn_towards_the_overall_board() -> None:
    overall, _judges = made(5, 200)
    few = Tally.of_battles(overall.models[:4], [0, 0, 1, 1, 2, 0], [1, 2, 2, 3, 3, 3], [0, 0, 1, 0, 2, 0])
    board = build(Inputs(tally=few, overall=overall, part=True, seed=1, replicates=400))
    here = Tally.of_battles(overall.models, [0, 0, 1, 1, 2, 0], [1, 2, 2, 3, 3, 3], [0, 0, 1, 0, 2, 0])
    found = shrinkage.boards(overall, {"here": here})
    assert found is not None
    expected = found.categories["here"]
    assert {model["standing"] for model in board["models"]} == {"ranked"} and len(board["models"]) == 4
    assert column(board, "rating") == pytest.approx(to_rating(expected.theta[:4]), abs=1e-9)
    assert column(board, "se") == pytest.approx(PER_LOGIT * np.sqrt(np.diag(expected.covariance)[:4]), abs=1e-9)
    unbeaten = next(model for model in board["models"] if model["model"] == "m0")
    assert unbeaten["raw_rating"] is None and unbeaten["losses"] == 0, "its own votes give no finite rating"
    assert board["shrinkage"]["spread"] == pytest.approx(PER_LOGIT * found.tau)
    assert board["shrinkage"]["weight"] == pytest.approx(expected.kept[:4].mean())
    assert board["method"]["gauge"] == "mean of the overall board's ranked models"
    assert (
        board["why"]["certificate"] == board["why"]["clusters"] == "shrunk" and board["why"]["ties"] == "overall_only"
    )


def test_a_category_without_an_overall_estimate_stands_for_itself() -> None:
    tally, _judges = made(3, 40)
    nobody = Tally.of_battles(tally.models, [0, 1], [1, 2], [0, 0])
    board = build(Inputs(tally=tally, overall=nobody, part=True, seed=1, replicates=100))
    assert board["shrinkage"] is None and board["why"]["shrinkage"] == "not_thin" and board["state"] == "fitted"
