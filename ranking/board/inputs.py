"""What a board is made from."""

from dataclasses import dataclass

from ranking import method
from ranking.estimators.judges import JudgeTally
from ranking.estimators.style_rows import Rows
from ranking.estimators.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """`tally`: the battles. `judges`: the same battles by judge, with the same order of models, where judges are kept.

    `periods`: the same battles in consecutive stretches of time, oldest first. `rows`: the same with their style, for a
    style-controlled board. `overall`: all votes, for a thin category that is drawn towards them; its models are among theirs.
    `part`: the board of a category, for which the figures that take long are left to the overall board.
    """

    tally: Tally
    seed: int
    replicates: int = method.REPLICATES
    judges: JudgeTally | None = None
    periods: tuple[Tally, ...] = ()
    rows: Rows | None = None
    overall: Tally | None = None
    part: bool = False
