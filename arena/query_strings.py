"""A query string with a NUL is refused before anything reads it: PostgreSQL stores none, so no filter could ever match one."""

from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse

from arena.api_edge import PREFIX


class NoNul:
    """Answers 400, after what its page needs and before any view. The API names its own parameters and refuses for itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "%00" in request.META.get("QUERY_STRING", "") and not request.path_info.startswith(PREFIX):
            raise BadRequest("a NUL in the query string")
        return self.get_response(request)
