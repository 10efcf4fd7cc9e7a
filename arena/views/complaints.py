"""Reporting an answer, and appealing against a blocked prompt."""

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from arena import appeals, battles, visitors
from arena.errors import Refused
from arena.models import Appeal, Battle, GateBlock
from arena.models.moderation import ReportReason
from arena.views import access
from arena.views.access import Request
from arena.views.answers import refusable, show


@require_POST
@refusable
@access.taking_part
@access.owned
def report(request: Request, battle: Battle) -> HttpResponse:
    reason = request.POST.get("reason", "")
    if reason not in ReportReason.values:
        raise Refused(400, "reason", _("Please choose what is wrong with the answer."))
    battles.report(access.reply(request, battle), visitors.ensure(request), reason, request.POST.get("text", ""))
    return render(request, "battle/reported.html") if access.wants_fragment(request) else show(request, battle)


@require_POST
@refusable
@access.taking_part
def appeal(request: Request) -> HttpResponse:
    """Only the person whose prompt was blocked may appeal."""
    try:
        block_id = UUID(request.POST.get("block", ""))
    except ValueError:
        raise Http404("no such block") from None
    block = get_object_or_404(GateBlock, pk=block_id, visitor=request.visitor, visitor__isnull=False)
    appeals.appeal(block, request.POST.get("text", ""))
    template = "battle/appealed.html#thanks" if access.wants_fragment(request) else "battle/appealed.html"
    return render(request, template, {"stopped": block.pk})


@never_cache
@require_safe
def appealed(request: Request, block: UUID) -> HttpResponse:
    """What became of one's own appeal; anybody else gets the 404 of a wrong id."""
    if request.visitor is None:
        raise Http404("no such appeal")
    found = get_object_or_404(Appeal.objects.of(request.visitor), block=block)
    return render(request, "battle/appeal.html", {"appeal": found})
