"""Stretches of time for the test of drift."""

from collections.abc import Mapping, Sequence

import numpy as np

from ranking import method
from ranking.estimators.tally import Ints, Tally


def periods(models: Sequence[str], columns: Mapping[str, Ints]) -> tuple[Tally, ...]:
    """The votes in method.PERIODS stretches of equally many, oldest first.

    `columns`: a, b, outcome (as Tally.of_battles takes them) and moment (seconds), each (N,), in any order. None where a
    stretch would have fewer than method.PERIOD_VOTES votes, or would not begin after the one before it: votes of a file without
    times are all of one moment, and their order says nothing.
    """
    total = len(columns["a"])
    if total < method.PERIODS * method.PERIOD_VOTES:
        return ()
    parts = np.array_split(np.argsort(columns["moment"], kind="stable"), method.PERIODS)
    begins = np.array([columns["moment"][part[0]] for part in parts])
    if (np.diff(begins) <= 0).any():
        return ()
    return tuple(Tally.of_battles(models, *(columns[name][part] for name in ("a", "b", "outcome"))) for part in parts)
