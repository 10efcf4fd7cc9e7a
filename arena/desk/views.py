"""The desk's pages. Every verb works as a plain form; keys press the same buttons (`static/js/desk.js`)."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from arena.desk import cases, choices, deciding, listing, queues
from arena.desk.queues import Filters, Queue
from arena.errors import Refused
from arena.moderation import gate
from arena.views.access import for_staff
from arena.views.answers import SeeOther

MAY = "arena.moderate"


def for_moderators(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For staff who may moderate; turns `slug` into its queue, or 404."""

    @for_staff(MAY)
    @wraps(view)
    def inner(request: HttpRequest, slug: str | None = None, **kwargs: Any) -> HttpResponse:
        if slug is None:
            return view(request, **kwargs)
        if slug not in queues.QUEUES:
            raise Http404("no such queue")
        return view(request, queues.QUEUES[slug], **kwargs)

    return inner


@require_safe
@for_moderators
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "desk/home.html", {"figures": queues.figures()})


@require_safe
@for_moderators
def queue(request: HttpRequest, queue: Queue) -> HttpResponse:
    return _list(request, queue)


@require_safe
@for_moderators
def case(request: HttpRequest, queue: Queue, pk: UUID) -> HttpResponse:
    return render(request, "desk/case.html", cases.context(queue, Filters.of(request.GET), cases.find(queue, pk)))


@require_POST
@for_moderators
def decide(request: HttpRequest, queue: Queue, pk: UUID) -> HttpResponse:
    """Decide and open the next case; a refusal shows the case as it is now, with what was typed."""
    filters, case, reason = Filters.of(request.GET), cases.find(queue, pk), request.POST.get("reason", "")
    if queue.kind == "block":
        raise Http404("nothing to decide")
    _before, after = listing.neighbours(queue, filters, pk)
    try:
        verdict, seen = request.POST.get("verdict", ""), request.POST.get("seen", "")
        cases.decide(queue, case, request.user, verdict, gate.clean_prompt(reason), seen)  # type: ignore[arg-type]
    except Refused as refusal:
        context = cases.context(queue, filters, cases.find(queue, pk)) | {"refusal": refusal, "reason": reason}
        return render(request, "desk/case.html", context, status=refusal.status)
    messages.success(request, _("Decided. This is the next one.") if after else _("Decided. That was the last one."))
    return SeeOther(address(queue, filters, after))


@require_POST
@for_moderators
def pass_many(request: HttpRequest, queue: Queue) -> HttpResponse:
    """Pass the chosen conversations of a list with one reason."""
    if queue.kind != "battle":
        raise Http404("only conversations are passed together")
    try:
        seen = choices.read(request.POST.getlist("chosen"))
        reason = gate.clean_prompt(request.POST.get("reason", ""))
        done = deciding.pass_many(seen, request.user, reason)  # type: ignore[arg-type]
    except Refused as refusal:
        return _list(request, queue, refusal=refusal, reason=request.POST.get("reason", ""))
    _tell(request, done)
    return SeeOther(address(queue, Filters.of(request.GET)))


def address(queue: Queue, filters: Filters, pk: UUID | None = None) -> str:
    """Of a case, or of the queue's list."""
    page = reverse("desk_case", args=[queue.slug, pk]) if pk else reverse("desk_queue", args=[queue.slug])
    return page + filters.query


def _list(request: HttpRequest, queue: Queue, **more: Any) -> HttpResponse:
    filters = Filters.of(request.GET)
    page, rows = listing.page_of(queue, filters, request.GET.get("page"))
    context = {"queue": queue, "filters": filters, "page": page, "rows": rows, "most": queues.COUNT_MOST, **more}
    if queue.kind == "battle":
        context |= choices.offered(rows, filters)
    status = more["refusal"].status if "refusal" in more else 200
    return render(request, "desk/queue.html", context, status=status)


def _tell(request: HttpRequest, done: deciding.Bulk) -> None:
    """What became of a bulk pass, in up to three sentences."""
    passed = ngettext("%(n)d conversation passed.", "%(n)d conversations passed.", done.passed) % {"n": done.passed}
    messages.success(request, passed)
    if n := len(done.changed):
        words = ngettext(
            "%(n)d was decided by a colleague or went on meanwhile, and was left as it is.",
            "%(n)d were decided by colleagues or went on meanwhile, and were left as they are.",
            n,
        )
        messages.warning(request, words % {"n": n})
    if n := len(done.severe):
        words = ngettext(
            "%(n)d is flagged for sexual content with minors and has to be opened to be decided.",
            "%(n)d are flagged for sexual content with minors and have to be opened to be decided.",
            n,
        )
        messages.warning(request, words % {"n": n})
