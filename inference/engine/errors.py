"""Errors that the engine's HTTP server answers with, in OpenAI's shape."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(eq=False)
class ApiError(Exception):
    """An answer other than 200. `retry_after_s` becomes a Retry-After header in whole seconds."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    retry_after_s: float | None = None
    allow: str | None = None

    def __str__(self) -> str:
        return self.message

    @property
    def kind(self) -> str:
        """OpenAI's error type for the status."""
        kinds = {401: "authentication_error", 404: "not_found_error", 503: "overloaded_error"}
        return kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")

    def body(self) -> dict[str, object]:
        """The JSON body."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that belong to this status."""
        found: list[tuple[bytes, bytes]] = []
        if self.retry_after_s is not None:
            found.append((b"retry-after", str(max(1, math.ceil(self.retry_after_s))).encode()))
        if self.allow is not None:
            found.append((b"allow", self.allow.encode()))
        if self.status == 401:
            found.append((b"www-authenticate", b"Bearer"))
        return found


def bad_request(message: str, param: str | None = None) -> ApiError:
    """A 400; `param` names the field."""
    return ApiError(400, message, param, "invalid_value")


def unavailable(message: str, retry_after_s: float, code: str = "overloaded") -> ApiError:
    """A 503 with Retry-After."""
    return ApiError(503, message, None, code, retry_after_s)
