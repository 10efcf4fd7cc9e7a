"""The one clock of the web app: tests replace it here and nowhere else."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)
