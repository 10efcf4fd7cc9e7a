"""Sharing a voted battle, and the page that strangers see."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from arena import battles
from arena.models import Battle
from arena.views import access
from arena.views.access import Request
from arena.views.answers import refusable, show
from arena.views.scene import Scene


@require_POST
@refusable
@access.owned
def share(request: Request, battle: Battle) -> HttpResponse:
    battles.share(battle)
    return show(request, battle)


@require_POST
@refusable
@access.owned
def unshare(request: Request, battle: Battle) -> HttpResponse:
    battles.unshare(battle)
    return show(request, battle)


@never_cache
@require_safe
def shared(request: Request, token: str) -> HttpResponse:
    """Names and vote only: text is shown once its conversation has a passed verdict, which nothing gives yet."""
    battle = get_object_or_404(Battle, share_token=token, voted_at__isnull=False)
    response = render(request, "battle/shared.html", {"scene": Scene(battle)})
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response
