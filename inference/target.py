"""One place that can answer, as the client needs to know it: a deployment with its endpoint's address, key and bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

UNIX = "unix://"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, to the first piece of the answer, between pieces, and for the whole request.

    The second and the last clock start again whenever the endpoint says that the request is queued, for `queue_s` at most.
    """

    connect_s: float = 5.0
    first_token_s: float = 60.0
    idle_s: float = 30.0
    total_s: float = 300.0
    queue_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment. The key is in no repr.

    `base_url` is `https://host/v1` or `unix:///path/to/socket` (then `/v1` is implied). `limit_field` is the endpoint's word
    for the length limit; `asks_usage` and `sends_seed` are off for vendors that refuse those fields.
    """

    deployment_id: UUID
    model: str
    adapter: str | None
    upstream_name: str
    base_url: str
    key: str = field(default="", repr=False)
    priority: int = 100
    accepts_extras: bool = False
    has_scheduler: bool = False
    in_flight: int = 8
    limit_field: str = "max_tokens"
    asks_usage: bool = True
    sends_seed: bool = True
    timeouts: Timeouts = Timeouts()

    @property
    def socket_path(self) -> str | None:
        """The unix socket's path, None for HTTP over TCP."""
        return self.base_url.removeprefix(UNIX) if self.base_url.startswith(UNIX) else None

    @property
    def url(self) -> str:
        """The API's root without a slash at its end; its host is made up for a unix socket."""
        return "http://engine/v1" if self.socket_path else self.base_url.rstrip("/")
