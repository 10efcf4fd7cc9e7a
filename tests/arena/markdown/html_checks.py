"""Reads rendered HTML the way a browser would tokenise it, and holds every tag and attribute against the allow-list."""

from html.parser import HTMLParser
from urllib.parse import urlsplit

TAGS = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
    *("span", "div", "figure", "figcaption", "table", "thead", "tbody", "tr", "th", "td"),
}
VOID = {"br", "hr"}
ATTRIBUTES = {
    "a": {"class", "href", "target", "rel"},
    "ol": {"start"},
    "figure": {"class", "data-copy"},
    "figcaption": {"class"},
    "pre": {"tabindex"},
    "div": {"class", "tabindex"},
    "span": {"class"},
    "p": {"class"},
    "th": {"class"},
    "td": {"class"},
}
CLASSES = {
    *("ext", "code", "lang", "table", "cut", "center", "right", "math", "inline", "display", "host", "image"),
    *(f"t-{letter}" for letter in "ckmsfbidh"),
}
SCHEMES = {"http", "https", "mailto"}


class Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, f"<{tag}>"
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"repeated attribute in <{tag} {attrs}>"
        for name, value in attrs:
            self.check_attribute(tag, name, value or "")
        if tag == "a":
            assert dict(attrs)["rel"] == "noopener nofollow ugc" and dict(attrs)["target"] == "_blank"
            assert "a" not in self.open
        if tag not in VOID:
            self.open.append(tag)

    def check_attribute(self, tag: str, name: str, value: str) -> None:
        assert name in ATTRIBUTES.get(tag, ()), f"<{tag} {name}={value!r}>"
        if name == "class":
            assert set(value.split()) <= CLASSES, value
        elif name == "href":
            assert urlsplit(value.strip()).scheme in SCHEMES, value
            assert not any(ord(char) < 33 for char in value), value
            self.links.append(value)
        elif name == "start":
            assert value.isdigit(), value
        elif name == "tabindex":
            assert value == "0"
        elif name == "data-copy":
            assert value == ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> does not match"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"comment {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"declaration {decl!r}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"declaration {data!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"instruction {data!r}")


def check(html: str) -> Checker:
    """Assert that `html` is balanced and holds nothing but what is allowed; returns what was seen."""
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert not checker.open, f"left open: {checker.open}"
    return checker
