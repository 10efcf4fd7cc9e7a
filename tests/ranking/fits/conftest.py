"""Boards of few votes."""

import pytest

from ranking.counting import labelling


@pytest.fixture
def low(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few votes are enough, and categories are those that the tests name (labelling would find none in their prompts)."""
    settings.CATEGORY_VOTES, settings.STYLE_VOTES, settings.THIN_VOTES = 10, 20, 0  # type: ignore[attr-defined]
    monkeypatch.setattr(labelling, "sweep", lambda: 0)
