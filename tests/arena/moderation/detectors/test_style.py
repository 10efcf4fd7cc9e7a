"""Style counts follow FastChat's definitions, as the public ranking data do."""

import time

import pytest

from arena.moderation.detectors.style import Style, style

TEXT = """# Title
Some **bold** words and __more__ of **them**.

1. one
2. two
 - three
* four
+ five

```python
# no heading
- no item
x = 2 ** 3 ** 4
**no bold**
```
### Another
"""


def test_marks_are_counted_outside_fenced_code() -> None:
    assert style(TEXT) == Style(chars=len(TEXT), words=len(TEXT.split()), headers=2, lists=5, bold=3, fences=1)


@pytest.mark.parametrize(
    ("text", "chars", "words"),  # as in the public data: characters of the raw text, words between white space
    [
        ("For Kubernetes, a plea,\nIn containers it sets us free,\nYet complexity, its fee.", 79, 14),
        ("\nUse Kubernetes: \nMesos, Docker Swarm, \nKubernetes best choice. \n", 65, 8),
        ("", 0, 0),
        ("\n", 1, 0),
    ],
)
def test_characters_and_words(text: str, chars: int, words: int) -> None:
    assert style(text)[:2] == (chars, words)


@pytest.mark.parametrize(
    ("text", "headers", "lists", "bold"),
    [
        ("#hash #tag", 0, 0, 0),
        ("####### seven", 0, 0, 0),
        ("  # indented", 0, 0, 0),
        ("-no space\n-- two\n1.no", 0, 0, 0),
        ("10. ten\n100. hundred", 0, 2, 0),
        ("**a** **b**\n**open\nclosed**", 0, 0, 2),
        ("* **a**", 0, 1, 1),
        ("~~~\n# a\n~~~\n# b", 1, 0, 0),
        ("````\n```\n# a\n```\n````\n# b", 1, 0, 0),
        ("```\n# never closed", 0, 0, 0),
        ("text with ``` inside\n# b", 1, 0, 0),
    ],
)
def test_edges(text: str, headers: int, lists: int, bold: int) -> None:
    assert style(text)[2:5] == (headers, lists, bold)


@pytest.mark.parametrize(
    ("text", "fences"),
    [
        ("", 0),
        ("`x`", 0),
        ("```\n```", 1),
        ("```\nnever closed", 1),
        ("~~~\na\n~~~\nb\n```py\nc\n```", 2),
        ("````\n```\n````", 1),
    ],
)
def test_blocks_of_fenced_code(text: str, fences: int) -> None:
    assert style(text).fences == fences


@pytest.mark.parametrize("unit", ["*", "**", "_", "#", "`", "```\n", "\n", " ", "- ", "1", "1.", "**a", "\t\n"])
def test_hostile_text_takes_bounded_time(unit: str) -> None:
    start = time.process_time()
    style((unit * 200_000)[:200_000])
    assert time.process_time() - start < 1.0
