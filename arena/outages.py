"""When the database cannot be reached or takes no writes (a full disk, a standby): 503, and what can be tried again."""

from django.db import InterfaceError, InternalError, OperationalError
from psycopg.errors import ReadOnlySqlTransaction

RETRY_AFTER_S = 30


def is_outage(error: BaseException | None) -> bool:
    """Not a bug. The cause is looked at, not the words."""
    if isinstance(error, OperationalError | InterfaceError):
        return True
    return isinstance(error, InternalError) and isinstance(error.__cause__, ReadOnlySqlTransaction)
