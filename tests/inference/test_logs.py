"""No text of anybody in a log line, whatever carries it there; both formats."""

import json
import logging
from types import SimpleNamespace

import psycopg
import pytest
import redis
from aiohttp import ClientOSError

from inference import logs
from inference.events import GenerationFailed

CANARY = "canary-7d1f"
FORMATS = [logs.Line(lambda: {"process": "web", "battle": "b1"}), logs.Json(lambda: {"process": "web", "battle": "b1"})]


def record(message: str, *args: object, name: str = "arena.x", error: BaseException | None = None, **extra: object):
    made = logging.LogRecord(name, logging.ERROR, "x.py", 1, message, args, None)
    made.__dict__ |= extra
    if error is not None:
        made.exc_info = (type(error), error, error.__traceback__)
    return made


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    local_text = CANARY  # a traceback with locals would show it
    try:
        raise error from cause
    except BaseException as caught:
        assert local_text
        return caught


@pytest.mark.parametrize("formatter", FORMATS, ids=["line", "json"])
@pytest.mark.parametrize(
    "error",
    [
        ValueError(CANARY),
        KeyError(CANARY),
        UnicodeEncodeError("ascii", CANARY, 0, 1, CANARY),
        redis.ResponseError(f"Command # 1 (XADD turn:1 * e frame d {CANARY}) of pipeline caused error: OOM"),
        redis.exceptions.OutOfMemoryError(f"Command # 1 (XADD {CANARY}) of pipeline caused error: ('OOM',)"),
        redis.ConnectionError(f"Command # 1 (XADD {CANARY}) of pipeline caused error: x"),
        psycopg.errors.CheckViolation(f"new row violates\nDETAIL:  Failing row contains ({CANARY})."),
        psycopg.errors.RaiseException(f"refused {CANARY}"),
        psycopg.errors.InvalidTextRepresentation(f'invalid input syntax for type uuid: "{CANARY}"'),
        ExceptionGroup(CANARY, [ValueError(CANARY)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_told_without_their_words(formatter: logging.Formatter, error: BaseException) -> None:
    caught = raised(RuntimeError(CANARY), cause=raised(error))
    told = formatter.format(record("it broke: %s", error, error=caught))
    assert CANARY not in told.replace("local_text", "")
    assert "RuntimeError" in told and type(error).__name__ in told and "in raised" in told


def test_what_quotes_nobody_is_told() -> None:
    assert logs.describe(psycopg.errors.UniqueViolation()) == "UniqueViolation: SQLSTATE 23505"
    assert logs.describe(psycopg.OperationalError("the connection is closed")).endswith("the connection is closed")
    assert logs.describe(redis.ConnectionError("Error 111 connecting to h:1.")) == (
        "ConnectionError: Error 111 connecting to h:1."
    )
    assert logs.describe(ClientOSError(104, "Connection reset by peer")) == "ClientOSError: Connection reset by peer"
    assert logs.describe(GenerationFailed("timeout")) == "GenerationFailed: timeout"
    assert logs.describe(AttributeError("no attribute x")) == "AttributeError: no attribute x"


@pytest.mark.django_db
def test_a_real_database_error_names_its_constraint_and_no_value() -> None:
    from django.db import IntegrityError, transaction

    from arena.models import Page

    Page.objects.create(slug="p", title=CANARY)
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        Page.objects.create(slug="p", title=CANARY)
    assert logs.describe(caught.value) == (
        "IntegrityError: SQLSTATE 23505, constraint arena_page_pkey, table arena_page"
    )


@pytest.mark.parametrize("formatter", FORMATS, ids=["line", "json"])
def test_foreign_messages_are_rewritten(formatter: logging.Formatter) -> None:
    request = SimpleNamespace(method="GET", resolver_match=SimpleNamespace(route="s/<token>/"))
    django = record("Not Found: %s", f"/s/{CANARY}/", name="django.request", request=request, status_code=404)
    assert "404 for GET s/<token>/" in formatter.format(django)
    context = {"name": "arena.tasks.x", "id": "1", "description": "raised", "exc": CANARY, "args": CANARY}
    celery = record("Task %(name)s: %(exc)s %(args)s", name="celery.app.trace")
    celery.args = context
    asyncio = record(
        f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{CANARY}')>", name="asyncio"
    )
    handle = record(f"Exception in callback feed('{CANARY}')", name="asyncio")
    wrong = record("%d turns", CANARY)
    for one in (django, celery, asyncio, handle, wrong):
        assert CANARY not in formatter.format(one)
    assert "Exception in callback feed" in formatter.format(handle)


def test_secrets_in_addresses_and_control_characters_do_not_pass() -> None:
    token = "A" * 43
    text = logs.safe(f"/s/{token}/ /admin-login/{token}/ Bearer {token} redis://u:{token}@h a\nb\x1b[31m\u2028c")
    assert token not in text and "***" in text
    assert not logs.CONTROLS.search(text)
    assert len(logs.safe("x" * 100_000)) == logs.LONGEST


def test_json_is_one_object_per_line_with_the_circumstances() -> None:
    line = FORMATS[1].format(record("a\nb", error=raised(ValueError("x")), facts={"route": "me/", "ms": 1.5}))
    assert "\n" not in line
    told = json.loads(line)
    assert (told["message"], told["process"], told["battle"], told["route"]) == ("a b", "web", "b1", "me/")
    assert told["level"] == "ERROR" and told["logger"] == "arena.x" and told["time"].endswith("+00:00")
    assert told["error"]["what"] == "ValueError" and "test_logs.py" in told["error"]["traceback"]


def test_below_info_only_our_own_packages_speak() -> None:
    def passes(name: str, level: int) -> bool:
        return bool(logs.Quiet().filter(logging.LogRecord(name, level, "", 0, "", (), None)))

    assert passes("arena.x", logging.DEBUG) and passes("redis", logging.INFO)
    assert not any(passes(name, logging.DEBUG) for name in ("django.db.backends", "websockets.server", "markdown_it"))


def test_a_long_chain_of_causes_ends() -> None:
    error: BaseException = ValueError("0")
    for number in range(50):
        error = raised(ValueError(str(number)), cause=error)
    assert logs.trace(error).count("was caused by") == logs.DEEPEST - 1
