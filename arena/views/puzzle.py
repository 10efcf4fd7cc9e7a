"""Puzzles at the door: a form that brings a solution is not asked for tokens."""

from collections.abc import Callable
from functools import wraps

from django.http import HttpResponse

from arena import limits, puzzles
from arena.views.access import Request, group


def subject(request: Request) -> str:
    """Whom a puzzle is for: the visitor, or the prefix of somebody who is none yet."""
    return request.visitor.pk.hex if request.visitor else group(request)


def payable(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Takes `puzzle` and `answer` of the form as payment for this one request; wrong ones count as none."""

    @wraps(view)
    def inner(request: Request, *args: object, **kwargs: object) -> HttpResponse:
        token = request.POST.get("puzzle", "")
        paid = bool(token) and puzzles.redeem(subject(request), group(request), token, request.POST.get("answer", ""))
        with limits.paid(paid):
            return view(request, *args, **kwargs)

    return inner
