"""What a visitor agreed to: the current terms (asked for before the first prompt), and publishing, which is optional."""

from datetime import datetime

from django.utils.translation import gettext as _

from arena import pages
from arena.errors import Refused
from arena.models import Consent, Visitor


def newest(visitor: Visitor | None) -> Consent | None:
    """What the visitor last said, to whichever version of the terms."""
    return visitor.consents.select_related("terms").order_by("-created_at", "-pk").first() if visitor else None


def current(visitor: Visitor | None) -> Consent | None:
    """The visitor's newest consent if it is to the terms that hold today, else None: ask (again)."""
    given = newest(visitor)
    return given if given is not None and given.terms_id == pages.current(pages.TERMS).pk else None


def refused_at(visitor: Visitor) -> datetime | None:
    """When the visitor last said no to publishing after a yes; what was said before stays out of releases."""
    first = visitor.consents.filter(publish=True).order_by("created_at").first()
    said = (
        visitor.consents.filter(publish=False, created_at__gte=first.created_at) if first else visitor.consents.none()
    )
    last = said.order_by("created_at").last()
    return last.created_at if last else None


def agree(visitor: Visitor, publish: bool, locale: str = "") -> Consent:
    """Record agreement to today's terms. Saying the same thing twice is one record; changing `publish` is a new one."""
    terms = pages.current(pages.TERMS)
    given = current(visitor)
    if given is not None and given.publish == publish:
        return given
    return Consent.objects.create(visitor=visitor, terms=terms, publish=publish, locale=locale)


def allow_publishing(visitor: Visitor, locale: str = "") -> Consent:
    """What is said from now on may be published. Refused 409 until today's terms are accepted."""
    if current(visitor) is None:
        raise Refused(409, "terms", _("The terms have changed. Please accept them with your next prompt first."))
    return agree(visitor, True, locale)


def withdraw_publishing(visitor: Visitor, locale: str = "") -> Consent | None:
    """Nothing said so far goes into a later release. It is no agreement to terms that came after the last one."""
    given = newest(visitor)
    if given is None or not given.publish:
        return given
    return Consent.objects.create(visitor=visitor, terms=given.terms, publish=False, locale=locale)
