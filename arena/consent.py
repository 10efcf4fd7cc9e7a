"""What a visitor agreed to: the current terms (asked for before the first prompt), and publishing, which is optional."""

from arena import pages
from arena.models import Consent, Visitor


def current(visitor: Visitor | None) -> Consent | None:
    """The visitor's newest consent if it is to the terms that hold today, else None: ask (again)."""
    if visitor is None:
        return None
    newest = visitor.consents.order_by("-created_at", "-pk").first()
    return newest if newest is not None and newest.terms_id == pages.current(pages.TERMS).pk else None


def agree(visitor: Visitor, publish: bool) -> Consent:
    """Record agreement to today's terms. Saying the same thing twice is one record; changing `publish` is a new one."""
    terms = pages.current(pages.TERMS)
    newest = current(visitor)
    if newest is not None and newest.publish == publish:
        return newest
    return Consent.objects.create(visitor=visitor, terms=terms, publish=publish)
