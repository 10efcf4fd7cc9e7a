"""Stylesheets know no left and right, so that a right-to-left page needs no rules of its own."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.messages import ROOT

SHEETS = sorted((ROOT / "static" / "css").glob("*.css"))
DECLARATION = re.compile(r"([a-z-]+)\s*:\s*([^;{}]+)")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
PHYSICAL = re.compile(
    r"(margin|padding|border|scroll-margin|scroll-padding)-(left|right)(-.*)?|left|right|border-(top|bottom)-(left|right)-radius"
)
SIDED = {
    "margin",
    "padding",
    "border-width",
    "border-color",
    "border-style",
    "inset",
    "scroll-margin",
    "scroll-padding",
}


def physical(css: str) -> Iterator[str]:
    """Declarations that name a side, or give the inline sides different values by position."""
    for name, value in DECLARATION.findall(COMMENT.sub("", css)):
        if PHYSICAL.fullmatch(name) or names_a_side(name, split(value)):
            yield f"{name}: {value}"


def names_a_side(name: str, values: list[str]) -> bool:
    if name in ("text-align", "float", "clear"):
        return bool({"left", "right"} & set(values))
    if name == "border-radius":
        return len(values) > 1 and not mirrors(values)
    return name in SIDED and len(values) == 4 and values[1] != values[3]


def split(value: str) -> list[str]:
    """Values of a shorthand; what stands in brackets is one value."""
    while (flat := re.sub(r"\([^()]*\)", "", value)) != value:
        value = flat
    return value.replace("!important", "").split()


def mirrors(corners: list[str]) -> bool:
    top_left, top_right, bottom_right, bottom_left = (corners * 2)[:4] if len(corners) != 3 else [*corners, corners[1]]
    return top_left == top_right and bottom_left == bottom_right


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_stylesheets_name_no_side(sheet: Path) -> None:
    found = list(physical(sheet.read_text()))
    assert not found, "use the logical property: inline-start, inline-end, start, end, border-start-end-radius"


@pytest.mark.parametrize(
    "css",
    [
        "a { margin-left: 1px }",
        "a { left: 0 }",
        "a { text-align: right }",
        "a { float: left }",
        "a { padding: 0 1px 0 2px }",
        "a { border-radius: 0 4px 4px 0 }",
        "a { border-top-left-radius: 2px }",
        "a { border-right-width: 2px }",
    ],
)
def test_sides_are_found(css: str) -> None:
    assert list(physical(css))


@pytest.mark.parametrize(
    "css",
    [
        "a { margin-inline: 1px 2px; padding: 0 1px }",
        "a { text-align: end; top: 0; inset-inline-start: 0 }",
        "a { border-radius: var(--r, 2px) var(--r, 2px) 0 0 } /* left: 0 */",
        "a { margin: 0 calc(1px * 2) 3px }",
        "a { background: linear-gradient(to top, red, left) }",
    ],
)
def test_the_rest_is_left_alone(css: str) -> None:
    assert list(physical(css)) == []
