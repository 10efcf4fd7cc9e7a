"""The stored board: every version that may lie in a database is read, and what it lacks is null with a reason."""

import json
from dataclasses import fields
from typing import Any

import pytest

from ranking.board import board_format
from ranking.board.build import build
from ranking.board.inputs import Inputs
from ranking.estimators.tally import Cell, Tally

VERSION_1: dict[str, Any] = {
    "version": 1,
    "state": "fitted",
    "method": {"model": "Bradley-Terry, maximum likelihood", "replicates": 100, "helped_replicates": 0},
    "models": [
        {
            "model": "a",
            "standing": "ranked",
            "rank": 1,
            "rank_worst": 1,
            "rating": 1040.5,
            "lower": 1010.0,
            "upper": 1071.0,
            "votes": 20,
            "wins": 12,
            "losses": 8,
            "ties": 0,
            "win_rate": 0.6,
        }
    ],
    "pairs": {"fit_order": [0], "ties": [[0]], "battles": [[0]], "points": [[0.0]]},
    "fingerprint": "f00d",
}


def test_a_board_of_version_1_is_read_and_says_what_it_lacks() -> None:
    board = board_format.read(VERSION_1)
    (model,) = board.models
    assert (model.rating, model.lower, model.upper, model.rank, model.votes) == (1040.5, 1010.0, 1071.0, 1, 20)
    assert (model.se, model.joint_lower, model.quantiles, model.both_bad, model.battle) == (None,) * 5
    assert all(getattr(board, name) is None for name in board_format.FIGURES)
    assert set(board.why.values()) == {"older_method"} and set(board.why) == set(board_format.FIGURES)


def test_what_is_written_is_read_back() -> None:
    cells = [Cell("a", "b", "first", 6), Cell("a", "b", "second", 4), Cell("a", "c", "tie", 5)]
    written = build(Inputs(tally=Tally.of_cells(cells), seed=1, replicates=50))
    stored = json.loads(json.dumps(written, allow_nan=False))
    assert board_format.read(stored).as_json() == stored


def test_every_part_is_read_back_as_what_it_was() -> None:
    ends = dict.fromkeys((one.name for one in fields(board_format.Ends)), 1)
    stored = VERSION_1 | {
        "version": 2,
        "models": [VERSION_1["models"][0] | {"battle": ends, "of_a_newer_version": 1}],
        "ties": {"models": [{"name": "davidson", "log_loss": 0.9}], "best": "davidson", "share": 0.3, "folds": 5},
        "claims": [
            {"better": 0, "worse": 1, "difference": 9.0, "se": 2.0, "p": 0.01, "p_holm": 0.02, "holds": True},
        ],
        "style": {
            "covariates": [{"name": "length", "coefficient": 0.2, "se": 0.05, "lower": 0.1, "upper": 0.3}],
            "votes": 7,
        },
        "why": {"drift": "no_periods"},
    }
    board = board_format.read(stored)
    assert board.models[0].battle == board_format.Ends(**ends)
    assert board.ties and board.ties.models == [board_format.TieModel(name="davidson", log_loss=0.9)]
    assert board.claims and board.claims[0].p_holm == 0.02
    assert board.style and board.style.covariates[0].upper == 0.3
    assert (board.why["drift"], board.why["cycles"]) == ("no_periods", "older_method")
    again = json.loads(json.dumps(board.as_json()))
    assert board_format.read(again) == board


@pytest.mark.parametrize("missing", ["state", "method", "models", "pairs"])
def test_what_is_no_board_is_refused(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        board_format.read({name: value for name, value in VERSION_1.items() if name != missing})
