"""/log and /receipt: the vote log for people. Its files are in the API."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import conditional_page, require_safe

from ranking.votelog import publication, reading, receipts

SHOWN = 10


@require_safe
@conditional_page
def log(request: HttpRequest) -> HttpResponse:
    end = reading.end()
    context: dict[str, Any] = {"end": end, "next": publication.next_moment(), "page_size": reading.PAGE}
    context["board"] = reading.newest_board()
    return render(request, "ranking/log.html", context | {"publications": reading.publications(SHOWN)})


@never_cache
@require_safe
def receipt(request: HttpRequest) -> HttpResponse:
    """With `?receipt=` where that vote is, 404 when no vote has it; else the form alone."""
    asked = request.GET.get("receipt", "").strip()
    found = receipts.find(asked) if asked else None
    context = {"asked": asked[:200], "found": found, "next": publication.next_moment()}
    return render(request, "ranking/receipt.html", context, status=404 if asked and not found else 200)
