"""Log lines in which nobody's text can be: formatters of every process, as lines or as JSON. No Django.

A prompt, an answer or a secret reaches a log in three ways: in the words of an error (psycopg quotes rows, redis-py quotes the
command that failed, a parser quotes what it could not read), in the arguments of somebody else's message, and in an address.
So errors are told by their type and by facts that cannot quote anybody (`describe`), tracebacks hold no locals and no messages,
and foreign messages are rewritten where they carry more than their own words (`message_of`).
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

OURS = ("arena", "inference", "ranking", "datasets")
DEEPEST = 5  # errors of a chain of causes
FRAMES = 30  # innermost frames of each
LONGEST = 2000  # characters of one message
# Types whose words are ours, the system's or Python's about code, and never about data.
SPEAKING = frozenset(
    {"ImproperlyConfigured", "PolicyError", "WrongSealKey", "LeaseLost", "Cancelled", "CommandError", "ConfigError"}
    | {"PostgresRefused", "ImportError", "ModuleNotFoundError", "NameError", "AttributeError", "WorkerLostError"}
    | {"SoftTimeLimitExceeded", "TimeLimitExceeded", "ZeroDivisionError", "RecursionError", "PoolTimeout"}
)
CONNECTING = frozenset({"ConnectionError", "TimeoutError", "BusyLoadingError", "OperationalError", "InterfaceError"})
SECRETS = (
    (re.compile(r"(/s/)[A-Za-z0-9_-]{20,}"), r"\1***"),
    (re.compile(r"(/admin-login/)[^/\s\"']+"), r"\1***"),
    (re.compile(r"(?i)(bearer\s+)[\w.~+/=-]+"), r"\1***"),
    (re.compile(r"(://[^/\s:@]*:)[^@\s]+(@)"), r"\1***\2"),  # a password in a URL
)
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
Facts = Callable[[], Mapping[str, str]]


def nothing() -> Mapping[str, str]:
    """No facts beside the record's own."""
    return {}


def describe(error: BaseException) -> str:
    """What an error is, in words that quote nobody: `IntegrityError: SQLSTATE 23505, constraint vote_once`."""
    words = _facts(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _facts(error: BaseException) -> str:
    name, module = type(error).__name__, type(error).__module__.partition(".")[0]
    if state := _sqlstate(error):
        return state
    if name in SPEAKING or (name in CONNECTING and module in ("django", "psycopg", "psycopg_pool", "redis", "kombu")):
        words = str(error)
        return "" if words.startswith("Command #") else safe(words.partition("\n")[0][:200])
    if isinstance(error, OSError):
        return safe(error.strerror or "")
    code = getattr(error, "code", None)
    return code if isinstance(code, str) and re.fullmatch(r"[a-z_0-9]{1,40}", code) else ""


def _sqlstate(error: BaseException) -> str:
    """The server's code and the names it speaks of; its message, DETAIL and CONTEXT quote rows."""
    for one in (error, error.__cause__):
        state, diag = getattr(one, "sqlstate", None), getattr(one, "diag", None)
        if isinstance(state, str):
            named = {kind: getattr(diag, f"{kind}_name", None) for kind in ("constraint", "table", "column")}
            return ", ".join([f"SQLSTATE {state}", *(f"{kind} {name}" for kind, name in named.items() if name)])
    return ""


def trace(error: BaseException) -> str:
    """The traceback with its causes: files, lines and source, without locals and without the errors' own words."""
    chain: list[tuple[str, BaseException]] = [("", error)]
    while len(chain) < DEEPEST:
        last = chain[-1][1]
        cause, context = last.__cause__, None if last.__suppress_context__ else last.__context__
        if cause is None and context is None:
            break
        chain.append(("was caused by" if cause else "came while handling", cause or context))  # type: ignore[arg-type]
    return "\n".join(f"{link}\n{_one(one)}" if link else _one(one) for link, one in chain)


def _one(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    places = [f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n    {frame.line}' for frame in frames]
    return "\n".join([*places, describe(error)])


def safe(text: str) -> str:
    """One line without control characters, without the secrets that addresses carry, cut to LONGEST characters."""
    text = CONTROLS.sub(" ", text[:LONGEST])
    for pattern, replacement in SECRETS:
        text = pattern.sub(replacement, text)
    return text.strip()


def message_of(record: logging.LogRecord) -> str:
    """The record's own words, with errors among its arguments described and foreign messages rewritten."""
    if request := getattr(record, "request", None):  # Django puts the whole path into its message
        match = getattr(request, "resolver_match", None)
        where = match.route if match else "an unknown address"
        return f"{getattr(record, 'status_code', 'refused')} for {request.method} {where}"
    if record.name == "celery.app.trace" and isinstance(record.args, Mapping):
        told = {key: record.args.get(key, "") for key in ("name", "id", "description")}
        return "task {name}[{id}] {description}".format(**told)
    try:
        text = logging.LogRecord("", 0, "", 0, record.msg, _args(record.args), None).getMessage()
    except Exception:  # a wrong format string must not lose the line, and may not show its arguments
        text = str(record.msg)
    if record.name in ("asyncio", "concurrent.futures"):  # what follows are reprs of tasks, with their errors
        text = re.split(r"[(<\n]", text, maxsplit=1)[0]
    return safe(text)


def _args(args: Any) -> Any:
    if isinstance(args, Mapping):
        return {key: _arg(value) for key, value in args.items()}
    return tuple(_arg(value) for value in args or ())


def _arg(value: Any) -> Any:
    return describe(value) if isinstance(value, BaseException) else value


def error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if isinstance(record.exc_info, tuple) else None


class Quiet(logging.Filter):
    """Below INFO only our own packages speak: elsewhere DEBUG means SQL with its values, frames and whole documents."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.INFO or record.name.partition(".")[0] in OURS


class Line(logging.Formatter):
    """`time level logger: message`, then what is known of the circumstances, then the traceback."""

    def __init__(self, facts: Facts = nothing) -> None:
        super().__init__()
        self.facts = facts

    def format(self, record: logging.LogRecord) -> str:
        about = "".join(f" {key}={value}" for key, value in self.facts().items() if key != "process")
        about += "".join(f" {key}={value}" for key, value in getattr(record, "facts", {}).items())
        line = f"{moment(record)} {record.levelname} {record.name}: {message_of(record)}{about}"
        error = error_of(record)
        return f"{line}\n{trace(error)}" if error else line


class Json(logging.Formatter):
    """One object per line: time, level, logger, message, circumstances, and `error` with its traceback."""

    def __init__(self, facts: Facts = nothing) -> None:
        super().__init__()
        self.facts = facts

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {"time": moment(record), "level": record.levelname, "logger": record.name}
        told |= {"message": message_of(record), **self.facts(), **getattr(record, "facts", {})}
        if error := error_of(record):
            told["error"] = {"what": describe(error), "traceback": trace(error)}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=str)


def moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


FORMATS: dict[str, type[Line] | type[Json]] = {"line": Line, "json": Json}
