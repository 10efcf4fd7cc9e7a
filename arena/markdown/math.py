"""LaTeX in `$..$`, `$$..$$`, `\\(..\\)` and `\\[..\\]`: carried to the page as escaped text for KaTeX to typeset.

One forward scan per delimiter and text: a closer that was not found once is not searched for again, so that any number of
unclosed openers costs linear time. Formulas that use commands which load, link or define something stay plain code.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from arena.markdown import lines

MAX_FORMULA = 4000
CLOSERS = (("$$", "$$", True), ("$", "$", False), ("\\[", "\\]", True), ("\\(", "\\)", False))
FORBIDDEN = re.compile(
    r"\\(?:href|url|includegraphics|html\w*|(?:[egx]?def|let|futurelet|global|long)\b|(?:re)?newcommand|providecommand)"
)


def plugin(md: MarkdownIt) -> None:
    """Teach `md` formulas."""
    md.inline.ruler.before("escape", "formula", _inline)
    alternatives: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    md.block.ruler.before("fence", "formula_block", _block, alternatives)
    md.add_render_rule("formula", _render)
    md.add_render_rule("formula_block", _render_block)


def _closing(state: StateInline, closer: str, start: int) -> int:
    """Where `closer` next stands unescaped at or after `start`, or -1; a miss is remembered."""
    missing = state.env.setdefault("formula_missing", {})
    if missing.get(closer, (None, 0))[0] is state.src and start >= missing[closer][1]:
        return -1
    at = state.src.find(closer, start)
    while at > 0 and closer[0] == "$" and state.src[at - 1] == "\\":
        at = state.src.find(closer, at + 1)
    if at < 0:
        missing[closer] = (state.src, start)
    return at


def _reads_as_money(source: str, start: int, end: int) -> bool:
    """`$5 and $6`: a single dollar opens before non-space, closes after non-space and not before a letter or digit.

    Nor does a formula reach into a code span.
    """
    formula, after = source[start:end], source[end + 1 : end + 2]
    return formula[0].isspace() or formula[-1].isspace() or after.isalnum() or "`" in formula


def _inline(state: StateInline, silent: bool) -> bool:
    for opener, closer, display in CLOSERS:
        if not state.src.startswith(opener, state.pos):
            continue
        start = state.pos + len(opener)
        end = _closing(state, closer, start)
        if end <= start or end + len(closer) > state.posMax or end - start > MAX_FORMULA:
            return False
        if opener == "$" and _reads_as_money(state.src, start, end):
            return False
        if not silent:
            token = state.push("formula", "span", 0)
            token.content, token.markup, token.block = state.src[start:end], opener, display
        state.pos = end + len(closer)
        return True
    return False


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    if state.is_code_block(first):
        return False
    line = _line(state, first)
    closer = lines.opens_math(line)
    unclosed = state.env.setdefault("formula_unclosed", {})
    if not closer or (unclosed.get(closer, (None, 0))[0] is state.src and first < unclosed[closer][1]):
        return False
    taken, number = [line.strip()], first
    while not lines.closes_math(taken[-1], closer, number == first):
        number += 1
        if number >= last or state.isEmpty(number) or state.sCount[number] < state.blkIndent:
            unclosed[closer] = (state.src, number)  # no formula begins before that line: never scan it again
            return False
        taken.append(_line(state, number).strip())
    content = "\n".join(taken)[2:-2].strip()
    if not content or len(content) > MAX_FORMULA:
        return False
    if not silent:
        token = state.push("formula_block", "p", 0)
        token.content, token.map, token.block = content, [first, number + 1], True
        state.line = number + 1
    return True


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _render(self: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[index]
    tex = token.content.strip()
    if FORBIDDEN.search(tex):
        return f"<code>{escapeHtml(tex)}</code>"
    return f'<span class="math {"display" if token.block else "inline"}">{escapeHtml(tex)}</span>'


def _render_block(self: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    return f"<p>{_render(self, tokens, index, options, env)}</p>\n"
