"""What all plots share: a plot with its table, scales, ticks, names at the side of a plot."""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ranking.pages.published import Row

NAME_CHARS = 24
MOST_ROWS = 50  # models of a plot with a line each


@dataclass(frozen=True, slots=True)
class Plot:
    """`lines`: the same figures as a table, each beginning with its heading; `left_out`: ranked models that are not shown."""

    key: str
    title: str
    svg: SafeString
    caption: str
    columns: Sequence[str]
    lines: Sequence[Sequence[Any]]
    left_out: int = 0


class Axis(Protocol):
    def __call__(self, value: float) -> float: ...

    def ticks(self) -> list[float]: ...


@dataclass(frozen=True, slots=True)
class Scale:
    """A number -> a position between 0 and `width`."""

    low: float
    high: float
    width: float

    @classmethod
    def around(cls, values: Iterable[float | None], width: float) -> "Scale":
        """Wide enough for all values that there are, with a little room at both ends."""
        known = [value for value in values if value is not None]
        low, high = min(known), max(known)
        room = max(high - low, 20.0) * 0.04
        return cls(low - room, high + room, width)

    def __call__(self, value: float) -> float:
        return round((value - self.low) / (self.high - self.low) * self.width, 1)

    def ticks(self) -> list[float]:
        """Four to nine round whole numbers inside."""
        span = self.high - self.low
        step = next(step for step in _steps() if span / step <= 9)
        return list(range(math.ceil(self.low / step) * step, math.floor(self.high) + 1, step))


@dataclass(frozen=True, slots=True)
class LogScale:
    """A positive number -> a position between 0 and `width`, equal ratios at equal distances."""

    low: float
    high: float
    width: float

    @classmethod
    def around(cls, values: Iterable[float], width: float) -> "LogScale":
        """Raises ValueError without a value, or for one that is not above zero."""
        known = list(values)
        if not known or min(known) <= 0:
            raise ValueError("a logarithmic axis needs positive numbers")
        return cls(min(known) / 1.3, max(known) * 1.3, width)

    def __call__(self, value: float) -> float:
        return round(math.log(value / self.low) / math.log(self.high / self.low) * self.width, 1)

    def ticks(self) -> list[float]:
        """1, 2, 5, 10 ... inside, at most about ten: powers of ten alone where the range is wide."""
        digits = (1, 2, 5) if self.high / self.low < 2000 else (1,)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        all_ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
        return [tick for tick in all_ticks if self.low <= tick <= self.high]


def _steps() -> list[int]:
    return [digit * 10**power for power in range(12) for digit in (1, 2, 5)]


def upright(scale: Axis, left: float, bottom: float, centre: float | None = None) -> SafeString:
    """Vertical lines with their numbers below; the line of `centre` is dashed."""
    return format_html_join(
        "",
        '<line class="{}" x1="{}" x2="{}" y1="0" y2="{}"/><text class="tick" x="{}" y="{}">{}</text>',
        (
            ("axis centre" if tick == centre else "axis", at, at, bottom, at, bottom + 16, number(tick))
            for tick in scale.ticks()
            for at in [round(left + scale(tick), 1)]
        ),
    )


def level(scale: Axis, left: float, right: float, height: float, centre: float | None = None) -> SafeString:
    """Horizontal lines with their numbers at the left; larger numbers are higher."""
    return format_html_join(
        "",
        '<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="tick edge" x="{}" y="{}">{}</text>',
        (
            ("axis centre" if tick == centre else "axis", left, right, at, at, left - 8, at + 4, number(tick))
            for tick in scale.ticks()
            for at in [round(height - scale(tick), 1)]
        ),
    )


def picture(kind: str, width: float, height: float, label: str, *parts: SafeString) -> SafeString:
    return format_html(
        '<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>',
        kind,
        width,
        height,
        label,
        SafeString("".join(parts)),  # each part is escaped already
    )


def first(rows: Sequence[Row], most: int = MOST_ROWS) -> tuple[list[Row], int]:
    """The ranked ones that a plot shows, and how many it leaves out."""
    ranked = [row for row in rows if row.ranked]
    return ranked[:most], max(0, len(ranked) - most)


def number(value: float) -> str:
    """As short as it is exact: 1000, 0.5."""
    return f"{value:g}" if abs(value) < 1e6 else str(round(value))


def short(name: str) -> str:
    """As much of a name as fits beside a plot, wide signs counted as what they take."""
    if sum(map(_ems, name)) <= NAME_CHARS:
        return name
    ends = accumulate(map(_ems, name))
    return "".join(sign for sign, end in zip(name, ends, strict=True) if end <= NAME_CHARS - 1.5).rstrip() + "…"


def _ems(sign: str) -> float:
    """Of a usual small letter: capitals are wider, Chinese and Japanese signs and emoji about twice as wide."""
    if unicodedata.combining(sign):
        return 0.0
    return 2.0 if unicodedata.east_asian_width(sign) in "WF" else 1.3 if sign.isupper() or sign in "mw@%" else 1.0


def percent(share: float) -> str:
    return f"{round(share * 100)} %"


def model() -> str:
    """The heading of a table's first column."""
    return _("Model")
