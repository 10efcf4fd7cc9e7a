"""How well the crowd agrees with named experts, and they with each other: from stored labels to figures that pages show.

Chatbot Arena (arXiv 2403.04132, section 6) reports 72 to 83 % and 79 to 90 %. Kept: pairs of labels on the same battles. Differs:
the battles are a random sample (`datasets/rating`), ties are compared too (`all`: A, B, tie; `decided`: both named a winner), and
kappa and intervals stand beside each share (`ranking.estimators.agreement`). "Both bad" is a tie.
Shown by tests/ranking/test_agreement.py.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.db import transaction

from arena import clock
from arena.models import Choice, ExpertLabel, Vote
from arena.models.votes import EventKind
from ranking.counting.contributions import counted
from ranking.models import AgreementReport
from ranking.votelog import exclusions

if TYPE_CHECKING:
    from ranking.estimators.agreement import Labels

VERSION = 1
CROWD = ""  # the rater that stands for the vote of the battle
CODES = {Choice.A: 0, Choice.B: 1, Choice.TIE: 2, Choice.BOTH_BAD: 2}
DECIDED = (0, 1)


class Judgement(NamedTuple):
    battle: str
    rater: str
    code: int


def refresh() -> AgreementReport | None:
    """Compute the report anew if a label, or a vote on a labelled battle, has changed; None if not, or without labels."""
    said = judgements()
    print_now = hashlib.sha256(json.dumps([VERSION, said]).encode()).hexdigest()
    if not said:
        AgreementReport.objects.all().delete()
        return None
    if AgreementReport.objects.filter(fingerprint=print_now).exists():
        return None
    figures = compare(said, seed=int(print_now[:12], 16))
    with transaction.atomic():
        AgreementReport.objects.all().delete()
        return AgreementReport.objects.create(fingerprint=print_now, figures=figures, computed_at=clock.now())


def current() -> AgreementReport | None:
    return AgreementReport.objects.first()


def judgements() -> list[Judgement]:
    """Experts' labels, and the votes that count of the battles they labelled; sorted. Skips are none.

    An expert who judged a battle in two rounds counts once, by the first label.
    """
    labels = ExpertLabel.objects.exclude(choice="").order_by("created_at", "pk")
    first: dict[tuple[str, str], int] = {}
    for battle, rater, choice in labels.values_list("item__battle", "rater_name", "choice"):
        first.setdefault((str(battle), rater), CODES[Choice(choice)])
    experts = [Judgement(battle, rater, code) for (battle, rater), code in first.items()]
    return sorted(experts + _votes({one.battle for one in experts}))


def _votes(battles: Iterable[str]) -> list[Judgement]:
    """As the public log stands: an exclusion that is not public yet changes nothing here, so that nobody can test for it."""
    votes: dict[UUID | None, UUID | None] = dict(
        Vote.objects.filter(battle__in=list(battles)).values_list("pk", "battle")
    )
    found = []
    for _everything, public in exclusions.groups_of([pk for pk in votes if pk]):
        if counted(public):
            cast = next(event for event in public if event.kind == EventKind.CAST)
            found.append(Judgement(str(votes[cast.vote_id]), CROWD, CODES[Choice(cast.choice)]))
    return found


def compare(said: list[Judgement], seed: int) -> dict[str, Any]:
    """The report as JSON: `crowd` (crowd against experts), `experts` (among them), each for `all` and `decided`; `raters`."""
    raters = sorted({one.rater for one in said} - {CROWD})
    labels = [one for one in said if one.rater != CROWD]
    return {
        "version": VERSION,
        "battles": len({one.battle for one in labels}),
        "labels": len(labels),
        "crowd": _sides(said, [CROWD], raters, seed),
        "experts": _sides(said, raters, raters, seed),
        "raters": [
            {"name": rater, "labels": sum(one.rater == rater for one in labels)}
            | {"crowd": _sides(said, [CROWD], [rater], seed)["decided"]}
            | {"others": _sides(said, [rater], [name for name in raters if name != rater], seed)["decided"]}
            for rater in raters
        ],
    }


def _sides(said: list[Judgement], ones: list[str], others: list[str], seed: int) -> dict[str, Any]:
    """Two groups against each other; the same group twice: among its members."""
    from ranking.estimators import agreement

    columns = _columns(said)
    names = sorted({one.rater for one in said})
    here, there = ([names.index(name) for name in group if name in names] for group in (ones, others))
    figures = {}
    for kind, labels in (("all", columns), ("decided", columns.only(DECIDED))):
        if ones == others:
            found = agreement.among(labels.by(here), seed)
        else:
            found = agreement.between(labels.by(here), labels.by(there), seed)
        figures[kind] = asdict(found)
    return figures


def _columns(said: list[Judgement]) -> "Labels":
    from ranking.estimators.agreement import Labels

    battles = {name: i for i, name in enumerate(sorted({one.battle for one in said}))}
    raters = {name: i for i, name in enumerate(sorted({one.rater for one in said}))}
    rows = [(battles[one.battle], raters[one.rater], one.code) for one in said]
    return Labels.of(*zip(*rows, strict=True)) if rows else Labels.of([], [], [])
