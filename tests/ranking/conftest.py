"""A town with a past, what was sent to Celery, and no Celery at all."""

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


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("arena.voiding.app.send_task", "arena.jobs.app.send_task"):
        monkeypatch.setattr(name, lambda *_, **__: None)
