"""Real servers for every test that wants a database: PostgreSQL and Valkey, embedded or named by URL."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from django.conf import settings

from arena.embedded import lifecycle


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


@pytest.fixture
def valkey(servers: None) -> Iterator[redis.Redis]:
    """A client of this worker's own Valkey database, emptied before and after."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
        yield client
        client.flushdb()
