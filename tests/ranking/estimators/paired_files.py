"""Every optional data file as a tally: (first was shown first, or at home)."""

import csv

from ranking.estimators.tally import Cell, Tally
from tests.ranking import real_votes

FILES = (
    "llmfao_crowd",
    "llmfao_gpt4",
    "llmfao_gpt3",
    "baseball_1987",
    "springall_flavour",
    "soundfields",
    "flatlizards",
    "chameleons",
)


def tally(name: str) -> Tally:
    """Skips with the reason where the file is not here."""
    with real_votes.file(f"{name}.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return Tally.of_cells([cell for row in rows for cell in cells(name, row)])


def cells(name: str, row: dict[str, str]) -> list[Cell]:
    if name.startswith("llmfao"):
        outcome = {"model_a": "first", "model_b": "second", "tie": "tie"}[row["winner"]]
        return [Cell(row["model_a"], row["model_b"], outcome, 1)]
    if name in ("flatlizards", "chameleons"):
        return [Cell(row["winner"], row["loser"], "first", 1)]
    first, second, won, lost, tied = {
        "baseball_1987": ("home.team", "away.team", "home.wins", "away.wins", None),
        "springall_flavour": ("row", "col", "win", "loss", "tie"),
        "soundfields": ("field1", "field2", "win1", "win2", "tie"),
    }[name]
    ended = (("first", won), ("second", lost), ("tie", tied))
    return [Cell(row[first], row[second], outcome, float(row[count])) for outcome, count in ended if count]
