"""How often one may try to sign in: token buckets per address prefix and per user name, wherever it is tried.

Every attempt costs a token, a successful one too, and success gives none back: whoever guesses next to a person who signs in
must not profit. A name has a bucket whether or not an account has that name, so the answer tells nothing about accounts. With
Valkey away nobody signs in (503): an unlimited door would be worse. Whoever is locked out by somebody else's guesses
has the one-time link (`manage.py admin_link`), which costs its own address a token, but no name.
"""

import hashlib
from collections.abc import Callable
from functools import wraps
from math import ceil

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from arena import addresses, limits
from arena.errors import Refused
from arena.limits import Bucket

NAME_MAX = 254  # characters of a typed name that count; longer ones share buckets


def attempt(group: str, name: str | None) -> None:
    """Pay for one attempt from `group` (as `addresses.group_key` has it). Refused 429 or, without Valkey, 503."""
    buckets = [Bucket(f"login:prefix:{group}", settings.LOGIN_PREFIX_BURST, settings.LOGIN_PREFIX_PER_MINUTE)]
    if name is not None:
        slot = hashlib.sha256(name.strip().casefold()[:NAME_MAX].encode("utf-8", "surrogatepass")).hexdigest()[:32]
        buckets.append(Bucket(f"login:name:{slot}", settings.LOGIN_NAME_BURST, settings.LOGIN_NAME_PER_MINUTE))
    try:
        wait = limits.take_from(*buckets)
    except redis.RedisError:
        words = _("Sign-ins cannot be counted at this moment, so none is accepted. Try again in a few seconds.")
        raise Refused(503, "limits_unavailable", words, retry_after=limits.RETRY_WHEN_DOWN_S) from None
    if wait > 0:
        seconds = ceil(wait)
        words = ngettext(
            "Too many sign-ins were tried. Try again in %(seconds)d second.",
            "Too many sign-ins were tried. Try again in %(seconds)d seconds.",
            seconds,
        )
        raise Refused(429, "too_many_sign_ins", words % {"seconds": seconds}, retry_after=wait)


def throttled(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Counts each POST to a sign-in view before it looks at what was typed."""

    @wraps(view)
    def inner(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if request.method == "POST":
            try:
                attempt(addresses.group_key(addresses.client_prefix(request)), request.POST.get("username"))
            except Refused as refusal:
                return _refused(request, refusal)
        return view(request, *args, **kwargs)

    return inner


def _refused(request: HttpRequest, refusal: Refused) -> HttpResponse:
    context = {"refusal": refusal, "again": request.get_full_path()}
    response = render(request, "admin_login/refused.html", context, status=refusal.status)
    response["Retry-After"] = str(ceil(refusal.retry_after))
    response["Cache-Control"] = "no-store"
    return response
