"""Migrations and seeds: nothing to do is quick, and two at once wait for each other."""

import threading

import psycopg
import pytest
from django.db import connection

from arena import installation

pytestmark = pytest.mark.django_db


def test_nothing_to_migrate_is_noticed() -> None:
    assert installation.migrate() == 0


def test_a_second_migration_waits_for_the_first(servers: None) -> None:
    held = psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.ClientCursor})
    held.execute("SELECT pg_advisory_lock(%s)", [installation.MIGRATION_LOCK])
    release = threading.Timer(0.5, held.close)
    release.start()
    assert installation.migrate() == 0
    assert held.closed
    release.join()


def test_waiting_for_the_lock_has_an_end(servers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "LOCK_WAIT_MS", 100)
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.ClientCursor}) as held:
        held.execute("SELECT pg_advisory_lock(%s)", [installation.MIGRATION_LOCK])
        with pytest.raises(Exception, match="lock timeout"):
            installation.migrate()
