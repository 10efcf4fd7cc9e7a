"""What a board is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ranking import method
from ranking.estimators.judges import JudgeTally
from ranking.estimators.style_rows import Rows
from ranking.estimators.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """`tally`: the battles. `judges`: the same battles by judge, with the same order of models, where judges are kept.

    `periods`: the same battles in consecutive stretches of time, oldest first. `rows`: those with style counts, for the
    style-controlled board alone. `overall`: the board that a category's is shrunk towards, by model: theta in logits.
    """

    tally: Tally
    seed: int
    replicates: int = method.REPLICATES
    judges: JudgeTally | None = None
    periods: tuple[Tally, ...] = ()
    rows: Rows | None = None
    overall: Mapping[str, float] = field(default_factory=dict)
