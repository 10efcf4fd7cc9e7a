"""Who asks: the owner of a battle, staff with a permission, the fairness group of an address, the fields of a form."""

import re
from collections.abc import Callable
from functools import wraps
from uuid import UUID

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from arena import addresses, bans, staff
from arena.errors import Refused
from arena.models import Battle, Reply, Visitor

PROGRAM = re.compile(
    r"bot\b|crawl|spider|headless|curl|wget|python|httpx|aiohttp|go-http|java/|okhttp|node-fetch|axios", re.I
)


class Request(HttpRequest):
    """A request after the visitor's middleware."""

    visitor: Visitor | None


def owned(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Turns the address's battle id into the visitor's own battle; anybody else gets the 404 of a wrong id."""

    @wraps(view)
    def inner(request: Request, battle: UUID, **kwargs: object) -> HttpResponse:
        if request.visitor is None:
            raise Http404("no such battle")
        return view(request, get_object_or_404(Battle, pk=battle, visitor=request.visitor), **kwargs)

    return inner


def owned_unread(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Like `owned` for a verb that reads and locks the battle itself, given its id and whose it must be."""

    @wraps(view)
    def inner(request: Request, battle: UUID, **kwargs: object) -> HttpResponse:
        if request.visitor is None:
            raise Http404("no such battle")
        try:
            return view(request, battle, request.visitor, **kwargs)
        except Battle.DoesNotExist:
            raise Http404("no such battle") from None

    return inner


def taking_part(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Refuses banned visitors and addresses (403 "banned"). Reading, and everything about one's own data, stays open."""

    @wraps(view)
    def inner(request: Request, *args: object, **kwargs: object) -> HttpResponse:
        bans.refuse_banned(request.visitor, addresses.client_prefix(request))
        return view(request, *args, **kwargs)

    return inner


def for_staff(permission: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Strangers are sent to the sign-in, staff without the permission get 403; no browser keeps the page."""

    def wrap(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def inner(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path(), reverse("admin:login"))
            if not staff.may(request.user, permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return never_cache(inner)

    return wrap


def machine(request: Request) -> bool:
    """Whether the browser says that it is a program, or says nothing. Only this yes or no is ever stored."""
    return PROGRAM.search(request.headers.get("User-Agent") or "bot") is not None


def wants_fragment(request: Request) -> bool:
    """htmx asks, so a part of the page answers."""
    return request.headers.get("HX-Request") == "true"


def group(request: Request) -> str:
    """The opaque id of the address's prefix, for limits and fairness."""
    return addresses.group_key(addresses.client_prefix(request))


def key(request: Request) -> UUID:
    """The form's idempotency key; Refused 400 when it is not a UUID."""
    try:
        return UUID(request.POST.get("key", ""))
    except ValueError:
        raise Refused(400, "key", _("This form is incomplete. Reload the page and send it again.")) from None


def number(request: Request) -> int:
    """The form's turn number; Refused 400 when it is not one."""
    value = request.POST.get("turn", "")
    if not (value.isascii() and value.isdigit() and len(value) < 6):
        raise Refused(400, "turn", _("This form is incomplete. Reload the page and send it again."))
    return int(value)


def side(request: Request) -> str:
    """The form's side, `a` or `b`; Refused 400 otherwise."""
    value = request.POST.get("side", "")
    if value not in ("a", "b"):
        raise Refused(400, "side", _("This form is incomplete. Reload the page and send it again."))
    return value


def reply(request: Request, battle: Battle) -> Reply:
    """The answer that a form speaks of."""
    return get_object_or_404(Reply, turn__battle=battle, turn__number=number(request), side=side(request))
