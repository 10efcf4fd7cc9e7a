"""The public read API, version 1: its routers by name, so that what they read stays where it belongs.

Within a version fields are added, never renamed, removed or given another meaning. What every answer has in common (CORS, ETag,
limits, errors as problems) is in `arena/api_edge.py`.
"""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import ValidationError

from arena.problems import problem

ROUTERS = {"/leaderboard": "ranking.pages.api", "/log": "ranking.votelog.api", "/releases": "datasets.api"}

api = NinjaAPI(
    title="Agon public API",
    version="1",
    description="The published leaderboard, the vote log and the published releases, read-only, without a key.",
    docs_url=None,  # its page would load scripts from another host; /api says what there is
    urls_namespace="api-1",
)
for _prefix, _module in ROUTERS.items():
    api.add_router(_prefix, f"{_module}.router")


@api.exception_handler(Http404)
def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, str(error))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    return problem(422, f"{first['loc'][-1]}: {first['msg']}")


def operations() -> list[dict[str, Any]]:
    """What the page /api lists: path and summary of each operation."""
    paths = api.get_openapi_schema()["paths"]
    return [{"path": path, "summary": methods["get"]["summary"]} for path, methods in paths.items()]
