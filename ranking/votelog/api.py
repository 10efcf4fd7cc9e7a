"""/api/v1/log: the public vote log as files and facts. Nothing of it is newer than the last publication."""

import gzip
from datetime import date, datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext_noop
from ninja import Router, Schema

from arena.problems import documented
from ranking.votelog import chain, publication, reading, receipts
from ranking.votelog.receipts import Status

router = Router(tags=["vote log"])

LINES = "application/x-ndjson"
LATEST = 20
OPENINGS = 2000  # more than a year of them


class PublishedBoard(Schema):
    """`sha256`: of the board's document in canonical JSON."""

    category: str
    controlled: bool
    votes: int
    sha256: str


class PublicationLine(Schema):
    """A line that made everything before it public: its number, when, and the boards that changed with it."""

    entry: int
    at: datetime
    boards: list[PublishedBoard]


class Log(Schema):
    """Where the public log ends. `head`: SHA-256 of its last line. `next`: when the schedule publishes again."""

    format: int
    entries: int
    head: str
    page_size: int
    pages: int
    next: datetime
    publications: list[PublicationLine]


class LogModel(Schema):
    """A model in the log: its id there, and what it is called today."""

    id: str
    name: str
    slug: str


class LogModels(Schema):
    models: list[LogModel]


class Opening(Schema):
    """What a publication's `withheld` was made of: SHA-256 of `salt` and the hash of that line of the exclusions."""

    publication: int
    exclusions: int
    salt: str


class Openings(Schema):
    openings: list[Opening]


class Receipt(Schema):
    """Where a vote is. The fields after `sealed_on` are null until the vote is public.

    `status`: waiting (to be sealed), sealed (in the log, shown with the next publication) or public. `excluded`: the line that
    took the vote out of the count, if there is one.
    """

    receipt: str
    sha256: str
    status: Status
    entry: int | None
    sealed_on: date | None
    line: str | None
    publication: int | None
    published: datetime | None
    ranked: bool | None
    reason: str
    excluded: int | None


def _described(media: str, schema: dict[str, Any], *statuses: int) -> dict[str, Any]:
    answers = documented(*statuses)
    answers["responses"][200] = {"description": "OK", "content": {media: {"schema": schema}}}
    return answers


@router.get("", response=Log, summary=gettext_noop("The vote log"), operation_id="log", openapi_extra=documented())
def log(request: HttpRequest) -> dict[str, Any]:
    """How long the public log is, its head, and its newest publications."""
    end = reading.end()
    return {
        "format": chain.FORMAT,
        "entries": end.entries,
        "head": end.head,
        "page_size": reading.PAGE,
        "pages": end.pages,
        "next": publication.next_moment(),
        "publications": reading.publications(LATEST),
    }


@router.get(
    "/pages/{int:page}.jsonl",
    summary=gettext_noop("The lines of the vote log"),
    operation_id="log_page",
    openapi_extra=_described(LINES, {"type": "string"}, 404),
)
def lines(request: HttpRequest, page: int) -> HttpResponse:
    """`page_size` lines from 1 on. A full page never changes; all pages one after the other are the log."""
    return HttpResponse(_page(page), content_type=LINES)


@router.get(
    "/pages/{int:page}.jsonl.gz",
    summary=gettext_noop("The lines of the vote log, compressed"),
    operation_id="log_page_gz",
    openapi_extra=_described("application/gzip", {"type": "string", "format": "binary"}, 404),
)
def compressed(request: HttpRequest, page: int) -> HttpResponse:
    """The same bytes in gzip; files that are put one behind the other are one file."""
    return HttpResponse(gzip.compress(_page(page).encode(), 6, mtime=0), content_type="application/gzip")


@router.get(
    "/boards/{int:entry}",
    summary=gettext_noop("The boards of a publication"),
    operation_id="log_boards",
    openapi_extra=_described("application/json", {"type": "object"}, 404),
)
def boards(request: HttpRequest, entry: int) -> HttpResponse:
    """What a publication made public, as documents whose SHA-256 its line holds. `models` are named by their ids in the log."""
    found = reading.boards(entry)
    if found is None:
        raise Http404("No publication has this number.")
    return HttpResponse(chain.encode(found), content_type="application/json")


@router.get(
    "/models",
    response=LogModels,
    summary=gettext_noop("The models of the vote log"),
    operation_id="log_models",
    openapi_extra=documented(),
)
def models(request: HttpRequest) -> dict[str, Any]:
    """What the ids in the log are called today: a codename until its last day, the name from then on."""
    return {"models": reading.models()}


@router.get(
    "/exclusions/{int:page}.jsonl",
    summary=gettext_noop("Exclusions as they were sealed, once they are public"),
    operation_id="log_exclusions",
    openapi_extra=_described(LINES, {"type": "string"}, 404),
)
def exclusions(request: HttpRequest, page: int) -> HttpResponse:
    """`page_size` lines of the chain that exclusions are sealed in at once, as far as all of them are public."""
    return HttpResponse(_found(reading.exclusions(page)), content_type=LINES)


@router.get(
    "/openings",
    response=Openings,
    summary=gettext_noop("What publications committed to"),
    operation_id="log_openings",
    openapi_extra=documented(),
)
def openings(request: HttpRequest) -> dict[str, Any]:
    """Of the newest publications all of whose exclusions are public: how many there were, and the salt."""
    return {"openings": reading.openings(OPENINGS)}


@router.get(
    "/receipts/{receipt}",
    response=Receipt,
    summary=gettext_noop("Where a vote is"),
    operation_id="log_receipt",
    openapi_extra=documented(404),
)
def receipt(request: HttpRequest, receipt: str) -> dict[str, Any]:
    """The vote of a receipt in the log. Exclusions for abuse are told once they are public, never before."""
    found = receipts.find(receipt)
    if found is None:
        raise Http404("No vote has this receipt.")
    names = ("receipt", "status", "entry", "sealed_on", "publication", "ranked", "reason", "excluded")
    shown = {name: getattr(found, name) for name in names}
    return shown | {"sha256": found.sha256, "line": found.body, "published": found.published_at}


def _page(number: int) -> str:
    return _found(reading.page(number))


def _found(text: str | None) -> str:
    if text is None:
        raise Http404("The log has no such page.")
    return text
