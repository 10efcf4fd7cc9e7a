"""A town with a past, and what was sent to Celery."""

import pytest

from arena import voiding
from tests.ranking.crowds import Town


@pytest.fixture
def town() -> Town:
    return Town.of()


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    monkeypatch.setattr(voiding.app, "send_task", lambda name, queue, retry: sent.append(name))
    return sent
