"""/api/v1/releases: what /datasets lists, for programs. Figures and names only; the texts are in the files."""

from datetime import datetime
from typing import Any

from django.core.validators import slug_re
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_noop
from ninja import Query, Router, Schema

from arena.problems import documented
from datasets.models import Release, ReleaseState

router = Router(tags=["releases"])
PAGE_MOST = 100


class File(Schema):
    """One file; `path` is where SHA256SUMS has it, `url` where it is downloaded (410 once the release is recalled)."""

    path: str
    url: str
    size: int
    sha256: str
    rows: int | None


class ReleaseOut(Schema):
    """One release. `dropped` counts the conversations that stayed in, by reason; a recalled one says when and why."""

    name: str
    state: str
    published: datetime
    recalled: datetime | None
    recall_reason: str
    licence: str
    policy: str
    conversations: int
    messages: int
    size: int
    sha256: str
    dropped: dict[str, int]
    models: dict[str, int]
    languages: dict[str, int]
    page: str
    files: list[File]


class Releases(Schema):
    """Newest first; `count` is how many there are in all."""

    count: int
    removals: str
    releases: list[ReleaseOut]


@router.get(
    "",
    response=Releases,
    summary=gettext_noop("All releases of conversations"),
    operation_id="releases",
    openapi_extra=documented(422),
)
def releases(
    request: HttpRequest, limit: int = Query(50, ge=1, le=PAGE_MOST), offset: int = Query(0, ge=0, le=10**6)
) -> dict[str, Any]:
    """Published releases, and recalled ones with the reason."""
    listed = Release.objects.listed()
    shown = [_told(request, release) for release in listed[offset : offset + limit]]
    return {
        "count": listed.count(),
        "removals": request.build_absolute_uri(reverse("removals")),
        "releases": shown,
    }


@router.get(
    "/{name}",
    response=ReleaseOut,
    summary=gettext_noop("One release"),
    operation_id="release",
    openapi_extra=documented(404),
)
def release(request: HttpRequest, name: str) -> dict[str, Any]:
    """The release of this name, with its files and their digests."""
    found = Release.objects.listed().filter(name=name).first() if slug_re.match(name) else None
    if found is None:
        raise Http404("No release has this name.")
    return _told(request, found)


def _told(request: HttpRequest, release: Release) -> dict[str, Any]:
    rows = release.facts.get("rows", {})
    files = [
        {
            "path": file.path,
            "url": request.build_absolute_uri(reverse("release_file", args=[release.name, file.path])),
            "size": file.size,
            "sha256": file.sha256,
            "rows": rows.get(file.path),
        }
        for file in release.files.all()
    ]
    return {
        **{name: getattr(release, name) for name in ("name", "state", "recall_reason", "licence", "policy")},
        **{name: getattr(release, name) for name in ("conversations", "messages", "size", "dropped")},
        "published": release.published_at,
        "recalled": release.recalled_at,
        "sha256": release.digest,
        "models": dict(release.models),
        "languages": dict(release.languages),
        "page": request.build_absolute_uri(reverse("release", args=[release.name])),
        "files": files if release.state == ReleaseState.PUBLISHED else [],
    }
