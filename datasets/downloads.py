"""`GET /datasets/<name>/<path>`: a file of a published release, whole or in part.

A plain ASGI app in front of Django: under ASGI, Django reads a FileResponse through a thread that stays bound to the request, so
a hundred slow readers would hold a hundred threads. Here a thread is borrowed for each piece of 256 kB. Whatever is no file of a
published release is left to Django (`datasets.views.file`), which says why: 404, 405, 410 for a recalled one. The path is looked
up among the release's rows and never joined to a folder unseen, so there is nothing to traverse.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.db import DatabaseError
from django.utils.http import http_date

from arena.aio import in_db
from datasets import storage
from datasets.models import ReleaseFile, ReleaseState
from datasets.ranges import Part, Unsatisfiable, unchanged, wanted

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)
PIECE = 1 << 18
ASK_AGAIN_S = 5.0  # a recall ends downloads that are under way
STALLED_S = 60.0  # for one piece: whoever reads less than about 4 kB/s gives the place to somebody else
MAX_AGE_S = 86_400  # the bytes never change, but a recall must reach caches within a day
TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".gz": "application/gzip",
    ".md": "text/markdown; charset=utf-8",
    ".json": "application/json",
}
_open = 0  # downloads of this process


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be downloaded now."""

    pk: int
    path: Path
    size: int
    sha256: str
    published: datetime

    @property
    def etag(self) -> str:
        return f'"{self.sha256}"'


class Files:
    """The ASGI app; `otherwise` is Django."""

    def __init__(self, otherwise: App) -> None:
        self.otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = None
        if scope["method"] in ("GET", "HEAD"):
            with suppress(DatabaseError):  # Django meets it again, and has a page for it
                found = await in_db(_find, **scope["url_route"]["kwargs"])
        source = await asyncio.to_thread(_opened, found) if found else None
        if found is None or source is None:
            await self.otherwise(scope, receive, send)
            return
        with closing(source):
            await _answer(found, source, scope, receive, send)


def _find(name: str, path: str) -> Found | None:
    rows = ReleaseFile.objects.select_related("release")
    row = rows.filter(release__name=name, path=path, release__state=ReleaseState.PUBLISHED).first()
    if row is None or row.release.published_at is None:
        return None
    return Found(row.pk, storage.home(name) / row.path, row.size, row.sha256, row.release.published_at)


def _still_published(pk: int) -> bool:
    return ReleaseFile.objects.filter(pk=pk, release__state=ReleaseState.PUBLISHED).exists()


def _opened(found: Found) -> BinaryIO | None:
    """None when the file is not at hand: this machine does not share the folder, or it was recalled a moment ago."""
    try:
        return found.path.open("rb")
    except OSError as error:
        log.error("a published file cannot be read: %s", error)
        return None


async def _answer(found: Found, source: BinaryIO, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if unchanged(headers, found.etag, found.published):
        await _head(send, 304, found, None)
        await send({"type": "http.response.body"})
        return
    if scope["method"] == "HEAD":
        await _head(send, 200, found, Part(0, found.size))
        await send({"type": "http.response.body"})
        return
    try:
        part = wanted(headers, found.size, found.etag, found.published)
    except Unsatisfiable:
        await _refuse(send, 416, b"The range begins behind the end of the file.\n", f"bytes */{found.size}")
        return
    if _open >= settings.RELEASE_DOWNLOADS:
        await _refuse(send, 503, b"Too many downloads are under way. Try again in a minute.\n")
        return
    await _head(send, 206 if part else 200, found, part or Part(0, found.size))
    await _stream(found, source, part or Part(0, found.size), receive, send)


async def _stream(found: Found, source: BinaryIO, part: Part, receive: Receive, send: Send) -> None:
    """Piece by piece. A reader who leaves or stalls ends it; so does a recall, by an end that comes too early to be mistaken."""
    global _open
    _open += 1
    gone = asyncio.create_task(_gone(receive))
    try:
        await asyncio.to_thread(source.seek, part.start)
        left, asked = part.end - part.start, time.monotonic()
        while left and not gone.done():
            if time.monotonic() - asked >= ASK_AGAIN_S:
                if not await in_db(_still_published, found.pk):
                    return
                asked = time.monotonic()
            piece = await asyncio.to_thread(source.read, min(PIECE, left))
            if not piece:
                log.error("a published file is shorter than its row says: %s", found.path)
                return
            left -= len(piece)
            await asyncio.wait_for(send(_body(piece, more=bool(left))), STALLED_S)
        if not part.end - part.start:
            await send(_body(b"", more=False))
    except TimeoutError:
        return
    finally:
        gone.cancel()
        _open -= 1


def _body(piece: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": piece, "more_body": more}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _head(send: Send, status: int, found: Found, part: Part | None) -> None:
    headers = {
        "etag": found.etag,
        "last-modified": http_date(found.published.timestamp()),
        "cache-control": f"public, max-age={MAX_AGE_S}, immutable",
        "accept-ranges": "bytes",
        "access-control-allow-origin": "*",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    if part is not None:
        headers |= {
            "content-type": TYPES.get(found.path.suffix, "text/plain; charset=utf-8"),
            "content-length": str(part.end - part.start),
            "content-disposition": f'attachment; filename="{found.path.name}"',
        }
    if status == 206 and part is not None:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{found.size}"
    await _start(send, status, headers)


async def _refuse(send: Send, status: int, words: bytes, content_range: str = "") -> None:
    headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(words))}
    headers |= {"content-range": content_range} if content_range else {"retry-after": "60"}
    await _start(send, status, headers)
    await send(_body(words, more=False))


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
