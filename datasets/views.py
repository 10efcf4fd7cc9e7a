"""The pages of releases. `datasets/downloads.py` serves files, in front of Django; here is what else can be said of them."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import get_conditional_response
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena import markdown
from arena.problems import problem
from arena.views.errors import error_page
from datasets import card, preview, removals, snippets, storage
from datasets.models import Release, ReleaseState
from datasets.schema import COLUMNS

PAGE = 20
CARD_MOST = 200_000  # characters of a card that a page shows


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    shown = Paginator(Release.objects.listed(), PAGE).get_page(request.GET.get("page"))
    return render(request, "datasets/index.html", {"page": shown, "columns": COLUMNS})


@require_safe
def detail(request: HttpRequest, name: str) -> HttpResponse:
    release = get_object_or_404(Release.objects.listed(), name=name)
    context: dict[str, Any] = {"release": release, "files": release.files.all()}
    if release.state == ReleaseState.PUBLISHED:
        context |= {
            "card": mark_safe(markdown.render(_card(name))),  # noqa: S308 - made safe by arena.markdown
            "preview": preview.first_rows(release),
            "snippets": snippets.of(request.build_absolute_uri(request.path)),
        }
    return render(request, "datasets/detail.html", context)


def _card(name: str) -> str:
    try:
        return card.body((storage.home(name) / card.README).read_text("utf-8")[:CARD_MOST])
    except OSError:
        return ""


@require_safe
def removed(request: HttpRequest) -> HttpResponse:
    """/datasets/removals.txt: one public id per line; 304 for who has it already."""
    now = removals.listing()
    headers = {"ETag": now.etag, "Cache-Control": "no-cache"}  # kept, and asked for again before it is used
    response = HttpResponse(now.body, content_type="text/plain; charset=utf-8", headers=headers)
    return get_conditional_response(request, etag=now.etag, response=response) or response


@never_cache
@require_safe
def file(request: HttpRequest, name: str, path: str) -> HttpResponse:
    """A file that cannot be downloaded, and why: 410 with the reason of a recall, 503 when it is not at hand, else 404."""
    release = get_object_or_404(Release.objects.listed().filter(files__path=path), name=name)
    if release.state == ReleaseState.PUBLISHED:
        return error_page(request, 503)
    if "text/html" in request.headers.get("Accept", ""):
        return render(request, "datasets/recalled.html", {"release": release}, status=410)
    return problem(410, f"This release was recalled: {release.recall_reason}")
