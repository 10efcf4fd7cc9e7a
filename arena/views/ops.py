"""What operators see: /metrics for machines, /ops for people. Everybody else gets the 404 of an address that does not exist."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis import RedisError

from arena.operations import access, exposition
from arena.operations import page as ops_page
from arena.views.access import Request, wants_fragment


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not access.may_view(request):
        raise Http404
    try:
        body, content_type = exposition.page(request.headers.get("Accept", ""))
    except RedisError:
        return HttpResponse("Valkey cannot be reached\n", status=503, content_type="text/plain; charset=utf-8")
    return HttpResponse(body, content_type=content_type)


@never_cache
@require_safe
def page(request: Request) -> HttpResponse:
    """The figures as they were at the last tick; scripts ask for the fragment again whenever a tick is announced."""
    if not access.may_view(request):
        raise Http404
    template = "ops/page.html#figures" if wants_fragment(request) else "ops/page.html"
    try:
        return render(request, template, ops_page.context())
    except RedisError:
        return render(request, template, {"unreachable": True}, status=503)
