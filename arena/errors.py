"""How a verb says no: in words a person can act on, with the HTTP status that fits."""

from typing import Any


class Refused(Exception):
    """A refusal in public words.

    `status` is an HTTP status, `code` a stable short name for tests and scripts, `message` a translated sentence that says
    what happened and what to do, `retry_after` seconds (0 = waiting does not help), `detail` whatever a page needs.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: float = 0.0, **detail: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, str(message)
        self.retry_after, self.detail = retry_after, detail
