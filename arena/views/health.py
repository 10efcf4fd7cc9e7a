"""Two questions of machines: does the process answer, and can the installation serve? Operators also learn what is wrong."""

from dataclasses import asdict

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena.operations import access
from arena.operations.readiness import checks


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    report = checks.now()
    told: dict[str, object] = {"status": "ok" if report.ready else "not ok"}
    if access.may_view(request):
        told = {"status": report.state, "parts": {name: asdict(part) for name, part in report.parts.items()}}
    return JsonResponse(told, status=200 if report.ready else 503)
