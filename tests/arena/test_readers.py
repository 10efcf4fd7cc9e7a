"""Who reads what people wrote and were told: the whole list, found in the source, each place with its reason.

A module counts as a reader when it names the table of messages (`Message`, "arena_message"), goes to it through a relation
(`turn.prompt.text`, `reply.message.html`, `.messages`, "prompt__text"), or takes `.text` or `.html` of something that it calls
a message. A template counts when it does the last two. What is found must be exactly what stands below: a new reader fails
here until somebody has written down why it may read, and so does one that is gone.

Texts leave for people only through READERS; INSIDE works on texts and shows them to nobody, which is checked by its imports.
DESIGN.md names the readers; docs/architecture.md tells the rule.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("arena", "datasets", "ranking", "inference")

READERS = {
    "datasets/gate.py": "the release gate: what passed its rules leaves in bulk",
    "arena/views/scene.py": "the owner's battle page, and the share page for strangers",
    "arena/own_data.py": "the owner's export on /me",
    "arena/models/battles.py": "the owner's list of battles on /me: `history` gives the first prompt",
    "arena/casefile.py": "moderation desk and battle admin: staff with the permission to read",
    "arena/desk/listing.py": "moderation desk: the first prompt in a queue",
    "arena/streams/replay.py": "the owner's event stream of a finished turn, told from the database",
}
# Whoever hands a reader's texts on: a new page that shows texts appears here even if it reads through an old reader.
THROUGH = {
    "datasets/gate.py": {"datasets/export.py": "writes releases", "datasets/changes.py": "asks for reasons only"},
    "arena/views/scene.py": {
        "arena/views/battle.py": "owner only (`access.owned`)",
        "arena/views/answers.py": "owner only: what a verb answers with",
        "arena/views/share.py": "strangers with the link; texts only with a passed verdict",
    },
    "arena/own_data.py": {
        "arena/own_data_text.py": "writes the facts as text",
        "arena/views/export.py": "owner only (`for_visitors`)",
        "arena/views/me.py": "names of releases",
    },
    "arena/casefile.py": {},
    "arena/desk/listing.py": {},
    "arena/streams/replay.py": {},
}
INSIDE = {
    "arena/models/conversations.py": "the table",
}
TEMPLATES = {
    "templates/me/battles.html": "first prompts in the owner's list",
}

WORDS = {"message", "msg"}
RELATIONS = {"message", "prompt"}
TEXTS = {"text", "html"}
LOOKUP = re.compile(r"(?:^|__)(?:messages?|prompt)__(?:text|html)\b|\barena_message\b")
IN_TEMPLATE = re.compile(r"\b(?:message|prompt)\.(?:text|html)\b|\.messages\b|\bfirst_prompt\b")
FACING = {"django.http", "django.shortcuts", "django.template", "django.contrib.admin", "ninja"}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def reads(node: ast.AST) -> bool:
    """Whether one node of a module's syntax is a way to the text of messages."""
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").startswith("arena.models") and any(name.name == "Message" for name in node.names)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(LOOKUP.search(node.value))
    if not isinstance(node, ast.Attribute):
        return False
    if node.attr in ("messages", "Message"):
        return True
    base = node.value
    named = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
    return node.attr in TEXTS and named in (RELATIONS if isinstance(base, ast.Attribute) else WORDS)


def imports(module: ast.Module) -> set[str]:
    """Every module that is imported, and every name of it."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


MODULES = dict(sources())
FOUND = {path for path, module in MODULES.items() if any(map(reads, ast.walk(module)))}


def test_every_reader_is_known() -> None:
    known = {*READERS, *INSIDE}
    assert not FOUND - known, "new readers of messages: say in this file why they may, or do not read"
    assert not known - FOUND, "these read nothing any more: take them off the list"
