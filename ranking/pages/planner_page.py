"""The planner's page: the newest live board, how fast votes come in, and what they cost. For operators only."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Sum

from arena import clock
from arena.models import VoteEvent
from arena.models.battles import Origin
from arena.models.votes import EventKind
from inference.models import Spend
from ranking.fits import boards
from ranking.models import BoardSnapshot
from ranking.pages import planner, published
from ranking.pages.planner import Plan, Question
from ranking.pages.published import Board, Row

DAYS = 7


@dataclass(frozen=True, slots=True)
class Pace:
    """`cost` of one ranked vote, all included, in the currency of the deployments' prices; None where nothing is priced."""

    votes_a_day: float
    cost: float | None


@dataclass(frozen=True, slots=True)
class Need:
    """Votes of one allocation; `votes`, `days` and `cost` are None where nobody knows (see planner.needed and Pace)."""

    votes: int | None
    days: float | None
    cost: float | None


@dataclass(frozen=True, slots=True)
class Line:
    better: Row
    worse: Row
    plan: Plan
    needs: list[Need | None]  # in the order of planner.ALLOCATIONS; None: this allocation is not known


def newest() -> Board | None:
    """The newest live board, whether it has been published yet or not."""
    live = BoardSnapshot.objects.fits().filter(origin=Origin.LIVE, category=boards.OVERALL, controlled=False)
    snapshot = live.order_by("-fitted_at", "-id").first()
    return published.board_of(snapshot) if snapshot else None


def pace() -> Pace:
    """Over the last DAYS days: ranked live votes, and what all endpoints have charged."""
    since = clock.now() - timedelta(days=DAYS)
    cast = VoteEvent.objects.filter(kind=EventKind.CAST, origin=Origin.LIVE, ranked=True, created_at__gte=since).count()
    spent = Spend.objects.filter(day__gt=since.date()).aggregate(cost=Sum("cost"))["cost"]
    return Pace(cast / DAYS, float(spent) / cast if spent and cast else None)


def answer(board: Board, question: Question) -> dict[str, Any]:
    now = pace()
    lines = []
    for plan in planner.plans(board, question):
        needs = [_need(plan.votes[name], now) if name in plan.votes else None for name in planner.ALLOCATIONS]
        lines.append(Line(board.rows[plan.better], board.rows[plan.worse], plan, needs))
    pairs = [(board.rows[one["better"]], board.rows[one["worse"]]) for one in board.planning or []]
    return {"pace": now, "lines": lines, "pairs": pairs, "days": DAYS}


def _need(votes: int | None, now: Pace) -> Need:
    if votes is None:
        return Need(None, None, None)
    days = votes / now.votes_a_day if now.votes_a_day else None
    return Need(votes, days, None if now.cost is None else votes * now.cost)
