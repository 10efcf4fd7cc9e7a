"""Databases of their own on the test server, for tests that restore, upgrade or deploy a whole installation."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlencode

import psycopg
from django.db import connection
from psycopg import sql


def server(dbname: str = "postgres") -> psycopg.Connection:
    """An autocommit connection to another database of the test server."""
    return psycopg.connect(**_params() | {"dbname": dbname}, autocommit=True)


def url(dbname: str) -> str:
    """DATABASE_URL of a database on the test server."""
    params = _params()
    user, password = quote(str(params.get("user", "")), safe=""), quote(str(params.get("password", "")), safe="")
    rest = {name: params[name] for name in ("host", "port") if params.get(name)}
    return f"postgresql://{user}{':' + password if password else ''}@/{dbname}?{urlencode(rest)}"


def exists(dbname: str) -> bool:
    with server() as maintenance:
        return maintenance.execute("SELECT 1 FROM pg_database WHERE datname = %s", [dbname]).fetchone() is not None


def drop(dbname: str) -> None:
    with server() as maintenance:
        maintenance.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(dbname)))


@contextmanager
def fresh(dbname: str) -> Iterator[str]:
    """An empty database; yields its URL, and it is gone afterwards."""
    drop(dbname)
    with server() as maintenance:
        maintenance.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(dbname)))
    try:
        yield url(dbname)
    finally:
        drop(dbname)


def _params() -> dict[str, object]:
    wanted = ("host", "port", "user", "password")
    return {name: value for name, value in connection.get_connection_params().items() if name in wanted and value}
