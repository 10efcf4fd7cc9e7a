"""Public names of what a board stores under names of its own: figures, reasons for missing ones, tie models, parts of style."""

from django.utils.translation import gettext_lazy

from ranking.board.board_format import Why

FIGURES = {
    "position": gettext_lazy("Effect of the side"),
    "ties": gettext_lazy("Comparison of tie models"),
    "claims": gettext_lazy("Neighbours told apart"),
    "certificate": gettext_lazy("Votes that would overturn the lead"),
    "drift": gettext_lazy("Changes over time"),
    "cycles": gettext_lazy("Circles"),
    "style": gettext_lazy("Effect of style"),
    "sure": gettext_lazy("Confirmation of the lead"),
    "clusters": gettext_lazy("Votes by one person"),
    "shrinkage": gettext_lazy("Leaning on the overall board"),
}
REASONS = {
    Why.TOO_FEW: gettext_lazy("too few votes"),
    Why.OLDER_METHOD: gettext_lazy("this board was fitted before we computed it"),
    Why.NO_JUDGES: gettext_lazy("no two votes are known to be by the same person"),
    Why.FEW_JUDGES: gettext_lazy("too few people have voted"),
    Why.ONE_JUDGE: gettext_lazy("all votes are by one person"),
    Why.NO_SPREAD: gettext_lazy("the votes of each person cancel out, or all are ties"),
    Why.OVERALL_ONLY: gettext_lazy("told of all votes together, not by category"),
    Why.NOT_THIN: gettext_lazy("this board has votes enough of its own"),
    Why.SHRUNK: gettext_lazy("not on a board that leans on the overall one"),
    Why.NO_PERIODS: gettext_lazy("fewer than two periods with enough votes"),
    Why.NOT_CONTROLLED: gettext_lazy("only with style control"),
    Why.CONTROLLED: gettext_lazy("not with style control, which reads votes rather than counts"),
    Why.NOT_FOUND: gettext_lazy("none was found within the bound of the search"),
    Why.NOT_CONVERGED: gettext_lazy("the estimate has no finite answer"),
}

# Names of other models of a tie, and of what style is made of, as boards store them.
NAMES = {
    "half_win": gettext_lazy("half a win (this board)"),
    "drop": gettext_lazy("ties left out"),
    "davidson": "Davidson",
    "rao_kupper": "Rao-Kupper",
    "grounded_rao_kupper": gettext_lazy("Rao-Kupper, “both bad” apart"),
    "length": gettext_lazy("Length"),
    "headers": gettext_lazy("Headings"),
    "lists": gettext_lazy("List items"),
    "bold": gettext_lazy("Bold text"),
    "sentiment": gettext_lazy("Tone"),
}
