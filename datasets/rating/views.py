"""The raters' pages: open rounds, and one battle at a time. Every verb is a plain form."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from arena.errors import Refused
from arena.models import RatingRound
from arena.models.rating import Skip
from arena.views.access import for_staff
from arena.views.answers import SeeOther
from datasets.rating import drawing, labelling, rounds, showing

MAY = "arena.rate_battle"


def for_raters(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For staff who may rate; turns `pk` into its round, or 404."""

    @for_staff(MAY)
    @wraps(view)
    def inner(request: HttpRequest, pk: UUID | None = None, **kwargs: Any) -> HttpResponse:
        return view(request, get_object_or_404(RatingRound, pk=pk), **kwargs) if pk else view(request, **kwargs)

    return inner


@require_safe
@for_raters
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "rating/home.html", {"rounds": rounds.open_rounds(request.user)})  # type: ignore[arg-type]


@require_safe
@for_raters
def next_battle(request: HttpRequest, round: RatingRound) -> HttpResponse:
    return _page(request, round)


@require_POST
@for_raters
def label(request: HttpRequest, round: RatingRound, item: UUID) -> HttpResponse:
    try:
        labelling.label(round, item, request.user, request.POST.get("choice", ""))  # type: ignore[arg-type]
    except Refused as refusal:
        return _page(request, round, refusal)
    messages.success(request, _("Stored."))
    return SeeOther(reverse("rate_round", args=[round.pk]))


@require_POST
@for_raters
def take_back(request: HttpRequest, round: RatingRound) -> HttpResponse:
    if labelling.take_back(round, request.user):  # type: ignore[arg-type]
        messages.success(request, _("Your last label was taken back."))
    else:
        messages.warning(request, _("There is no label that can still be taken back."))
    return SeeOther(reverse("rate_round", args=[round.pk]))


def _page(request: HttpRequest, round: RatingRound, refusal: Refused | None = None) -> HttpResponse:
    """The next battle of the round, with why the last try was refused, if it was."""
    rater: Any = request.user
    shown = None if round.closed_at else drawing.next_for(round, rater)
    context = {
        "round": round,
        "progress": rounds.progress(round, rater),
        "item": shown.item if shown else None,
        "exchanges": showing.exchanges(shown, rater) if shown else [],
        "skips": Skip.choices,
        "refusal": refusal,
    }
    return render(request, "rating/round.html", context, status=refusal.status if refusal else 200)
