"""Health checks come from inside, by address and without TLS: neither the host nor the scheme means anything for them."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from arena.visitors import COOKIE

PATHS = frozenset({"/healthz", "/readyz"})


class ProbeHost:
    """Gives /healthz and /readyz a host that the site answers to; SECURE_REDIRECT_EXEMPT spares them the redirect to HTTPS."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info in PATHS:
            first = str(settings.ALLOWED_HOSTS[0]).lstrip(".")
            request.META["HTTP_HOST"] = "localhost" if first == "*" else first
            request.COOKIES.pop(
                COOKIE, None
            )  # a visitor would be looked up, and the database may be what is asked about
        return self.get_response(request)
