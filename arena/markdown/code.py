"""Fenced code: a language label, a hook for the copy button, and a few Pygments classes (static/css/pygments.css)."""

import re
from functools import lru_cache

from markdown_it.common.utils import escapeHtml
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Literal, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound

MAX_HIGHLIGHT = 12_000  # characters; longer code is shown plain
SLOW = re.compile(r"[^\n]{500}|\s{100}")  # very long lines and gaps, on which some lexers take quadratic time, too
LABEL = re.compile(r"[A-Za-z0-9+#.-]{1,20}")

# Lexers that the tests hold to bounded time on hostile input. Anything else is shown plain, with its label. Those of Java and C#
# take seconds for lines of one letter, so JavaScript's, which knows most of their words, stands in.
LANGUAGES = frozenset({
    "bash", "c", "cpp", "css", "diff", "docker", "go", "haskell", "html", "ini", "javascript", "json",
    "kotlin", "lua", "makefile", "php", "python", "rust", "ruby", "sql", "swift", "toml", "typescript", "xml", "yaml",
})  # fmt: skip
ALIASES = {
    "sh": "bash", "shell": "bash", "zsh": "bash", "console": "bash", "c++": "cpp", "cc": "cpp", "h": "c", "hpp": "cpp",
    "c#": "javascript", "cs": "javascript", "csharp": "javascript", "java": "javascript",
    "patch": "diff", "dockerfile": "docker", "golang": "go", "hs": "haskell",
    "js": "javascript", "jsx": "javascript", "mjs": "javascript", "node": "javascript", "kt": "kotlin",
    "make": "makefile", "py": "python", "python3": "python", "rs": "rust", "rb": "ruby", "postgresql": "sql",
    "mysql": "sql", "sqlite": "sql", "ts": "typescript", "tsx": "typescript", "svg": "xml", "yml": "yaml",
}  # fmt: skip

# Token type -> class; the first match while climbing towards the root wins. Everything else keeps the text's colour.
CLASSES: dict[_TokenType, str] = {
    Comment: "t-c", Comment.Preproc: "t-k", Keyword: "t-k", Operator.Word: "t-k", String: "t-s", Literal.Date: "t-s",
    Number: "t-m", Name.Function: "t-f", Name.Class: "t-f", Name.Decorator: "t-f", Name.Builtin: "t-b",
    Name.Exception: "t-b", Name.Tag: "t-k", Name.Attribute: "t-f", Name.Constant: "t-m", Generic.Inserted: "t-i",
    Generic.Deleted: "t-d", Generic.Heading: "t-h", Generic.Subheading: "t-h", Generic.Prompt: "t-c",
}  # fmt: skip


def figure(code: str, info: str) -> str:
    """HTML of one code block. `info` is the fence's info string; only its first word is used, as label and language."""
    word = info.split()[0] if info.strip() else ""
    label = match[0] if (match := LABEL.fullmatch(word)) else ""
    caption = f'<figcaption class="lang">{escapeHtml(label)}</figcaption>'
    return f'<figure class="code" data-copy="">{caption}<pre><code>{highlight(code, label.lower())}</code></pre></figure>\n'


def highlight(code: str, name: str) -> str:
    """`code` as escaped HTML with class-marked spans where the language is known and the code short enough."""
    lexer = _lexer(ALIASES.get(name, name))
    if lexer is None or len(code) > MAX_HIGHLIGHT or SLOW.search(code):
        return escapeHtml(code)
    out: list[str] = []
    open_class, open_text = "", ""
    for kind, text in lexer.get_tokens(code):
        css = _class(kind)
        if css != open_class:
            out.append(_span(open_text, open_class))
            open_class, open_text = css, ""
        open_text += text
    out.append(_span(open_text, open_class))
    return "".join(out)


@lru_cache(maxsize=64)
def _lexer(name: str) -> Lexer | None:
    if name not in LANGUAGES:
        return None
    try:
        return get_lexer_by_name(name, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@lru_cache(maxsize=512)
def _class(kind: _TokenType) -> str:
    at: _TokenType | None = kind
    while at is not None:
        if at in CLASSES:
            return CLASSES[at]
        at = at.parent
    return ""


def _span(text: str, css: str) -> str:
    escaped = escapeHtml(text)
    return f'<span class="{css}">{escaped}</span>' if css and text else escaped
