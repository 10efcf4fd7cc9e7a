"""A quick flush between tests that commit: rows are deleted.

Django truncates every table, which makes PostgreSQL a new file for each table and index: .3 s each time, for some three
hundred tests. Who may not switch triggers off (a server named by DATABASE_URL) gets Django's own way.
"""

from collections.abc import Sequence

from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations

KEPT = frozenset(
    {"django_content_type", "auth_permission"}
)  # made again by `post_migrate` otherwise, the same as before
truncating = DatabaseOperations.sql_flush


def quick(
    operations: DatabaseOperations,
    style: object,
    tables: Sequence[str],
    *,
    reset_sequences: bool = False,
    allow_cascade: bool = False,
) -> list[str]:
    """The statements that empty `tables`; they wait, as TRUNCATE does, for transactions that are open."""
    if reset_sequences or not tables or not _is_superuser():
        return truncating(operations, style, tables, reset_sequences=reset_sequences, allow_cascade=allow_cascade)
    names = [operations.quote_name(table) for table in tables if table not in KEPT]
    return [
        f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE",
        "SET LOCAL session_replication_role = replica",  # foreign keys and the triggers that forbid deletion
        "; ".join(f"DELETE FROM {name}" for name in names),
    ]


def install() -> None:
    DatabaseOperations.sql_flush = quick


def _is_superuser() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT usesuper FROM pg_user WHERE usename = current_user")
        found = cursor.fetchone()
    return bool(found and found[0])
