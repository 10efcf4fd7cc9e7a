"""A board as wide as real ones, in the bench's installation: synthetic votes, imported and fitted as operators do it."""

import csv
import tempfile
from pathlib import Path

from tests.bench._rating_boards import synthetic
from tests.stack import Stack

MODELS, VOTES = 60, 9000
WINNER = {0: "model_a", 1: "model_b", 2: "tie"}  # of tally.Outcome


def made(stack: Stack) -> str:
    """The address of its page."""
    battles = synthetic(MODELS, VOTES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wide.csv"
        with path.open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(("model_a", "model_b", "winner"))
            for a, b, outcome in zip(battles.a, battles.b, battles.outcome, strict=True):
                lines.writerow((battles.models[a], battles.models[b], WINNER[int(outcome)]))
        stack.manage("import_votes", str(path))
    stack.manage("refit")
    return "/leaderboard?origin=import:wide"
