"""What operators see: /metrics for machines. Everybody else gets the 404 of an address that does not exist."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis import RedisError

from arena.operations import access, exposition


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
