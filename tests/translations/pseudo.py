"""A language in which every translated string stands in brackets, and every number for people too: what has none was left out.

`speak` swaps the catalogue; `outside` reads a page and returns what stands outside the brackets, `numbers_for_machines` the
attributes that a script or a form reads and in which a number was written for people.
"""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from django.utils import formats
from django.utils.translation import trans_real

OPEN, CLOSE = "⟦", "⟧"
CONTEXT = "\x04"
NUMBER = "⟪"
LETTERS = re.compile(r"[^\W\d_]{2}")
NOT_WORDS = ("code", "kbd", "script", "style", "pre", "noscript")
FOR_PEOPLE = re.compile(
    r"alt|title|placeholder|aria-label|aria-description|label|data-t-.*|data-(one|many|copied|over|copy|system|light|dark)"
)


class Pseudo:
    """Stands in for a Django translation. Only strings that a catalogue holds get brackets."""

    def __init__(self) -> None:
        self.known = trans_real.translation("de")._catalog  # ours, with Django's own

    def gettext(self, message: str) -> str:
        if message not in self.known and not self._plural(message):
            return message
        return f"{OPEN}{message.rpartition(CONTEXT)[2]}{CLOSE}"

    def ngettext(self, singular: str, plural: str, number: float) -> str:
        text = (singular if number == 1 else plural).rpartition(CONTEXT)[2]
        return f"{OPEN}{text}{CLOSE}" if self._plural(singular) else text

    def _plural(self, message: str) -> bool:
        return bool(self.known.get((message, 0), ""))

    def language(self) -> str:
        return "en"

    to_language = language


def speak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every language of the site is the pseudo language until the test ends."""
    pseudo = Pseudo()
    monkeypatch.setattr(trans_real, "translation", lambda language: pseudo)
    monkeypatch.setattr(formats, "number_format", _for_people(formats.number_format))


def _for_people(number_format: Callable[..., str]) -> Callable[..., str]:
    def marked(*args: Any, **kw: Any) -> str:
        text = number_format(*args, **kw)
        return text if kw.get("use_l10n") is False else f"{NUMBER}{text}⟫"  # False: {% localize off %}, floatformat:"u"

    return marked


class Page(HTMLParser):
    """Walks the text in reading order.

    Other people's words (dir=auto), other languages (lang) and what stays as it is (translate=no) are left out.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.depth, self.skipping = 0, 0
        self.open: list[tuple[str, bool]] = []
        self.outside: list[str] = []
        self.numbers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        foreign = (
            tag in NOT_WORDS
            or values.get("dir") == "auto"
            or values.get("translate") == "no"
            or ("lang" in values and tag != "html")
        )
        for name, value in values.items():
            if FOR_PEOPLE.fullmatch(name) or (name, tag) == ("content", "meta"):
                self._attribute(tag, name, value)
            elif NUMBER in value:
                self.numbers.append(f'<{tag} {name}="{value}">')
        if tag not in VOID:
            self.open.append((tag, foreign))
            self.skipping += foreign

    def handle_endtag(self, tag: str) -> None:
        while self.open and any(name == tag for name, _ in self.open):
            name, foreign = self.open.pop()
            self.skipping -= foreign
            if name == tag:
                return

    def handle_data(self, data: str) -> None:
        bare = self._bare(data)
        if not self.skipping and LETTERS.search(bare):
            self.outside.append(" ".join(bare.split()))

    def _attribute(self, tag: str, name: str, value: str) -> None:
        if name == "content" and value.startswith(("width=", "light dark", "noindex", "{", "3")):
            return
        bare = re.sub(rf"{OPEN}[^{OPEN}]*?{CLOSE}", "", value)
        bare = re.sub(rf"{OPEN}[^{OPEN}]*?{CLOSE}", "", bare)
        if LETTERS.search(bare) and not value.startswith("#"):
            self.outside.append(" ".join(bare.split()))

    def _bare(self, data: str) -> str:
        """What stands outside every bracket; brackets may open in one element and close in another."""
        kept = []
        for letter in data:
            self.depth += letter == OPEN
            if not self.depth:
                kept.append(letter)
            self.depth -= letter == CLOSE
        return "".join(kept)


VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
VOID |= {"path", "circle", "rect", "line"}


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert page.depth == 0, "a bracket was cut off"
    return page
