"""What rating packages get wrong on these votes, and ours must not: hangs, stopping early, guessed outcomes, sparse boards."""

import json
import multiprocessing
import threading
import time

import numpy as np
import pytest

from ranking.estimators import bootstrap, bradley_terry, connectivity, sandwich
from ranking.estimators.bradley_terry import NoFiniteEstimate, to_rating
from ranking.estimators.judges import JudgeCell, JudgeTally
from ranking.estimators.tally import Cell, Tally
from tests.bench import _rating_boards
from tests.ranking import real_votes
from tests.ranking.estimators import paired_files
from tests.ranking.estimators.simulated import davidson, even


def replicates(seed: int) -> np.ndarray:
    pairs = davidson(np.random.default_rng(seed), np.linspace(-1, 1, 20), even(20, 100))
    return bootstrap.multinomial(pairs, bradley_terry.fit(pairs).theta, seed, 200).thetas


def test_the_bootstrap_returns_in_a_process_forked_beside_running_threads() -> None:
    """arena-rank's pool waits for ever there. Celery's workers fork; ours starts no threads and no pool of its own."""
    expected, going = replicates(3), threading.Event()
    busy = threading.Thread(target=lambda: [replicates(4) for _ in iter(going.is_set, True)])
    busy.start()
    try:
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(target=lambda: answers.put(replicates(3)), daemon=True)
        child.start()
        got = answers.get(timeout=60)
        child.join(10)
    finally:
        going.set()
        busy.join()
    assert child.exitcode == 0
    np.testing.assert_array_equal(got, expected)


def test_it_starts_no_thread_and_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    before = multiprocessing.active_children()
    replicates(1)
    assert multiprocessing.active_children() == before


@pytest.mark.parametrize(("name", "peer_is_off"), [("llmfao_crowd", 0.01), ("llmfao_gpt4", 0.05)])
def test_the_default_tolerance_does_not_stop_early(name: str, peer_is_off: float) -> None:
    reference = json.loads(real_votes.file("reference_arena_rank_0.1.1.json").read_text())[name][
        "arena_rank_unweighted"
    ]
    exact = np.array(reference["ratings_exact_newton_mean1000"])
    ours = to_rating(bradley_terry.fit(paired_files.tally(name).pairs()).theta)
    assert np.abs(ours - exact).max() < 1e-6
    assert np.abs(np.array(reference["ratings_default"]) - exact).max() > peer_is_off


def test_replicates_do_not_stop_early_either() -> None:
    """The peer's replicates are up to .17 points off; ours are within 1e-5 points of a fit to 1e-12."""
    pairs = paired_files.tally("llmfao_gpt4").pairs()
    theta = bradley_terry.fit(pairs).theta
    made, compared = bootstrap.multinomial(pairs, theta, 5, 30), 0
    up, down = bootstrap.Multinomial(pairs, 5).draw(30)
    for row, won, lost in zip(made.thetas, up.T.astype(float), down.T.astype(float), strict=True):
        if connectivity.strongly_connected(pairs.size, pairs.first, pairs.second, won > 0, lost > 0):
            alone, _ = bradley_terry.newton(pairs.first, pairs.second, won, lost, theta, 1e-12)
            assert np.abs(row - alone).max() * bradley_terry.PER_LOGIT < 1e-5
            compared += 1
    assert compared == 30 - made.helped > 15


@pytest.mark.parametrize("outcome", ["model_a", "Tie", "", "invalid", "both bad"])
def test_an_unknown_outcome_is_an_error_and_never_a_tie(outcome: str) -> None:
    with pytest.raises(ValueError, match="unknown outcome"):
        Tally.of_cells([Cell("a", "b", outcome, 1)])
    with pytest.raises(ValueError, match="unknown outcome"):
        JudgeTally.of_cells([JudgeCell("j", "a", "b", outcome, 1)])


def test_a_file_with_an_unknown_winner_is_refused_with_its_line(tmp_path: object) -> None:
    path = tmp_path / "votes.csv"  # type: ignore[operator]
    path.write_text("model_a,model_b,winner\nx,y,model_a\nx,y,modelb\n")
    with pytest.raises(ValueError, match=r"line 3: unknown winner 'modelb'"):
        _rating_boards.read(path)


def test_separation_and_disconnection_are_refused_and_not_hidden_by_a_ridge() -> None:
    """Unbeaten, winless, apart: three boards that a ridge would answer with confident numbers."""
    unbeaten = Tally.of_battles("abc", [0, 0, 1, 2], [1, 2, 2, 1], [0, 0, 0, 0])
    winless = Tally.of_battles("abc", [0, 1, 0, 1], [2, 2, 1, 0], [0, 0, 0, 0])
    apart = Tally.of_battles("abcd", [0, 1, 2, 3], [1, 0, 3, 2], [0, 0, 0, 0])
    for board, label in ((unbeaten, "unbeaten"), (winless, "winless"), (apart, "disconnected")):
        with pytest.raises(NoFiniteEstimate):
            bradley_terry.fit(board.pairs())
        assert label in [str(one) for one in connectivity.ranked_group(board.pairs()).standing]


def test_a_sparse_board_s_bootstrap_is_finite_and_says_how_many_replicates_needed_help() -> None:
    """3,236 votes, 70 models: about a fifth of the resamples have no estimate. The peer's half-widths reach 219 for 116."""
    tally = paired_files.tally("llmfao_gpt4")
    theta = bradley_terry.fit(tally.pairs()).theta
    made = bootstrap.multinomial(tally.pairs(), theta, seed=42)
    lower, upper = bootstrap.percentiles(made.thetas)
    ratio = (upper - lower) / 2 / (1.959963984540054 * sandwich.battle(tally, theta).se)
    assert 120 < made.helped < 260
    assert np.isfinite(made.thetas).all() and np.abs(made.thetas).max() * bradley_terry.PER_LOGIT < 2500
    assert abs(np.median(ratio) - 1) < 0.15


def test_the_whole_of_a_sparse_board_takes_seconds() -> None:
    pairs = paired_files.tally("llmfao_gpt4").pairs()
    theta = bradley_terry.fit(pairs).theta
    begin = time.process_time()
    bootstrap.multinomial(pairs, theta, seed=1)
    assert time.process_time() - begin < 8  # about one on an idle core, most replicates by Newton
