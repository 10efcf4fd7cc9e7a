"""What we hold about a visitor."""

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena import consent
from arena.models import Battle
from arena.views.access import Request


@never_cache
@require_safe
def history(request: Request) -> HttpResponse:
    """The visitor's battles, newest first; contestants are named only where a vote has revealed them."""
    mine = Battle.objects.history(request.visitor)
    shown = Paginator(mine, settings.HISTORY_PAGE).get_page(request.GET.get("page"))
    return render(request, "pages/me.html", {"page": shown, "consent": consent.current(request.visitor)})
