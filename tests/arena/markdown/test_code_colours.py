"""Every class of highlighted code has a colour, readable on the code's background in both themes (WCAG AA, 4.5 : 1)."""

import re
from pathlib import Path

import pytest

from arena.markdown.code import CLASSES

CSS = Path(__file__).resolve().parents[3] / "static" / "css"
TOKENS = dict(re.findall(r"(--[\w-]+):\s*([^;]+);", (CSS / "site.css").read_text("utf-8")))
RULES = dict(re.findall(r"\.(t-[a-z]) \{ ([^}]+) \}", (CSS / "text.css").read_text("utf-8")))
COLOURS = re.compile(r"light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)")


def themed(value: str) -> tuple[str, str]:
    """A colour in the light and in the dark theme, tokens followed."""
    while reference := re.fullmatch(r"var\((--[\w-]+)\)", value.strip()):
        value = TOKENS[reference[1]]
    match = COLOURS.fullmatch(value.strip())
    assert match, value
    return match[1], match[2]


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("css", sorted(set(CLASSES.values())))
def test_code_colours_are_readable_in_both_themes(css: str) -> None:
    colour = re.search(r"color: ([^;]+)", RULES[css])
    written = themed(colour[1] if colour else "var(--ink)")
    for text, ground in zip(written, themed("var(--sunken)"), strict=True):
        assert contrast(text, ground) >= 4.5
