"""The battle: start page, the page of one battle, and one view per verb."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from arena import battles, consent, limits, visitors, votes
from arena.errors import Refused
from arena.ids import uuid4
from arena.models import Battle, Consent, Contestant, Visitor, Vote
from arena.views import access, puzzle
from arena.views.access import Request
from arena.views.answers import go, refusable, show
from arena.views.examples import EXAMPLES, prompt_of
from arena.views.scene import scene_context


def start_context(request: Request) -> dict[str, Any]:
    """What the start page shows; `?example=` fills the prompt where scripts do not run."""
    return {
        "key": uuid4(),
        "limit": settings.PROMPT_MAX_CHARS,
        "prompt": prompt_of(request.GET.get("example")),
        "examples": EXAMPLES,
        "consent": consent.current(request.visitor),
        "contestants": Contestant.objects.drawable().count(),
        "votes_week": Vote.objects.this_week().count(),
    }


@never_cache
@require_safe
def home(request: Request) -> HttpResponse:
    return render(request, "battle/start.html", start_context(request))


def _agreed(request: Request) -> Consent:
    """The consent that the prompt is sent under; a person who never agreed leaves no trace here."""
    agreed = consent.current(request.visitor)
    if agreed is None and request.POST.get("agree_terms"):
        if request.visitor is None:  # rows for a newcomer cost the prefix a token, or a script could make any number
            limits.charge(None, access.group(request))
        publish = bool(request.POST.get("publish"))
        return consent.agree(visitors.ensure(request), publish, get_language() or "")
    if agreed is None:
        raise Refused(403, "consent", _("Please read and accept the terms before your first prompt."))
    return agreed


@require_POST
@refusable
@puzzle.payable
@access.taking_part
def start(request: Request) -> HttpResponse:
    agreed = _agreed(request)
    prompt, key = request.POST.get("prompt", ""), access.key(request)
    turn = battles.start(visitors.ensure(request), prompt, key, agreed, access.group(request))
    return go(request, "battle", turn.battle_id)


@never_cache
@require_safe
@access.owned
def page(request: Request, battle: Battle) -> HttpResponse:
    if battle.successor_id:
        return go(request, "battle", battle.successor_id)
    template = "battle/page.html#battle" if access.wants_fragment(request) else "battle/page.html"
    return render(request, template, scene_context(battle))


@require_POST
@refusable
@puzzle.payable
@access.taking_part
@access.owned
def send(request: Request, battle: Battle) -> HttpResponse:
    battles.send(battle, request.POST.get("prompt", ""), access.key(request), access.group(request))
    return show(request, battle)


@require_POST
@refusable
@access.owned
def stop(request: Request, battle: Battle) -> HttpResponse:
    battles.stop(battle, access.side(request) if request.POST.get("side") else None)
    return HttpResponse(status=204) if access.wants_fragment(request) else show(request, battle)


@require_POST
@refusable
@puzzle.payable
@access.taking_part
@access.owned
def retry(request: Request, battle: Battle) -> HttpResponse:
    battles.retry(battle, access.side(request), access.group(request))
    return show(request, battle)


@require_POST
@refusable
@access.taking_part
@access.owned_unread
def vote(request: Request, battle: UUID, visitor: Visitor) -> HttpResponse:
    vote = votes.cast_vote(
        battle, request.POST.get("choice", ""), access.number(request), visitor, access.machine(request)
    )
    assert vote.battle is not None, "erased only with its vote"
    return show(request, vote.battle, vote)


@require_POST
@refusable
@puzzle.payable
@access.taking_part
@access.owned
def rematch(request: Request, battle: Battle) -> HttpResponse:
    agreed = consent.current(request.visitor)
    turn = battles.rematch(battle, access.key(request), agreed, access.group(request))
    return go(request, "battle", turn.battle_id)
