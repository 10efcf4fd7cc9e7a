"""Error pages: what happened, what it means, what to do. Never a raw error."""

import sys

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from arena.outages import RETRY_AFTER_S, is_outage


def _words(status: int) -> tuple[str, str]:
    return {
        400: (_("This request makes no sense to us"), _("Reload the page you came from and try again.")),
        403: (_("Not allowed"), _("Reload the page you came from; if it happens again, allow cookies for this site.")),
        404: (_("Nothing is here"), _("The address is wrong, or the page belongs to somebody else.")),
        410: (_("This is gone"), _("It has expired or was taken back.")),
        413: (_("Too much text"), _("Shorten your text and send it again.")),
        429: (_("Too many requests"), _("Wait a minute, then try again.")),
        500: (_("Something broke on our side"), _("Your votes are safe. Try again in a minute.")),
        503: (_("The arena cannot answer right now"), _("Try again in a minute.")),
    }[status]


def error_page(request: HttpRequest, status: int, advice: str = "") -> HttpResponse:
    title, usual = _words(status)
    context = {"status": status, "title": title, "advice": advice or usual}
    return render(request, "errors/error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 413 if isinstance(exception, RequestDataTooBig) else 400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """For staff without the right: what a reload or a cookie cannot mend."""
    advice = _("This account has no right to this page. Sign in with another one, or ask a superuser for the right.")
    return error_page(request, 403, advice)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error_page(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 during an outage of the database.

    Rendered without the request: whatever broke may break again in a context processor.
    """
    status = 503 if is_outage(sys.exc_info()[1]) else 500
    title, advice = _words(status)
    context = {"status": status, "title": title, "advice": advice}
    answer = HttpResponse(render_to_string("errors/error.html", context), status=status)
    if status == 503:
        answer["Retry-After"] = str(RETRY_AFTER_S)
    return answer
