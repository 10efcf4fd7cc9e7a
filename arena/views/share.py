"""Sharing a voted battle, and the page that strangers see."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from arena import battles
from arena.models import Battle
from arena.moderation import verdicts
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
    """Names and vote; the texts that were voted on once every message of both sides is passed, which is asked again here."""
    battle = get_object_or_404(Battle, share_token=token, voted_at__isnull=False)
    scene = Scene(battle)
    told = scene.voted_on  # read before the question below: a text that is blocked meanwhile is not shown
    context = {"scene": scene, "exchanges": told if verdicts.may_be_shown(battle) else []}
    response = render(request, "battle/shared.html", context)
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response
