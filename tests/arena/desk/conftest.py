"""A moderator at the desk."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.arena.desk.cases import moderator


@pytest.fixture(autouse=True)
def no_limits(valkey: object, settings) -> None:
    settings.LIMIT_PREFIX_BURST = settings.LIMIT_VISITOR_BURST = 10_000


@pytest.fixture
def ada() -> User:
    """A moderator."""
    return moderator("ada")


@pytest.fixture
def desk(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client
