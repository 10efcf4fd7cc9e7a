"""/log and /receipt: the vote log for people. Its files are in the API."""

import logging
from math import ceil
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import conditional_page, require_safe
from redis import RedisError

from arena import addresses, limits
from ranking.votelog import publication, reading, receipts

SHOWN = 10
log_of_ours = logging.getLogger(__name__)


@require_safe
@conditional_page
def log(request: HttpRequest) -> HttpResponse:
    end = reading.end()
    context: dict[str, Any] = {"end": end, "next": publication.next_moment(), "page_size": reading.PAGE}
    context["board"] = reading.newest_board()
    return render(request, "ranking/log.html", context | {"publications": reading.publications(SHOWN)})


@never_cache
@require_safe
def receipt(request: HttpRequest) -> HttpResponse:
    """With `?receipt=` where that vote is: 404 when no vote has it, 429 when its network asks too fast. Else the form alone."""
    asked = request.GET.get("receipt", "").strip()[:200]
    if asked and (wait := _wait(request)):
        context: dict[str, Any] = {"asked": asked, "slow_down": limits.slow_down(wait)}
        answer = render(request, "ranking/receipt.html", context, status=429)
        answer["Retry-After"] = str(ceil(wait))
        return answer
    found = receipts.find(asked) if asked else None
    context = {
        "asked": asked,
        "found": found,
        "meant": receipts.meant(found) if found else None,
        "next": publication.next_moment(),
    }
    return render(request, "ranking/receipt.html", context, status=404 if asked and not found else 200)


def _wait(request: HttpRequest) -> float:
    """Seconds until this network may look for a receipt again, by the API's rates. While Valkey is down nobody waits."""
    group = addresses.group_key(addresses.client_prefix(request))
    try:
        return limits.take_from(limits.Bucket(f"receipt:{group}", settings.API_BURST, settings.API_PER_MINUTE))
    except RedisError as error:
        log_of_ours.warning("the limits of receipts cannot be read: %s", type(error).__name__)
        return 0.0
