"""What we hold about a visitor: battles and votes on one page, everything else and the choices on another."""

from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena import consent, own_data, recovery
from arena.models import Appeal, Battle, Conversation, Report, Visitor
from arena.views.access import Request


@never_cache
@require_safe
def history(request: Request) -> HttpResponse:
    """The visitor's battles, newest first; contestants are named only where a vote has revealed them."""
    mine = Battle.objects.history(request.visitor)
    shown = Paginator(mine, settings.HISTORY_PAGE).get_page(request.GET.get("page"))
    return render(request, "me/battles.html", {"page": shown, "consent": consent.current(request.visitor)})


@never_cache
@require_safe
def data(request: Request) -> HttpResponse:
    return data_page(request)


def data_page(request: Request, status: int = 200, **more: Any) -> HttpResponse:
    """Consent, releases, complaints, recovery, export and deletion; for a stranger only the way back in."""
    context = more | ({"me": request.visitor, **_held(request.visitor)} if request.visitor else {})
    return render(request, "me/data.html", context, status=status)


def _held(visitor: Visitor) -> dict[str, Any]:
    """The newest of each kind; the export has them all."""
    most = settings.HISTORY_PAGE
    reports = Report.objects.filter(visitor=visitor).select_related("reply__turn").order_by("-created_at")
    return {
        "consent": consent.newest(visitor),
        "current": consent.current(visitor),
        "refused_at": consent.refused_at(visitor),
        "code_mark": recovery.mark(visitor),
        "battles": visitor.battles.count(),
        "votes": visitor.votes.count(),
        "releases": _releases(visitor),
        "reports": reports[:most],
        "appeals": Appeal.objects.of(visitor)[:most],
    }


def _releases(visitor: Visitor) -> dict[str, int]:
    """How many of the visitor's conversations each release holds."""
    mine = Conversation.objects.filter(visitor=visitor).values_list("pk", flat=True)
    found: dict[str, int] = {}
    for facts in own_data.releases_of(mine).values():
        for fact in facts:
            found[fact["name"]] = found.get(fact["name"], 0) + 1
    return found
