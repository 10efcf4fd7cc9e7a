"""Who reads what people wrote and were told: the whole list, found in the source, each place with its reason.

A module counts as a reader when it imports the table of messages (`Message`) or names it in SQL, goes to it through a relation
(`turn.prompt.text`, `reply.message.html`, `conversation.messages.all()`, "prompt__text", a prefetch of messages), or takes
`.text` or `.html` of something that it calls a message. A template counts when it does one of the last two. What is found must
be exactly what stands below: a new reader fails here until somebody has written down why it may read, and so does one that is
gone. docs/architecture.md tells the rule.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from arena import appeals, battles
from arena.models import GateBlock
from tests import factories

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("arena", "datasets", "ranking", "inference")

# Texts leave for people through these, and through nothing else.
READERS = {
    "datasets/gate.py": "the release gate: what passed all of its rules leaves in bulk",
    "arena/views/scene.py": "the owner's battle page, and the share page",
    "arena/streams/replay.py": "the owner's event stream of a finished turn, told from the database",
    "arena/own_data.py": "the owner's export on /me",
    "arena/models/battles.py": "the owner's list on /me: `history` gives the first prompt of each battle",
    "arena/casefile.py": "moderation desk and battle admin: staff with the permission to read",
    "arena/desk/listing.py": "moderation desk: the first prompt of each case in a list",
}
# Who uses a reader: a page that shows texts is named here even if it reads through an old reader.
USERS = {
    "datasets/gate.py": {
        "datasets/export.py": "writes the files of a release",
        "datasets/rows.py": "the columns of an admitted conversation",
        "datasets/changes.py": "asks for reasons only",
        "datasets/preview.py": "the first rows of a release, admitted again when they are shown",
        "datasets/rating/drawing.py": "which battle a rater may be shown, asked anew for every page",
    },
    "arena/views/scene.py": {
        "arena/views/battle.py": "the owner (`access.owned`)",
        "arena/views/answers.py": "the owner: what a verb answers with",
        "arena/views/share.py": "whoever has the link; texts only with a passed verdict",
    },
    "arena/streams/replay.py": {
        "arena/streams/sse.py": "the owner (`_owned_turn`)",
        "arena/streams/endings.py": "which turns have ended; no text",
        "arena/turns.py": "where a replaced battle went on; no text",
    },
    "arena/own_data.py": {
        "arena/own_data_text.py": "the same facts as a text",
        "arena/views/export.py": "the owner (`for_visitors`)",
        "arena/views/me.py": "names of releases; no text",
    },
    "arena/casefile.py": {
        "arena/admin/battle_page.py": "staff with view_message",
        "arena/desk/cases.py": "staff with moderate",
    },
    "arena/desk/listing.py": {
        "arena/desk/cases.py": "staff with moderate",
        "arena/desk/choices.py": "the filters of a list; no text",
        "arena/desk/views.py": "staff with moderate",
    },
}
# These work on messages and show them to nobody: they import nothing that answers people (FACING).
INSIDE = {
    "arena/models/__init__.py": "the tables",
    "arena/models/moderation.py": "what is known of a message points at it",
    "arena/battles.py": "writes prompts; gives the first one to a new pair",
    "arena/turns.py": "writes answers; what was said goes to the models",
    "arena/votes.py": "whether an answer named its author",
    "arena/costs.py": "estimates tokens that an endpoint did not count",
    "arena/erasure.py": "deletes texts",
    "arena/demo/battles.py": "writes synthetic battles",
    "arena/moderation/enrichment.py": "detectors, once per text",
    "ranking/counting/labelling.py": "which messages have words at all, and what detectors found in them",
    "arena/moderation/backfill.py": "detectors over history",
    "arena/moderation/passing.py": "sends texts to the moderation backend that the operator has configured",
    "arena/moderation/records.py": "the rules' word on a text",
    "arena/moderation/decisions.py": "hash of the text that a moderator decided on",
    "arena/moderation/verdicts.py": "hash of the text that a record is about",
    "arena/desk/deciding.py": "whether messages were added while a moderator read",
    "arena/operations/now.py": "counts messages",
    "datasets/rules.py": "rules of the release gate",
}
TEMPLATES = {"templates/me/battles.html": "the owner's list of battles"}

WORDS, RELATIONS, TEXTS = {"message", "msg"}, {"message", "prompt"}, {"text", "html"}
QUERYING = {
    "all",
    "filter",
    "exclude",
    "get",
    "first",
    "last",
    "order_by",
    "values",
    "values_list",
    "only",
    "defer",
    "iterator",
}
LOOKUP = re.compile(r"(?:^|__)(?:messages?|prompt)__(?:text|html)(?:\b|__)|\barena_message\b")
PREFETCH = re.compile(r"(?:^|__)messages?(?:$|__)")
IN_TEMPLATE = re.compile(r"\b(?:message|prompt)\.(?:text|html)\b|\bmessages\.(?:all|first|last)\b|\bfirst_prompt\b")
FACING = {"django.http", "django.shortcuts", "django.template", "django.contrib.admin", "ninja"}


def reads(node: ast.AST) -> bool:
    """Whether one node of a module's syntax is a way to the text of messages."""
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").startswith("arena.models") and any(name.name == "Message" for name in node.names)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(LOOKUP.search(node.value))
    if isinstance(node, ast.keyword):
        return bool(LOOKUP.search(node.arg or ""))
    if isinstance(node, ast.Call):
        return last_name(node.func) in ("prefetch_related", "Prefetch") and any(map(prefetched, node.args))
    if isinstance(node, ast.Attribute):
        return node.attr == "Message" or taken(node.attr, node.value)
    return False


def taken(attribute: str, base: ast.expr) -> bool:
    name = last_name(base)
    if attribute in TEXTS:
        return name in (RELATIONS if isinstance(base, ast.Attribute) else WORDS)
    return attribute in QUERYING and isinstance(base, ast.Attribute) and name == "messages"


def last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def prefetched(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(PREFETCH.search(node.value))


def imports(module: ast.Module) -> set[str]:
    """Every module that is imported, and every name that is taken from one, dotted."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = dict(sources())
FOUND = {path for path, module in MODULES.items() if any(map(reads, ast.walk(module)))}


def test_every_reader_is_known_and_none_is_gone() -> None:
    known = {*READERS, *INSIDE}
    assert FOUND - known == set(), "new readers of messages: say in this file why each may read, or do not read"
    assert known - FOUND == set(), "these read no message any more: take them off the list"


@pytest.mark.parametrize("reader", USERS)
def test_every_user_of_a_reader_is_known_and_none_is_gone(reader: str) -> None:
    users = {path for path, module in MODULES.items() if dotted(reader) in imports(module)}
    assert users == set(USERS[reader]), f"say here what each of them does with {reader}"


@pytest.mark.parametrize("path", sorted(INSIDE))
def test_what_works_inside_answers_nobody(path: str) -> None:
    assert imports(MODULES[path]) & FACING == set()


def test_every_template_that_reads_messages_is_known() -> None:
    found = {p for p in (ROOT / "templates").rglob("*") if p.is_file() and IN_TEMPLATE.search(p.read_text("utf-8"))}
    assert {path.relative_to(ROOT).as_posix() for path in found} == set(TEMPLATES)


@pytest.mark.parametrize(
    "code",
    [
        "from arena.models import Battle, Message",
        "from arena.models.conversations import Message as Row",
        "from arena import models\nmodels.Message.objects.all()",
        "print(turn.prompt.text)",
        "html = reply.message.html",
        "[message.text for message in found]",
        "for said in battle.conversation_a.messages.all(): print(said)",
        "conversation.messages.order_by('position')",
        "Turn.objects.values_list('prompt__text')",
        "Reply.objects.annotate(words=F('message__html'))",
        "Conversation.objects.filter(messages__text__contains='x')",
        "Conversation.objects.prefetch_related('messages')",
        "Turn.objects.prefetch_related(Prefetch('replies__message'))",
        "cursor.execute('SELECT text FROM arena_message')",
    ],
)
def test_ways_to_a_text_are_seen(code: str) -> None:
    assert any(map(reads, ast.walk(ast.parse(code))))


@pytest.mark.parametrize(
    "code",
    [
        "from django.contrib import messages\nmessages.success(request, 'ok')",
        "release.messages",
        "refusal.message",
        "page.text, event.text, outcome.html",
        "from arena.models import Battle",
        "brief.messages",
        "block.prompt",
    ],
)
def test_other_words_are_left_alone(code: str) -> None:
    assert not any(map(reads, ast.walk(ast.parse(code))))


@pytest.mark.django_db
@pytest.mark.usefixtures("valkey")
def test_the_names_of_rows_hold_no_text() -> None:
    """Names of rows go into the audit trail, into logs and into the admin's lists."""
    battle = factories.ready(a=factories.outcome("xylophone"))
    report = battles.report(battle.turns.get().replies.get(side="a"), battle.visitor, "other", "xylophone")
    block = GateBlock.objects.create(policy="1", category="c", rule="r", prompt="xylophone")
    rows = [*battle.conversation_a.messages.all(), report, block, appeals.appeal(block, "xylophone"), battle]
    assert not any("xylophone" in str(row) for row in rows)
