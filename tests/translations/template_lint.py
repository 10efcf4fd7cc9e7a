"""Finds words in a template that no translation tag holds: text between tags, and attributes that people read."""

import re
from html.parser import HTMLParser

from django.template.base import Lexer, TokenType

LETTERS = re.compile(r"[^\W\d_]")
READ_BY_PEOPLE = re.compile(
    r"alt|title|placeholder|aria-label|aria-description|label|content|data-t-.*|data-(one|many|copied|over)"
)
CODE = ("code", "kbd", "script", "style")
VALUE = " \ufffc "  # stands for whatever a tag or a variable prints


class Leftover(str):
    """Words, with the `line` they stand on."""

    line: int


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.inside: list[str] = []
        self.found: list[Leftover] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in CODE or any(name == "lang" and VALUE.strip() not in (value or "") for name, value in attrs):
            self.inside.append(tag)
        for name, value in attrs:
            if READ_BY_PEOPLE.fullmatch(name) and not (tag == "meta" and ("name", "description") not in attrs):
                self._judge(value or "")

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self._judge(data)

    def _judge(self, text: str) -> None:
        for part in text.split(VALUE):
            if LETTERS.search(part):
                found = Leftover(" ".join(part.split()))
                found.line = self.getpos()[0]
                self.found.append(found)


def leftovers(source: str) -> list[Leftover]:
    """The words of a template that would stay English in every language."""
    reader = Reader()
    reader.feed(without_django(source))
    reader.close()
    return reader.found


def without_django(source: str) -> str:
    """The template with VALUE for each tag, variable and translated block; comments leave nothing but their lines."""
    out, until = [], ""
    for token in Lexer(source).tokenize():
        name = token.contents.split(" ")[0] if token.token_type == TokenType.BLOCK else ""
        lines = "\n" * token.contents.count("\n")
        if until:
            out.append(lines)
            until = "" if name in until.split() else until
        elif name in ("blocktranslate", "blocktrans"):
            until = "endblocktranslate endblocktrans"
            out.append(VALUE)
        elif name == "comment":
            until = "endcomment"
        else:
            out.append(token.contents if token.token_type == TokenType.TEXT else VALUE + lines)
    return "".join(out)
