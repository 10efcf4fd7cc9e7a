"""The operator's own pages: /terms, /privacy, /about. An edit is a new version; old versions stay, consents point at them."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from arena.errors import Refused
from arena.models import Page, PageVersion

TERMS = "terms"
FIRST_VERSIONS = Path(__file__).resolve().parent / "first_pages"
TITLES = {TERMS: "Terms of use", "privacy": "Privacy", "about": "About"}
MAX_TEXT = 100_000


def current(slug: str) -> PageVersion:
    """The version of a page that holds now. Raises PageVersion.DoesNotExist for a page that was never written."""
    return PageVersion.objects.select_related("page").filter(page_id=slug).latest("number")


def publish(slug: str, text: str, language: str = "") -> PageVersion:
    """Make `text` (Markdown) the page's newest version; the same text again changes nothing.

    `language` is that of the text; "" keeps the language of the version before. A version is in one language, so that a
    consent points at exactly the words that were agreed to.

    A new version of the terms asks every visitor again before the next prompt. Refused 400 when empty or too long.
    """
    text = text.replace("\r\n", "\n").strip() + "\n"
    if len(text) < 2 or len(text) > MAX_TEXT:
        raise Refused(400, "page_text", _("A page needs between 1 and %(limit)d characters.") % {"limit": MAX_TEXT})
    with transaction.atomic():
        page = Page.objects.select_for_update().get(slug=slug)
        newest = page.versions.order_by("-number").first()
        language = language or (newest.language if newest else settings.LANGUAGE_CODE)
        if newest is not None and (newest.text, newest.language) == (text, language):
            return newest
        return page.versions.create(number=newest.number + 1 if newest else 1, text=text, language=language)


def install(page: Any = Page, version: Any = PageVersion) -> None:
    """Write the first versions of the pages that do not exist yet (called by the migration with its own models)."""
    for slug, title in TITLES.items():
        made, fresh = page.objects.get_or_create(slug=slug, defaults={"title": title})
        if fresh:
            version.objects.create(page=made, number=1, text=(FIRST_VERSIONS / f"{slug}.md").read_text("utf-8"))
