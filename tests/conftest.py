"""Real servers for every test that wants a database: PostgreSQL and Valkey, embedded or named by URL."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
import redis
from django.conf import settings
from django.db import connection
from django.utils import translation
from pytest_django import DjangoDbBlocker

from arena.embedded import lifecycle
from tests import flushing
from tests.stack import Stack

# A busy machine is no counterexample. CI keeps hypothesis' own profile for it: no deadline either, and fixed seeds.
# (Imported up here because its pytest plugin would otherwise do so in mid-teardown, where warnings are being parsed.)
hypothesis.settings.register_profile("agon", deadline=None)
if "CI" not in os.environ:
    hypothesis.settings.load_profile("agon")

flushing.install()


class Servers:
    """Embedded servers of one test run, started when first needed and stopped once."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._started = False

    def start(self) -> None:
        if not self._started:
            self._stack.enter_context(lifecycle.running(durable=False))
            self._started = True

    def stop(self) -> None:
        self._stack.close()


SERVERS = Servers()


def is_xdist_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_sessionstart(session: pytest.Session) -> None:
    """With xdist the controller starts the servers, since no worker outlives all others."""
    if not is_xdist_worker(session.config) and session.config.getoption("numprocesses", None):
        SERVERS.start()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if is_xdist_worker(config):
        return
    SERVERS.stop()
    if "AGON_KEEP_TEST_VAR" not in os.environ and Path(os.environ["AGON_TEST_VAR"]).name.startswith("agon-test-"):
        shutil.rmtree(os.environ["AGON_TEST_VAR"], ignore_errors=True)


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> None:
    """PostgreSQL and Valkey are running."""
    if not is_xdist_worker(request.config):
        SERVERS.start()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers: None, django_db_modify_db_settings_parallel_suffix: None) -> None:
    """pytest-django's hook before it creates the test database: the server must run by then."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Before pytest-django drops the test database, end the sessions that async tests' threads left open on it."""
    yield
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        connection.close()
        connection.close_pool()


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """What a process caches of the database for seconds must not outlive the rows of one test."""
    from arena import address_keys, bans
    from datasets import removals

    address_keys.forget()
    bans.forget()
    removals.forget()


@pytest.fixture(autouse=True)
def english() -> None:
    """A request leaves its language behind in its thread; the next test begins in the site's own."""
    translation.deactivate()


@pytest.fixture
def valkey(servers: None) -> Iterator[redis.Redis]:
    """A client of this worker's own Valkey database, emptied before and after."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture(scope="session")
def running_stack(django_db_blocker: pytest.FixtureRequest) -> Iterator[Stack]:
    """The whole site, started once per run. Take `stack` instead."""
    with django_db_blocker.unblock(), Stack() as stack:  # type: ignore[attr-defined]
        yield stack


@pytest.fixture
def stack(running_stack: Stack, django_db_blocker: pytest.FixtureRequest) -> Iterator[Stack]:
    """The whole site with a stub engine; models in this test read and write its database. Do not combine with `db`."""
    running_stack.heal()
    with django_db_blocker.unblock(), running_stack.orm():  # type: ignore[attr-defined]
        yield running_stack
