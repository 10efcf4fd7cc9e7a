"""How a POST is answered: htmx gets a part of the page or a place to go, a plain form gets a 303; refusals keep the text."""

from collections.abc import Callable
from functools import wraps
from math import ceil
from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from arena import puzzles
from arena.errors import Refused
from arena.models import Battle, Vote
from arena.views.access import Request, wants_fragment
from arena.views.puzzle import subject
from arena.views.scene import scene_context


class SeeOther(HttpResponseRedirect):
    status_code = 303


def go(request: Request, name: str, *args: Any) -> HttpResponse:
    """Send the browser to another page."""
    url = reverse(name, args=args)
    if wants_fragment(request):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return SeeOther(url)


def show(request: Request, battle: Battle, vote: Vote | None = None) -> HttpResponse:
    """The battle as it is now, after a change."""
    if wants_fragment(request):
        if vote is None:
            battle.refresh_from_db()
        return render(request, "battle/page.html#battle", scene_context(battle, vote))
    return SeeOther(reverse("battle", args=[battle.pk]))


def refusable(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Answers `Refused` with its words, its status and Retry-After."""

    @wraps(view)
    def inner(request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Refused as refusal:
            return refuse(request, refusal, kwargs.get("battle"))

    return inner


def refuse(request: Request, refusal: Refused, battle: Any = None) -> HttpResponse:
    """A notice inside the page for htmx; a page of its own, with the text that was sent, for a plain form."""
    context: dict[str, Any] = {
        "refusal": refusal,
        "retry_s": ceil(refusal.retry_after),
        "prompt": request.POST.get("prompt", ""),
    }
    if refusal.code == "too_fast" and wants_fragment(request):
        context["puzzle"] = puzzles.offer(subject(request))
    if battle:
        context["back"] = reverse("battle", args=[battle])
    template = "battle/refusal.html" if wants_fragment(request) else "battle/refused.html"
    response = render(request, template, context, status=refusal.status)
    if wants_fragment(request):
        response["HX-Retarget"], response["HX-Reswap"] = "#notice", "innerHTML"
    if refusal.retry_after:
        response["Retry-After"] = str(ceil(refusal.retry_after))
    return response
