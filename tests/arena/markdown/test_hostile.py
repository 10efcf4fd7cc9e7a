"""S9: whatever a model or a person writes, the page shows text. Attacks are read back with an HTML parser."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.markdown import BlockStream, render
from arena.markdown.code import ALIASES, LANGUAGES, MAX_HIGHLIGHT, highlight
from arena.markdown.stream import MAX_BLOCK
from tests.arena.markdown.html_checks import check

ATTACKS = Path(__file__).with_name("attacks.txt").read_text("utf-8").splitlines()
WRAPPERS = [
    "{}",
    "text {} text",
    "- {}",
    "> {}",
    "| a |\n|---|\n| {} |",
    "**{}**",
    "[{}](https://ok.example)",
    "# {}",
    "```\n{}\n```",
    "$${}$$",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_become_text(attack: str) -> None:
    for wrapper in WRAPPERS:
        check(render(wrapper.replace("{}", attack)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_half_streamed_attacks_become_text(attack: str) -> None:
    """Every block that leaves the stream is complete and safe on its own, wherever the stream is cut."""
    for cut in range(0, len(attack), 2):
        stream = BlockStream()
        for block in stream.feed(f"{attack[:cut]}\n\n{attack[cut:]}\n\n# end\n"):
            check(block)
        check(stream.finish())


def test_all_attacks_at_once_and_in_one_paragraph() -> None:
    check(render("\n\n".join(ATTACKS)))
    check(render(" ".join(ATTACKS)))
    check(render("\n".join(ATTACKS)))


FRAGMENTS = st.sampled_from(
    [
        *ATTACKS,
        "<",
        ">",
        '"',
        "'",
        "&",
        "`",
        "```\n",
        "[",
        "](",
        ")",
        "!",
        "$",
        "$$",
        "\\(",
        "\\)",
        "\n",
        "\n\n",
        "|",
        "- ",
        "> ",
        "    ",
        "~",
        "*",
        "\\",
    ]
)


@settings(max_examples=300)
@given(st.lists(FRAGMENTS | st.text(max_size=5), max_size=12).map("".join))
def test_any_mixture_is_safe(text: str) -> None:
    check(render(text))


def test_words_survive() -> None:
    seen = check(render("<script>alert(1)</script> & <b>bold</b>"))
    assert "".join(seen.text).strip() == "<script>alert(1)</script> & <b>bold</b>"


def test_links_name_their_host_and_leave_safely() -> None:
    html = render("[google.com](https://user@evil.example:99/x) <https://plain.example> [mail](mailto:a@b.example)")
    assert check(html).links == ["https://user@evil.example:99/x", "https://plain.example", "mailto:a@b.example"]
    assert '<span class="host">evil.example</span>' in html
    assert '<span class="host">b.example</span>' in html
    assert html.count("host") == 2
    assert (
        check(render("[bank](https://xn--80ak6aa92e.com) [idn](https://аррӏе.com)")).text.count("xn--80ak6aa92e.com")
        == 2
    )


def test_nothing_remote_is_loaded() -> None:
    html = render("![a cat](https://evil.example/x.png) [![b](https://evil.example/y.png)](https://ok.example)")
    assert not check(html).links[1:] and "x.png" not in html
    assert "a cat" in html


@pytest.mark.parametrize(
    "command",
    [
        "\\href{x}{y}",
        "\\url{x}",
        "\\includegraphics{x}",
        "\\htmlClass{a}{b}",
        "\\def\\x{}",
        "\\gdef\\x{}",
        "\\newcommand{\\x}{}",
    ],
)
def test_formulas_that_load_link_or_define_stay_code(command: str) -> None:
    for formula in (f"${command}$", f"$$\n{command}\n$$", f"\\({command}\\)", f"\\[{command}\\]"):
        html = render(formula)
        assert "math" not in html
        assert "<code>" in html


def test_formulas_are_escaped_text_in_their_span() -> None:
    assert (
        render("$a<b$ \\(c\\)") == '<p><span class="math inline">a&lt;b</span> <span class="math inline">c</span></p>\n'
    )
    assert render("\\[\na &= b\n\\]") == '<p><span class="math display">a &amp;= b</span></p>\n'
    assert "math" not in render("it costs $5 and $6, or `$x$`, or \\$y\\$")


def test_headings_start_below_the_page_and_never_skip() -> None:
    html = render("#### deep first\n\n# top\n\n### two down\n\n###### more\n\n#")
    assert [html[at + 1 : at + 3] for at in range(len(html)) if html.startswith("<h", at)] == ["h3", "h3", "h4", "h5"]
    assert check(html)


def test_code_keeps_its_label_and_its_text() -> None:
    html = render("```c++ {.x onclick}\nint a = 1 < 2;\n```\n\n```<b>\nx\n```")
    assert '<figcaption class="lang">c++</figcaption>' in html
    assert '<figcaption class="lang"></figcaption>' in html
    assert "int a = 1 < 2;" in "".join(check(html).text)


SIZE = MAX_HIGHLIGHT * 2 // 3
NASTY = [
    '"',
    "'",
    "`",
    "(",
    "{",
    "/*",
    "//",
    "<!--",
    "<a",
    "${",
    "\\",
    "a",
    "a.",
    "=",
    "@",
    "<<A",
    "<?php",
    "a:",
    "&",
    "::",
    "\n",
]


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_lexers_stay_fast_on_hostile_code(language: str) -> None:
    """Each known language, near the size bound: no input of the list may hold the event loop for long."""
    highlight("warm", language)
    for unit in (nasty + end for nasty in NASTY for end in ("", "\n", " ")):
        start = time.process_time()
        highlight((unit * SIZE)[:SIZE], language)
        assert time.process_time() - start < 0.5, unit


def test_aliases_lead_to_known_languages() -> None:
    assert set(ALIASES.values()) <= LANGUAGES
    assert not set(ALIASES) & LANGUAGES


PATHOLOGICAL = [
    *(
        "[",
        "[a](",
        "[]",
        "![",
        "`",
        ">",
        ">>>>a\n",
        "*a ",
        "**",
        "*a **a ",
        "_a",
        "~~a ",
        "<",
        "<http://a ",
        "&",
        "$",
        "$a ",
        "\\[",
        "\\[ a\n",
    ),
    *(
        "$$\n",
        "|\n",
        "- ",
        "- a\n",
        "- > a\n",
        "[a]: b\n",
        "[a",
        "a\n",
        "&lt;",
        "\\",
        "```\n",
        '[a](b "',
        "*_~[",
        " ",
        "\t",
        "\n",
        "<a b='",
    ),
    *("> - ", "a  \n", "[a](((", "1. a\n   - b\n", "# a\n", "| a |\n|---|\n| b |\n\n"),
]


def calls(work: Callable[[], object]) -> int:
    """How many functions, Python's and C's, `work` calls: a measure of work that load on the machine cannot blur."""
    count = 0

    def seen(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("unit", PATHOLOGICAL)
def test_pathological_text_costs_linear_work(unit: str) -> None:
    """Twice the text is about twice the work, and the largest block is done in a few seconds of CPU on any machine."""

    def text(size: int) -> str:
        return (unit * size)[:size]

    render(text(1000))
    assert calls(lambda: render(text(4000))) < 2.6 * calls(lambda: render(text(2000))) + 200
    start = time.process_time()
    html = render(text(MAX_BLOCK))
    assert time.process_time() - start < 3.0
    assert len(html) < 30 * MAX_BLOCK


def test_wide_tables_do_not_explode() -> None:
    header = "|" + "a|" * 300 + "\n|" + "-|" * 300 + "\n"
    start = time.process_time()
    html = render(header + "|a\n" * 3000)
    assert time.process_time() - start < 3.0
    assert len(html) < 300_000


def test_one_long_target_is_not_multiplied() -> None:
    html = render("[a]: https://ok.example/" + "x" * 1900 + "\n\n" + "[a] " * 3000)
    assert len(html) < 400_000
    assert check(html)
    assert not check(render("[a](https://ok.example/" + "x" * 5000 + ")")).links
