"""The board's pages. They read one stored snapshot; nothing is estimated here, and numpy is never loaded."""

from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import conditional_page, require_POST, require_safe

from arena import staff
from arena.models import Contestant
from arena.operations import access
from arena.problems import problem
from ranking import agreement, demo, method
from ranking.fits import history
from ranking.fits.boards import Asked
from ranking.pages import cards, downloads, ledger_page, planner, planner_page, published, quality_page, rendered
from ranking.pages import methodology as method_page
from ranking.pages.api import NO_BOARD
from ranking.pages.listing import Listing
from ranking.pages.plots import history as ratings
from ranking.pages.plots import intervals

MAY_WIPE = "arena.delete_battle"


@require_safe
@conditional_page
def leaderboard(request: HttpRequest) -> HttpResponse:
    listing = Listing.of(request.GET)
    figures = rendered.figures(listing)
    context: dict[str, Any] = {"listing": listing, "may_wipe": staff.may(request.user, MAY_WIPE), "figures": figures}
    if figures:
        context |= {"board": figures.board, "rows": figures.rows, "missed": figures.asked != listing.asked}
    return render(request, "ranking/leaderboard.html", context)


@require_safe
@conditional_page
def plots(request: HttpRequest) -> HttpResponse:
    page = rendered.plots(Asked.of(request.GET))
    return render(request, "ranking/plots.html", {"page": page})


@require_safe
@conditional_page
def sampling(request: HttpRequest) -> HttpResponse:
    page = rendered.sampling(request.GET.get("origin", ""))
    return render(request, "ranking/sampling.html", {"page": page})


@require_safe
def quality(request: HttpRequest) -> HttpResponse:
    """Crowd against experts, and how discriminating prompts are. How each rater did is for the staff who run the rounds."""
    board = published.current(Asked.of(request.GET))
    context: dict[str, Any] = {"report": agreement.current(), "board": board}
    context["by_rater"] = request.user.has_perm("arena.view_ratinground")
    context["prompts"] = quality_page.prompts(board) if board else None
    return render(request, "ranking/quality.html", context)


@require_safe
def sampling_csv(request: HttpRequest) -> HttpResponse:
    board = published.current(Asked(origin=request.GET.get("origin", "")[:60]))
    shown = ledger_page.ledger(board) if board else None
    if board is None or shown is None:
        raise Http404
    answer = HttpResponse(ledger_page.as_csv(shown), content_type=downloads.FORMATS["csv"])
    name = downloads.filename(board, "csv").replace("agon-board", "agon-sampling")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_safe
def download(request: HttpRequest, ending: str) -> HttpResponse:
    board = published.current(Asked.of(request.GET))
    if ending not in downloads.FORMATS:
        raise Http404
    if board is None:  # programs read these files, so they are told as by the API
        return problem(404, NO_BOARD)
    if ending == "json":
        answer: HttpResponse = JsonResponse(downloads.as_json(board), json_dumps_params={"indent": 1})
    else:
        answer = HttpResponse(downloads.as_csv(board), content_type=downloads.FORMATS[ending])
    answer["Content-Disposition"] = f'attachment; filename="{downloads.filename(board, ending)}"'
    return answer


@require_POST
def wipe_demo(request: HttpRequest) -> HttpResponse:
    if not staff.may(request.user, MAY_WIPE):
        raise PermissionDenied
    demo.wipe(request.user)
    return HttpResponse(status=303, headers={"Location": reverse("leaderboard")})


@require_safe
def model_page(request: HttpRequest, slug: str) -> HttpResponse:
    try:
        contestant = cards.find(slug)
    except cards.Moved as moved:
        return redirect("model", moved.slug, permanent=True)
    if contestant is None:
        raise Http404
    context = model_context(contestant, Asked.of(request.GET))
    if contestant.imported and not context["row"]:
        raise Http404
    return render(request, "ranking/model.html", context)


def model_context(contestant: Contestant, asked: Asked) -> dict[str, Any]:
    board = published.current(cards.home(contestant, asked))
    row, made_of = cards.row_of(contestant, board), cards.revision(contestant)
    context: dict[str, Any] = {"contestant": contestant, "board": board, "row": row, "revision": made_of}
    context["adapters"] = cards.adapters(contestant, made_of)
    if board and row:
        context["opponents"] = cards.opponents(row, board)
        context["bar"] = intervals.bar(row, intervals.scale_of(board.rows, intervals.BAR_WIDTH))
        context["elsewhere"] = cards.elsewhere(contestant, board.key)
        points = history.series(board.key, [row.key], rendered.PUBLICATIONS)
        context["plot"] = ratings.plot([row], points)
    return context


@never_cache
@require_safe
def plan(request: HttpRequest) -> HttpResponse:
    """Operators' planner, on the newest live board, published or not."""
    if not access.may_view(request):
        raise Http404
    board = planner_page.newest()
    question = planner.Question.of(request.GET, len(board.planning or []) if board else 0)
    context: dict[str, Any] = {"board": board, "question": question, "planner": planner}
    if board and board.planning:
        context |= planner_page.answer(board, question)
    return render(request, "ranking/planner.html", context)


@require_safe
def methodology(request: HttpRequest) -> HttpResponse:
    context = {"method": method, "names": sorted(method_page.ANCHORS.items())}
    context["service"] = {"days": settings.SERVICE_DAYS, "least": settings.SERVICE_LEAST}
    return render(request, "ranking/methodology.html", context)
