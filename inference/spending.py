"""What answers cost: added up per endpoint and UTC day as each one ends, and held against the endpoint's daily cap.

An endpoint at its cap gets no new request: `targets.read_targets` leaves it out (a worker's list is at most
AGON_DISPATCH_REFRESH_S old), and no new battle draws a model that only it serves. What is in flight goes on, so a day may
cost the cap plus what the open answers and those few seconds add. Only answers of battles are counted: not test
replies, moderation calls, or attempts that another deployment took over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_UP, Decimal
from math import ceil
from typing import Any
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Least
from django.utils import timezone

from inference.models import Deployment, EngineEndpoint, Spend

MILLION = Decimal(1_000_000)
STEP = Decimal("0.000001")  # the column's; costs are rounded up to it, so that many small ones cannot pass for free
MOST = Decimal("99999999.999999")  # what the column holds, and more than any cap
BYTES_PER_TOKEN = 3  # of UTF-8: a little more than English needs, about one token per letter of Chinese


@dataclass(frozen=True, slots=True)
class Use:
    """One answer's use of a deployment. `estimated`: the endpoint did not tell its counts."""

    deployment_id: UUID
    tokens_in: int
    tokens_out: int
    estimated: bool = False


def today(when: datetime | None = None) -> date:
    """The UTC day that `when` (now) is charged to."""
    return (when or timezone.now()).astimezone(UTC).date()


def estimate(text_bytes: int) -> int:
    """Tokens of a text of so many UTF-8 bytes, for endpoints that do not count."""
    return ceil(text_bytes / BYTES_PER_TOKEN)


def charge(
    deployment_id: UUID, tokens_in: int, tokens_out: int, when: datetime | None = None, estimated: bool = False
) -> None:
    """Add one answer to its endpoint's day. A deployment that is gone costs nothing."""
    charge_all([Use(deployment_id, tokens_in, tokens_out, estimated)], when)


def charge_all(uses: Iterable[Use], when: datetime | None = None) -> None:
    """`charge` several: rows are touched in the order of their endpoints, so that two transactions never wait for each other."""
    uses = list(uses)
    found = {row.pk: row for row in Deployment.objects.filter(pk__in=[use.deployment_id for use in uses])}
    known = [(found[use.deployment_id], use) for use in uses if use.deployment_id in found]
    for deployment, use in sorted(known, key=lambda pair: pair[0].endpoint_id):
        _add(deployment, use, today(when))


def cost(deployment: Deployment, tokens_in: int, tokens_out: int) -> Decimal:
    """In the currency of the prices; a missing price is zero."""
    exact = (deployment.price_in or 0) * tokens_in + (deployment.price_out or 0) * tokens_out
    return (Decimal(exact) / MILLION).quantize(STEP, ROUND_UP)


def over_cap(when: datetime | None = None) -> set[str]:
    """Names of the endpoints that have used up their cap of the day."""
    return set(EngineEndpoint.objects.over_cap(today(when)).values_list("name", flat=True))


def _add(deployment: Deployment, use: Use, day: date) -> None:
    """One UPDATE; the day's first answer makes the row, and of two first answers at once one waits for the other."""
    rows = Spend.objects.filter(endpoint=deployment.endpoint_id, day=day)
    amounts: dict[str, Any] = {
        "requests": 1,
        "estimated": int(use.estimated),
        "tokens_in": use.tokens_in,
        "tokens_out": use.tokens_out,
        "cost": cost(deployment, use.tokens_in, use.tokens_out),
    }
    added: dict[str, Any] = {name: F(name) + amount for name, amount in amounts.items()}
    added["cost"] = Least(added["cost"], MOST)
    if not rows.update(**added):
        Spend.objects.bulk_create([Spend(endpoint_id=deployment.endpoint_id, day=day)], ignore_conflicts=True)
        rows.update(**added)
