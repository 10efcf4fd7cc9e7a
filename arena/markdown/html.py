"""One top-level block to safe HTML: markdown-it without raw HTML, our own rules for what is untrusted, nh3 as the last word.

The parser never emits a tag or attribute of the text's own; the allow-list holds even if it did. Nothing remote is ever
loaded: images become their description. Links leave the site visibly: the host is written beside the words.
"""

from typing import Any
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from arena.markdown import code, math

SCHEMES = frozenset({"http", "https", "mailto"})
MAX_URL = 2000
LINK_BUDGET = 60_000  # characters of link targets per text: one definition cannot be multiplied into megabytes
MAX_REFERENCES = 200
MAX_CELLS = 4000
DELIMITER_ROW = "|-: \t>*+.)0123456789"  # with the markers of the lists and quotes that a table may stand in
TOP_HEADING = 3  # the page owns h1 and h2; headings of an answer start below and never skip a level

CLEANER = nh3.Cleaner(
    tags={
        *("p", "br", "hr", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li"),
        *("a", "span", "div", "figure", "figcaption", "table", "thead", "tbody", "tr", "th", "td"),
    },
    attributes={"a": {"href"}, "ol": {"start"}, "figure": {"data-copy"}},
    allowed_classes={
        "span": {"math", "inline", "display", "host", "image", *code.CLASSES.values()},
        "a": {"ext"},
        "figure": {"code"},
        "figcaption": {"lang"},
        "div": {"table"},
        "p": {"cut"},
        "th": {"center", "right"},
        "td": {"center", "right"},
    },
    set_tag_attribute_values={"a": {"target": "_blank"}, "pre": {"tabindex": "0"}, "div": {"tabindex": "0"}},
    url_schemes=set(SCHEMES),
    url_relative="deny",
    link_rel="noopener nofollow ugc",
    generic_attribute_prefixes=None,
)


def valid_link(url: str) -> bool:
    """Whether a link may be followed from the site: absolute, of an allowed scheme, of sane length."""
    scheme, colon, _rest = url.strip().partition(":")
    return bool(colon) and scheme.lower() in SCHEMES and len(url) <= MAX_URL


class Renderer:
    """Renders the blocks of one text in order; keeps what later blocks need: link definitions and the heading level."""

    def __init__(self) -> None:
        self._env: dict[str, Any] = {"references": {}, "level": TOP_HEADING - 1, "budget": LINK_BUDGET}

    def block(self, source: str) -> str:
        """Safe HTML of one block ('' when it shows nothing, like a link definition)."""
        parser = WITHOUT_TABLES if too_many_cells(source) else MARKDOWN
        html = CLEANER.clean(parser.render(source, self._env))
        references = self._env["references"]
        while len(references) > MAX_REFERENCES:
            references.popitem()
        return html


def too_many_cells(source: str) -> bool:
    """Whether a table in `source` could be completed to more than MAX_CELLS cells (short rows are filled up)."""
    rows = source.split("\n")
    columns = max((row.count("|") + 1 for row in rows if "-" in row and not row.strip(DELIMITER_ROW)), default=0)
    return columns * len(rows) > MAX_CELLS


def _levels(state: StateCore) -> None:
    """Map headings to h3 and below without skipped levels; drop empty ones; empty header cells become plain cells."""
    kept: list[Token] = []
    for index, token in enumerate(state.tokens):
        if token.type in ("heading_open", "heading_close"):
            inline = state.tokens[index + (1 if token.nesting > 0 else -1)]
            if not inline.content.strip():
                token.type, token.tag = token.type.replace("heading", "paragraph"), "p"
            else:
                token.tag = _heading(token, state.env)
        elif token.type in ("th_open", "th_close"):
            inline = state.tokens[index + (1 if token.nesting > 0 else -1)]
            token.tag = "th" if inline.content.strip() else "td"
        kept.append(token)
    state.tokens = kept


def _heading(token: Token, env: EnvType) -> str:
    if token.nesting > 0:
        env["level"] = min(int(token.tag[1]) + TOP_HEADING - 1, env["level"] + 1, 6)
    return f"h{env['level']}"


def _link_open(self: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    href = str(tokens[index].attrGet("href") or "")
    env["budget"] -= len(href)
    env["host"] = _host(tokens, index, href)
    env["linked"] = env["budget"] >= 0
    return f'<a class="ext" href="{escapeHtml(href)}">' if env["linked"] else ""


def _host(tokens: list[Token], index: int, href: str) -> str:
    """The host to write beside the link's words; nothing where the words are the address itself."""
    if tokens[index].info == "auto":
        return ""
    try:
        parts = urlsplit(href)
    except ValueError:
        return "?"
    return parts.path.rpartition("@")[2] if parts.scheme == "mailto" else parts.hostname or "?"


def _link_close(self: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    if not env["linked"]:
        return ""
    return f' <span class="host">{escapeHtml(env["host"][:60])}</span></a>' if env["host"] else "</a>"


def _image(self: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    words = self.renderInlineAsText(tokens[index].children or [], options, env).strip()
    return f'<span class="image">{escapeHtml(words)}</span>' if words else ""


def _fence(self: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    return code.figure(tokens[index].content, tokens[index].info)


def _cell(self: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    align = str(tokens[index].attrGet("style") or "").rpartition(":")[2]
    css = f' class="{align}"' if align in ("center", "right") else ""
    return f"<{tokens[index].tag}{css}>"


def _build(tables: bool) -> MarkdownIt:
    md = MarkdownIt("commonmark", {"html": False, "linkify": False, "xhtmlOut": False})
    md.enable(["table", "strikethrough"] if tables else "strikethrough")
    md.use(math.plugin)
    md.validateLink = valid_link  # type: ignore[method-assign]
    md.core.ruler.push("levels", _levels)
    for name, rule in {
        "link_open": _link_open, "link_close": _link_close, "image": _image, "fence": _fence, "code_block": _fence,
        "th_open": _cell, "td_open": _cell,
    }.items():  # fmt: skip
        md.add_render_rule(name, rule)
    md.add_render_rule("table_open", lambda *_: '<div class="table"><table>\n')
    md.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return md


MARKDOWN = _build(tables=True)
WITHOUT_TABLES = _build(tables=False)
