"""Anonymous identity: a signed cookie names a Visitor row.

The row is made by `ensure`, at the first act that needs one (a prompt, a consent), never by looking around. A forged,
stale or orphaned cookie makes a stranger, not an error. The cookie is renewed at most once a day.

The middleware is synchronous on purpose: every page is a synchronous view, and one thread hop for the whole chain
costs half of what two hops per middleware do; streams and sockets do not pass through Django's middleware at all.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import cast
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from arena import clock
from arena.models import Visitor

COOKIE = "agon_visitor"
RENEW_AFTER = timedelta(days=1)
_signer = signing.TimestampSigner(salt="agon.visitor")


class Visit(HttpRequest):
    """The type of a request behind the middleware."""

    visitor: Visitor | None
    visitor_cookie_due: bool


class VisitorMiddleware:
    """Sets `request.visitor` (a Visitor or None) and hands out the cookie when `ensure` made or renewed one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        visit = cast(Visit, request)
        visit.visitor_cookie_due = False
        visit.visitor = _known(visit)
        response = self.get_response(visit)
        if COOKIE in request.COOKIES:
            patch_vary_headers(response, ("Cookie",))
        if visit.visitor_cookie_due and visit.visitor is not None:
            _hand_out(response, visit.visitor.pk)
        return response


def ensure(request: HttpRequest) -> Visitor:
    """The request's visitor, made now if there is none; the response will carry the cookie."""
    visit = cast(Visit, request)
    if visit.visitor is None:
        visit.visitor = Visitor.objects.create()
        visit.visitor_cookie_due = True
    return visit.visitor


def become(request: HttpRequest, visitor: Visitor) -> None:
    """This browser is that visitor from now on; the one that it was stays, without a browser."""
    visit = cast(Visit, request)
    visit.visitor, visit.visitor_cookie_due = visitor, True


def leave(request: HttpRequest, response: HttpResponse) -> None:
    """This browser is nobody from now on."""
    visit = cast(Visit, request)
    visit.visitor, visit.visitor_cookie_due = None, False
    response.delete_cookie(COOKIE, samesite="Lax")


def read_cookie(value: str) -> UUID | None:
    """The visitor id that a cookie proves, or None when it is forged, stale or garbled."""
    try:
        return UUID(hex=_signer.unsign(value, max_age=settings.VISITOR_COOKIE_AGE_S))
    except (signing.BadSignature, ValueError):
        return None


def _known(request: Visit) -> Visitor | None:
    visitor_id = read_cookie(request.COOKIES.get(COOKIE, ""))
    visitor = Visitor.objects.filter(pk=visitor_id).first() if visitor_id else None
    if visitor is not None and clock.now() - visitor.last_seen_at > RENEW_AFTER:
        visitor.last_seen_at = clock.now()
        visitor.save(update_fields=["last_seen_at"])
        request.visitor_cookie_due = True
    return visitor


def _hand_out(response: HttpResponse, visitor_id: UUID) -> None:
    response.set_cookie(
        COOKIE,
        _signer.sign(visitor_id.hex),
        max_age=settings.VISITOR_COOKIE_AGE_S,
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )
    response.headers["Cache-Control"] = "private, no-store"
