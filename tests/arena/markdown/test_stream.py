"""However the text is cut up, the blocks joined are the text rendered whole."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arena.markdown import BlockStream, render
from arena.markdown.html import MARKDOWN, Renderer
from arena.markdown.stream import MAX_BLOCK, MAX_LINE, MAX_TEXT

LINES = [
    *("", "", "", "plain *words*", "# head", "###", "- item", "  - nested", "* other", "2. two", "1. one", "10) ten"),
    *("    indented", "\tindented", "  two", "   three", "```", "```python", "  ```", "~~~~", "~~~ info", "---", "***"),
    *("===", "> quote", "> - item", ">", "lazy", "| a | b |", "|---|---|", "| 1 |", "$$", "$$ x = 1 $$", "\\[", "\\]"),
    *("[ref]", "[ref]: https://example.org 'title'", "<div onclick=x>", "<!-- c", "a  ", "b\\", "&lt;b&gt;", "é😀"),
    *("$x$ and \\(y\\)", "`code", "**open", "[a](http://x.org)", "![i](http://x/y.png)", "\r", "a\rb"),
]
DOCUMENTS = st.lists(st.sampled_from(LINES), max_size=30).map("\n".join)


def streamed(text: str, cuts: list[int]) -> str:
    stream, out, last = BlockStream(), [], 0
    for cut in [*sorted(cuts), len(text)]:
        out += stream.feed(text[last:cut])
        last = max(last, cut)
    return "".join(out) + stream.finish()


@given(DOCUMENTS | st.text(max_size=300), st.lists(st.integers(0, 400), max_size=12))
@example("- a\n\n  b\n\nc", [3, 4, 5])
@example("a\r\n\r\nb", [2])
def test_any_cutting_gives_the_whole(text: str, cuts: list[int]) -> None:
    assert streamed(text, [min(cut, len(text)) for cut in cuts]) == render(text)


@given(DOCUMENTS)
def test_character_by_character_gives_the_whole(text: str) -> None:
    assert streamed(text, list(range(len(text)))) == render(text)


@given(DOCUMENTS, st.integers(0, 400))
def test_nothing_is_lost_between_blocks_and_tail(text: str, cut: int) -> None:
    """What is rendered plus the tail accounts for every word typed so far."""
    text = text.replace("\r", "")
    stream = BlockStream()
    blocks = stream.feed(text[:cut])
    rest = stream.tail + text[cut:]
    second = BlockStream()
    second._renderer = stream._renderer
    assert "".join(blocks) + "".join(second.feed(rest)) + second.finish() == render(text)


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("para\n", 0),
        ("para\n\n", 1),
        ("# head\n", 1),
        ("para\n# head\n", 2),
        ("title\n===\n", 1),
        ("***\n", 1),
        ("```\ncode\n\nmore\n", 0),
        ("```\ncode\n```\n", 1),
        ("~~~~\n~~~\n", 0),
        ("~~~~\n~~~\n~~~~\n", 1),
        ("- a\n\n- b\n\n", 0),
        ("- a\n\n  still a\n", 0),
        ("- a\n\nafter\n", 1),
        ("1. a\n\n  after\n", 1),
        ("- a\n# head\n", 2),
        ("- ```\n  # code\n\n  code\n", 0),
        ("> quote\nlazy\n", 0),
        ("> quote\n\n", 1),
        ("a | b\n--|--\n1 | 2\n", 0),
        ("a | b\n--|--\n1 | 2\n\n", 1),
        ("$$ x $$\n", 1),
        ("\\[\nx\n", 0),
        ("\\[\nx\n\\]\n", 1),
        ("    code\n\n    code\n", 0),
        ("    code\n\ntext\n", 1),
        ("price is $5\nand\n", 0),
    ],
)
def test_blocks_close_as_soon_as_no_line_can_reach_back(text: str, closed: int) -> None:
    assert len(BlockStream().feed(text)) == closed


WORDS = st.text("abc *_`", min_size=1, max_size=20).map(lambda words: "w" + words.replace("\n", "") + "w")
PARAGRAPH = st.lists(WORDS, min_size=1, max_size=3).map("\n".join)
BULLETS = st.lists(WORDS, min_size=1, max_size=4).map(lambda items: "\n".join(f"- {item}" for item in items))
LOOSE = st.lists(PARAGRAPH, min_size=1, max_size=3).map(
    lambda items: "\n\n".join(f"{n}. " + item.replace("\n", "\n   ") for n, item in enumerate(items, 1))
)
NESTED = WORDS.map(lambda word: f"- a\n  - b\n\n    {word}\n- c")
CODE = PARAGRAPH.map(lambda code: f"```python\n{code}\n\n# not a heading\n```")
TILDES = PARAGRAPH.map(lambda code: f"~~~\n{code}\n- x\n\n1. y\n~~~")
TABLE = WORDS.map(lambda word: f"| a | b |\n|---|---|\n| {word} | 2 |")
QUOTE = PARAGRAPH.map(lambda text: f"> {text}\nlazy\n> more")
HEADING = WORDS.map(lambda word: f"## {word}")
SETEXT = WORDS.map(lambda word: f"{word}\n---")
FORMULA = st.sampled_from(["$$\nx^2\n$$", "\\[ a < b \\]", "\\[\n- x\n\\]"])
RULE = st.sampled_from(["***", "___", "- - -"])
BLOCK = st.one_of(
    *(PARAGRAPH, BULLETS, LOOSE, NESTED, CODE, TILDES, TABLE, QUOTE, HEADING, SETEXT, FORMULA, RULE),
    st.just("    indented\n\n    code"),
)


@given(st.lists(BLOCK, min_size=1, max_size=8))
def test_agrees_with_the_parser_on_whole_documents(blocks: list[str]) -> None:
    """Parsing block by block shows the same as parsing the document at once (headings keep their state, so compare tokens)."""
    text = "\n\n".join(blocks)
    stream = BlockStream()
    sources: list[str] = []
    for line in text.split("\n"):
        sources += stream._splitter.take(line)
    sources += stream._splitter.close()

    def shape(source: str, env: dict) -> list[tuple[str, str, str, str, bool]]:
        tokens = MARKDOWN.parse(source, env)
        return [(t.type, t.tag, t.content, t.info, t.hidden) for t in tokens]

    env, whole = {"level": 2, "budget": 0}, {"level": 2, "budget": 0}
    assert [token for source in sources for token in shape(source, env)] == shape(text, whole)


def test_reference_links_resolve_to_earlier_blocks() -> None:
    html = render("[spec]: https://example.org/spec\n\nSee [spec] and [later].\n\n[later]: https://example.org/later")
    assert 'href="https://example.org/spec"' in html
    assert "[later]" in html


def test_a_character_split_into_surrogates_is_joined() -> None:
    stream = BlockStream()
    html = [*stream.feed("a\ud83d"), *stream.feed("\ude00b \udc00\n\n")]
    assert html == ["<p>a😀b \N{REPLACEMENT CHARACTER}</p>\n"]
    stream.feed("\ud83d")
    stream.tail.encode()


def test_overlong_lines_and_blocks_are_cut_not_lost() -> None:
    line = "x" * (MAX_LINE * 2 + 5)
    assert render(line).count("x") == len(line)
    code = render("```python\n" + "value = 1\n" * 4000 + "```\nafter")
    assert code.count("value") == 4000
    assert "<p>after</p>" in code
    assert code.count("<figure") == -(-40_000 // MAX_BLOCK)
    items = render("- item\n" * 4000)
    assert items.count("<li>") == 4000


def test_text_beyond_the_bound_is_dropped_and_said() -> None:
    stream = BlockStream()
    for _ in range(MAX_TEXT // 1000 + 5):
        stream.feed("word " * 199 + "end\n\n ")
    assert stream.finish().endswith('<p class="cut">…</p>\n')
    assert stream.feed("more\n\n") == []


def test_feeding_token_by_token_costs_little_more_than_at_once() -> None:
    """CPU per token is constant: the open block is not parsed again for each token (measured in calls of the parser)."""
    parsed: list[int] = []
    original = Renderer.block

    def counted(self: Renderer, source: str) -> str:
        parsed.append(len(source))
        return original(self, source)

    text = "\n\n".join(["Some *words* in a paragraph.", "- item\n- item", "```python\nx = 1\n\ny = 2\n```"] * 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Renderer, "block", counted)
        assert streamed(text, list(range(0, len(text), 4))) == render(text)
    assert sum(parsed) <= 2 * len(text)
