"""Why a figure of a board is null, and what its intervals are. No Django, no numpy."""

from enum import StrEnum


class Why(StrEnum):
    """Reasons why a figure is null; the pages put them into words."""

    TOO_FEW = "too_few"  # the board has no ranked models, or too few for this figure
    OLDER_METHOD = "older_method"  # fitted by a version that did not compute it
    NO_JUDGES = "no_judges"  # no judge of two votes is known
    FEW_JUDGES = "few_judges"  # of boards before version 7 of the method, which went by votes then
    ONE_JUDGE = "one_judge"  # nothing shows how judges differ
    NO_SPREAD = "no_spread"  # judges whose own votes cancel, or nothing but ties
    NO_PERIODS = "no_periods"  # fewer than two periods with enough votes
    NOT_CONTROLLED = "not_controlled"  # a figure of the style-controlled board only
    CONTROLLED = "controlled"  # a figure of count boards only: the style-controlled fit reads votes, not counts
    NOT_FOUND = "not_found"  # the search stayed within its bound
    NOT_CONVERGED = "not_converged"  # the estimator says that it has no finite answer
    OVERALL_ONLY = "overall_only"  # told of all votes alone, because it takes long
    SHRUNK = "shrunk"  # no figure of a board that is drawn towards the overall one
    NOT_THIN = "not_thin"  # enough votes of its own


class Interval(StrEnum):
    """What the pointwise ends of a board's ratings are."""

    PERCENTILE = "percentile bootstrap"
    STUDENT = "Student's t over the bias-reduced sandwich by judge"  # few effective judges
    LAW = "percentiles of draws from the sandwich's normal law"
    POSTERIOR = "percentiles of draws from the posterior of empirical Bayes"
    BOUND = "normal law over the information: the votes show no spread"  # nothing but ties
