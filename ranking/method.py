"""The method's figures: what the estimators use and the pages print. No numpy here, so that the web process can read them."""

from math import log

VERSION = 7  # of the method: a new number refits every board
CENTRE = 1000.0  # the rating of the mean of the ranked models
SCALE = 400.0  # points for odds of ten to one
PER_LOGIT = SCALE / log(10.0)
CONFIDENCE = 0.95
REPLICATES = 1000
VIRTUAL_BATTLE = 0.5  # per pair that has met, added as a tie to a replicate that has no estimate
PRIOR_BATTLES = 1.0  # tied with a virtual opponent by each model, where a caller asks for that prior
SEQUENCE_PLANNED = 10_000  # votes at which always-valid claims are tightest
SEQUENCE_START = 100  # votes of a model before which it can be in no always-valid claim: its errors are asymptotic
JUDGES_RESAMPLED = (
    40  # effective judges of every model; below, a resample of judges is no picture of them: Student's t instead
)
JUDGES_FEW = 5  # effective judges of a model; below, its degrees of freedom say little, and the board warns
VOTES_FEW = 20  # of a ranked model; below, the board says that intervals are rough
PERIODS = 4  # stretches of time with equally many votes, compared for drift
PERIOD_VOTES = 100  # fewer votes in a stretch: no drift is tested
