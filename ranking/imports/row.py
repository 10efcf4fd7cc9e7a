"""One vote of a file, and what can be wrong with a file."""

from datetime import datetime
from typing import Any, NamedTuple

STYLE = tuple(f"{name}_{side}" for name in ("length", "headers", "lists", "bold") for side in ("a", "b"))
CHOICES = ("a", "b", "tie", "both_bad")


class Row(NamedTuple):
    """`line`: of the file, or the number of the element or Parquet row, from 1. `style`: eight counts in the order of STYLE."""

    line: int
    model_a: str
    model_b: str
    choice: str  # one of CHOICES
    key: str = ""  # the file's own id of the vote; "" = it has none
    judge: str = ""
    at: datetime | None = None  # with a time zone
    categories: tuple[str, ...] = ()
    style: tuple[int, ...] | None = None
    ranked: bool = True  # False: not a blind vote, or not the first of its `once`; kept, never counted
    once: str = ""  # what has one vote, such as a conversation; "" = nothing is known of it


class Problem(NamedTuple):
    line: int  # 0: the file as a whole
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" if self.line else self.what


Record = dict[str, Any]
Found = tuple[int, Record | Problem]  # the line that a record begins on


class BadFile(ValueError):
    """The file is not imported: `problems` in the order of their lines; `more` when reading stopped at the stated number."""

    def __init__(self, problems: list[Problem], more: bool = False) -> None:
        self.problems, self.more = problems, more
        super().__init__("; ".join(map(str, problems)))
