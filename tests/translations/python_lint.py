"""Finds words in Python that people will read and that no gettext call holds."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.messages import KEYWORDS as GETTEXT

WORDS = re.compile(r"[^\W\d_]{2}")
# Which arguments of which calls people read: positions, and names of keywords.
CALLS: dict[str, tuple[int, ...]] = {
    "Refused": (2,),
    "ValidationError": (0,),
    "add_error": (1,),
    "message_user": (1,),
    "messages.success": (1,),
    "messages.info": (1,),
    "messages.warning": (1,),
    "messages.error": (1,),
    "messages.add_message": (2,),
}
KEYWORDS = {
    "help_text",
    "verbose_name",
    "verbose_name_plural",
    "label",
    "empty_label",
    "description",
    "short_description",
}
KEYWORDS_ELSEWHERE = {
    "add_argument",
    "ArgumentParser",
    "add_parser",
    "NinjaAPI",
    "Schema",
    "Gauge",
    "Counter",
    "Histogram",
}
RELATIONS = {"OneToOneField", "ManyToManyField"}  # their first argument is a table
NAMES = {"verbose_name", "verbose_name_plural", "site_header", "site_title", "index_title", "empty_value_display"}


class Leftover(NamedTuple):
    line: int
    what: str
    text: str


def leftovers(source: str) -> list[Leftover]:
    """Literals that reach people without passing through gettext."""
    tree = ast.parse(source)
    found = [left for node in ast.walk(tree) for left in _of(node)]
    return sorted(set(found))


def untranslatable(source: str) -> list[Leftover]:
    """gettext calls whose string is no literal: nothing can collect it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _name(node.func) in GETTEXT and not _literal_first(node):
            found.append(Leftover(node.lineno, _name(node.func), ast.unparse(node)))
    return found


def _literal_first(node: ast.Call) -> bool:
    return bool(node.args) and isinstance(node.args[0], ast.Constant)


def _of(node: ast.AST) -> Iterator[Leftover]:
    if isinstance(node, ast.Call):
        yield from _of_call(node)
    elif isinstance(node, ast.ClassDef):
        yield from _of_class(node)
    elif isinstance(node, ast.Assign):
        for name in (_name(target) for target in node.targets):
            if name.rpartition(".")[2] in NAMES:
                yield from _literals(node.value, name)


def _of_call(node: ast.Call) -> Iterator[Leftover]:
    name = _name(node.func)
    short = name.rpartition(".")[2]
    for position in CALLS.get(name, CALLS.get(short, ())):
        if position < len(node.args):
            yield from _literals(node.args[position], f"{short}()")
    if short not in KEYWORDS_ELSEWHERE:
        for keyword in node.keywords:
            if keyword.arg in KEYWORDS:
                yield from _literals(keyword.value, f"{keyword.arg}=")
    if name.startswith("models.") and short.endswith("Field") and short not in RELATIONS and _literal_first(node):
        yield from _literals(node.args[0], "the field's name")


def _of_class(node: ast.ClassDef) -> Iterator[Leftover]:
    choices = any("Choices" in ast.unparse(base) for base in node.bases)
    for line in node.body:
        if not isinstance(line, ast.Assign):
            continue
        if choices and isinstance(line.value, ast.Tuple):
            yield from _literals(line.value.elts[-1], "a choice's label")
        if _name(line.targets[0]) == "fieldsets" and isinstance(line.value, ast.List | ast.Tuple):
            for entry in line.value.elts:
                if isinstance(entry, ast.Tuple):
                    yield from _literals(entry.elts[0], "a fieldset's title")


def _literals(node: ast.AST, what: str) -> Iterator[Leftover]:
    """String literals in an expression, except those inside a gettext call, or that only pick or fill in a text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORDS.search(node.value):
        yield Leftover(node.lineno, what, node.value)
    elif isinstance(node, ast.JoinedStr):
        for part in node.values:
            yield from _literals(part, what) if isinstance(part, ast.Constant) else ()
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body, what)
        yield from _literals(node.orelse, what)
    elif isinstance(node, ast.BoolOp | ast.List | ast.Tuple | ast.Dict):
        for part in getattr(node, "values", getattr(node, "elts", [])):
            yield from _literals(part, what)
    elif isinstance(node, ast.BinOp):
        yield from _literals(node.left, what)
        if isinstance(node.op, ast.Add):
            yield from _literals(node.right, what)


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""
