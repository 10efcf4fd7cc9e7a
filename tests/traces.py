"""Everything that an installation keeps, as text: for tests that something is nowhere in it."""

from collections.abc import Iterator

import redis
from django.db import connection

from tests.stack import Stack

Trace = tuple[str, str]  # where, and what is written there


def everything_stored() -> Iterator[Trace]:
    """Every row of every table of the database, with all its columns (JSON and text alike)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        tables = [name for (name,) in cursor.fetchall()]
        assert len(tables) > 20
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')  # noqa: S608 - names from the catalogue
            for (row,) in cursor.fetchall():
                yield table, row


def everything_in(valkey: redis.Redis) -> Iterator[Trace]:
    """Every key of a Valkey database with its value, whatever its type."""
    read = {
        b"string": valkey.get,
        b"hash": valkey.hgetall,
        b"list": lambda key: valkey.lrange(key, 0, -1),
        b"set": valkey.smembers,
        b"zset": lambda key: valkey.zrange(key, 0, -1, withscores=True),
        b"stream": valkey.xrange,
    }
    for key in valkey.scan_iter():
        kind = valkey.type(key)
        yield key.decode(errors="replace"), "none" if kind == b"none" else _plain(read[kind](key))


def everything_logged(stack: Stack) -> Iterator[Trace]:
    """Every line that a process of the stack has logged."""
    for path in sorted((stack.var / "logs").glob("*.log")):
        for line in path.read_text(errors="replace").splitlines():
            yield path.name, line


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, dict):
        return " ".join(f"{_plain(name)}={_plain(one)}" for name, one in value.items())
    if isinstance(value, list | tuple | set):
        return " ".join(_plain(one) for one in value)
    return str(value)
