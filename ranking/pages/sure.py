"""How sure the board is, in whole sentences: each made from figures of the board, none of them where the figure is missing."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ranking.board.reasons import Interval, Why
from ranking.method import JUDGES_FEW, VOTES_FEW
from ranking.pages.published import Board, Row
from ranking.pages.spelling import day, fine, number, p_value, percent
from ranking.pages.words import FIGURES, REASONS

SURELY, PERHAPS = 0.95, 0.5  # from which chance of being first on a lead is called one
FLAG_P = 0.05  # a test below this p-value is worth a warning
NO_WIDER = 1.02  # up to which intervals by person are as wide as those by vote
EQUAL = 0.05  # points: no difference on the page
HELPED = 0.05  # so is a larger part of the replicates without an estimate of their own


@dataclass(frozen=True, slots=True)
class Sentence:
    """`anchor`: where the methodology explains it; `warns`: a reason to read the board with care."""

    anchor: str
    text: str
    warns: bool = False


def sentences(board: Board) -> list[Sentence]:
    """In the order of what people ask first; [] for a board without ratings."""
    if len(board.ranked) < 2:
        return []
    return [sentence for make in MAKERS if (sentence := make(board))]


def _named(board: Board, place: int) -> str:
    return board.rows[place].name


def leader(board: Board) -> Sentence | None:
    top = board.ranked[0]
    if top.p_first is None:
        return None
    told = {"name": top.name, "share": percent(top.p_first)}
    if _level(board):
        return Sentence("p-first", _("Nobody leads: all ratings are equal."))
    if top.p_first >= SURELY:
        text = _("%(name)s leads: it is first in %(share)s of the resamples.")
    elif top.p_first >= PERHAPS:
        text = _("%(name)s probably leads: it is first in %(share)s of the resamples.")
    else:
        text = _(
            "Nobody clearly leads: %(name)s has the highest rating, but is first in only %(share)s of the resamples."
        )
    others = [row for row in board.ranked[1:] if (row.p_first or 0.0) >= FLAG_P]
    return Sentence("p-first", " ".join([text % told, *_rivals(others)]))


def _level(board: Board) -> bool:
    """Whether nothing tells the models apart, as where all votes are ties."""
    ratings = [row.rating or 0.0 for row in board.ranked]
    return max(ratings) - min(ratings) < EQUAL


def _rivals(others: list[Row]) -> list[str]:
    if not others:
        return []
    best = max(others, key=lambda row: row.p_first or 0.0)
    told = {"name": best.name, "share": percent(best.p_first or 0.0), "n": len(others)}
    text = ngettext(
        "%(n)s other model is first in at least 5 %% of them: %(name)s, in %(share)s.",
        "%(n)s other models are first in at least 5 %% of them each, most often %(name)s, in %(share)s.",
        len(others),
    )
    return [text % told]


def joint(board: Board) -> Sentence | None:
    if any(row.joint_lower is None for row in board.ranked):
        return None
    told = {"n": len(board.ranked), "k": sum(row.rank == 1 for row in board.ranked)}
    text = ngettext(
        "By the intervals that hold for all %(n)s models at once with 95 %% confidence, only %(k)s model can be the best.",
        "By the intervals that hold for all %(n)s models at once with 95 %% confidence, %(k)s models can be the best.",
        told["k"],
    )
    return Sentence("joint", text % told)


def neighbours(board: Board) -> Sentence | None:
    claims = board.figures.claims
    if claims is None:
        return None
    told = {"k": sum(claim.holds for claim in claims), "n": len(claims)}
    if not told["n"]:
        return None
    if told["n"] == 1:
        return Sentence("claims", _one_pair(apart=told["k"] == 1))
    if not told["k"]:
        text = _("Of %(n)s pairs of neighbours on the board, none is told apart: their order may be chance.")
    elif told["k"] == told["n"]:
        text = _(
            "All %(n)s pairs of neighbours on the board are told apart when compared directly, which sees more than two bars "
            "side by side."
        )
    else:
        text = ngettext(
            "Of %(n)s pairs of neighbours on the board, %(k)s is told apart; the order of the others may be chance.",
            "Of %(n)s pairs of neighbours on the board, %(k)s are told apart; the order of the others may be chance.",
            told["k"],
        )
    return Sentence("claims", text % told)


def _one_pair(apart: bool) -> str:
    if apart:
        return _("The two neighbours on the board are told apart.")
    return _("The two neighbours on the board are not told apart: their order may be chance.")


def certificate(board: Board) -> Sentence | None:
    found = board.figures.certificate
    if found is None:
        return None
    told = {"n": number(found.votes), "share": fine(found.share)}
    told |= {"leader": _named(board, found.leader), "other": _named(board, found.runner_up)}
    text = ngettext(
        "Leaving out %(n)s vote (%(share)s of all), if it is the right one, puts %(other)s ahead of %(leader)s.",
        "Leaving out %(n)s votes (%(share)s of all), if they are the right ones, puts %(other)s ahead of %(leader)s.",
        found.votes,
    )
    return Sentence("certificate", text % told, warns=found.share < 0.01)


def claim_of_first(board: Board) -> Sentence | None:
    sure = board.figures.sure
    if sure is None or sure.since is None or _level(board):  # told of published boards alone
        return None
    told = {"name": _named(board, sure.leader), "other": _named(board, sure.runner_up)}
    if sure.confirmed:
        text = _(
            "The lead of %(name)s is confirmed, even by a test that allows for looking at the board again and again."
        )
    else:
        text = _(
            "The lead is not confirmed: a test that allows for looking at the board again and again "
            "does not yet tell %(name)s from %(other)s."
        )
    if board.key.imported:  # its votes came all at once: the day would be that of the import
        return Sentence("sequence", text % told)
    since = _("%(name)s has been ahead since %(since)s.") % (told | {"since": day(sure.since)})
    return Sentence("sequence", f"{text % told} {since}")


def clusters(board: Board) -> Sentence | None:
    if board.figures.why.get("clusters") == Why.ONE_JUDGE:
        text = _(
            "All votes are by one person: the intervals say how that person's votes scatter, not what others would prefer."
        )
        return Sentence("clusters", text, warns=True)
    found = board.figures.clusters
    if found is None:
        return None
    told = {"judges": number(found.judges), "n": number(found.effective_votes), "x": number(found.inflation, 2)}
    if found.inflation < NO_WIDER:
        text = _(
            "%(judges)s people voted. That one person's votes belong together hardly changes the intervals: "
            "they are %(x)s times as wide."
        )
    else:
        text = _(
            "%(judges)s people voted. As one person's votes belong together, they are worth about %(n)s independent ones, and "
            "the intervals are %(x)s times as wide."
        )
    few = found.effective_judges is not None and found.effective_judges < JUDGES_FEW
    return Sentence("clusters", " ".join([text % told, *_effective(found.effective_judges)]), warns=few)


def _effective(judges: float | None) -> list[str]:
    """On how many people of equal weight the interval rests that has the fewest; nothing on boards before version 7."""
    if judges is None:
        return []
    if judges < JUDGES_FEW:
        text = _("One interval rests on no more than about %(n)s people of equal weight, too few to speak for others.")
    else:
        text = _("Each interval rests on about %(n)s people of equal weight or more.")
    return [text % {"n": number(judges, 1 if judges < 10 else 0)}]


def spread(board: Board) -> Sentence | None:
    if board.method.get("interval") != Interval.BOUND:
        return None
    text = _("No vote prefers a model to another one: the intervals are as wide as if a coin had decided each battle.")
    return Sentence("no-spread", text, warns=True)


def votes(board: Board) -> Sentence | None:
    fewest = min(board.ranked, key=lambda row: row.votes)
    if fewest.votes >= VOTES_FEW:
        return None
    text = _("There are few votes: %(name)s has %(n)s. With fewer than %(least)s, intervals are rough.")
    return Sentence("few-votes", text % {"name": fewest.name, "n": fewest.votes, "least": VOTES_FEW}, warns=True)


def position(board: Board) -> Sentence | None:
    found = board.figures.position
    if found is None:
        return None
    share, *ends = (number(part * 100, 1) for part in (found.share, found.lower, found.upper))
    told = {"share": f"{share} % ({' – '.join(ends)} %)"}
    matters = not found.lower <= 0.5 <= found.upper
    if not matters:
        text = _(
            "The side does not matter measurably: of two equal models, the one shown first gets %(share)s of the points."
        )
    elif board.key.imported:
        text = _(
            "The side matters: of two equal models, the one shown first gets %(share)s of the points. "
            "How sides were drawn for imported votes is not known."
        )
    else:
        text = _(
            "The side matters: of two equal models, the one shown first gets %(share)s of the points. Sides are drawn by lot."
        )
    return Sentence("position", text % told, warns=matters and board.key.imported)


def drift(board: Board) -> Sentence | None:
    found = board.figures.drift
    if found is None:
        return None
    told = {"periods": found.periods, "p": p_value(found.p)}
    if found.p < FLAG_P:
        text = _(
            "Strengths have changed between the %(periods)s periods compared (p %(p)s): "
            "one rating for all of them is an average."
        )
    else:
        text = _("No model is shown to have changed over the %(periods)s periods compared (p %(p)s).")
    return Sentence("drift", text % told, warns=found.p < FLAG_P)


def cycles(board: Board) -> Sentence | None:
    found = board.figures.cycles
    if found is None:
        return None
    told = {"k": number(found.observed), "n": number(found.triads), "p": p_value(found.p)}
    told["m"] = number(found.expected, 1 if 0.05 <= found.expected < 10 else 0)
    if found.p < FLAG_P:
        text = _(
            "More circles (A beats B, B beats C, C beats A) than chance makes: %(k)s of %(n)s triples of models, about %(m)s "
            "expected (p %(p)s). One number per model does not tell everything."
        )
    else:
        text = _(
            "No sign of more circles (A beats B, B beats C, C beats A) than chance makes: %(k)s of %(n)s triples of models, "
            "about %(m)s expected (p %(p)s)."
        )
    return Sentence("cycles", text % told, warns=found.p < FLAG_P)


def helped(board: Board) -> Sentence | None:
    share = board.helped_share
    if not share:
        return None
    text = _("%(share)s of the resamples had no answer of their own and were helped by a virtual tie per pair.")
    return Sentence("helped", text % {"share": percent(share)}, warns=share > HELPED)


def shrinkage(board: Board) -> Sentence | None:
    found = board.figures.shrinkage
    if found is None:
        return None
    text = _(
        "This category has few votes, so its ratings lean on the overall board: its own votes weigh %(share)s on average."
    )
    return Sentence("shrinkage", text % {"share": percent(found.weight)}, warns=found.weight < PERHAPS)


MAKERS: tuple[Callable[[Board], Sentence | None], ...] = (
    *(leader, joint, neighbours, certificate, claim_of_first, clusters, votes, spread, helped, shrinkage),
    *(position, drift, cycles),
)


def missing(board: Board) -> list[tuple[str, str]]:
    """(figure, reason) of what the board could not tell; a reason that this version does not know is shown as it is."""
    told = []
    for name, label in FIGURES.items():
        why = board.figures.why.get(name)
        elsewhere = {"style": not board.key.controlled, "shrinkage": not board.key.category}.get(name, False)
        if getattr(board.figures, name) is None and why and not elsewhere:
            told.append((str(label), str(REASONS.get(why, why))))  # type: ignore[call-overload]
    return told
