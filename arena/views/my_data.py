"""The verbs of /me: publishing, recovery code, deletion. Plain forms: all of it works without scripts."""

from collections.abc import Callable
from functools import wraps
from math import ceil
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arena import consent, erasure, limits, recovery, visitors
from arena.errors import Refused
from arena.models import Visitor
from arena.views import access
from arena.views.access import Request
from arena.views.answers import go
from arena.views.me import data_page

View = Callable[..., HttpResponseBase]


def said_on_the_page(view: View) -> View:
    """Answers `Refused` with the data page, the refusal on top."""

    @wraps(view)
    def inner(request: Request, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, **kwargs)
        except Refused as refusal:
            wait_s = ceil(refusal.retry_after)
            response = data_page(request, refusal.status, refusal=refusal, retry_s=wait_s)
            if wait_s:
                response["Retry-After"] = str(wait_s)
            return response

    return inner


def for_visitors(view: View) -> View:
    """Gives the view its visitor; sends strangers, who have no data here, to the page that says so."""

    @wraps(view)
    def inner(request: Request, **kwargs: Any) -> HttpResponseBase:
        return view(request, request.visitor, **kwargs) if request.visitor else go(request, "my_data")

    return inner


def slowly(request: Request, what: str) -> None:
    """Charge the address for something that is costly or worth guessing, apart from its prompts. Refused 429, 503."""
    limits.charge(None, f"{what}:{access.group(request)}")


@require_POST
@said_on_the_page
@for_visitors
def publishing(request: Request, me: Visitor) -> HttpResponse:
    """`publish` = 1 allows, anything else withdraws. An explicit yes counts, whatever Sec-GPC says."""
    language = get_language() or ""
    if request.POST.get("publish") == "1":
        consent.allow_publishing(me, language)
    else:
        consent.withdraw_publishing(me, language)
    return go(request, "my_data")


@never_cache
@require_POST
@said_on_the_page
@for_visitors
def make_code(request: Request, me: Visitor) -> HttpResponse:
    """Shows the new recovery code, once: the same form, sent again, makes no other."""
    return render(request, "me/code.html", {"code": recovery.make(me, request.POST.get("instead_of", ""))})


@require_POST
@said_on_the_page
def recover(request: Request) -> HttpResponse:
    """This browser becomes the visitor that the code belongs to."""
    slowly(request, "recovery")
    found = recovery.visitor_of(request.POST.get("code", "")[:200])
    if found is None:
        raise Refused(
            404, "code", _("This code opens nothing here. Compare it letter by letter with what you wrote down.")
        )
    visitors.become(request, found)
    return go(request, "me")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@said_on_the_page
@for_visitors
def delete(request: Request, me: Visitor) -> HttpResponse:
    """A page that says what goes and what stays; a tick and a second press delete."""
    if request.method != "POST" or request.POST.get("sure") != "1":
        unsure = request.method == "POST"
        context = {"unsure": unsure, "battles": me.battles.count()}
        return render(request, "me/delete.html", context, status=400 if unsure else 200)
    erasure.erase(me)
    response = go(request, "my_data_deleted")
    visitors.leave(request, response)
    return response


@require_safe
def deleted(request: Request) -> HttpResponse:
    return render(request, "me/deleted.html")
