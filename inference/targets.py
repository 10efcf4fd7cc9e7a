"""Deployments as rows -> targets with opened keys: the one place where a key leaves the database."""

import asyncio
import logging

from django.conf import settings
from django.db import connections

from inference import spending
from inference.addresses import is_local, of_our_engine
from inference.client import Pace
from inference.dispatch import Dispatcher, DispatchLimits
from inference.models import Deployment, EndpointKind, EngineEndpoint
from inference.sealed import WrongSealKey
from inference.target import Target, Timeouts

log = logging.getLogger(__name__)


def key_of(endpoint: EngineEndpoint) -> str:
    """The endpoint's key; "" = none. Raises WrongSealKey.

    An engine of ours without a key in its row, on this machine or at the very address that AGON_ENGINE_URL names, uses the
    engine's own key: AGON_ENGINE_KEY, else the one that was made at its first start (`settings.ENGINE_KEY_FILE`). Neither is
    ever sent anywhere else.
    """
    own = is_local(endpoint.base_url) or endpoint.base_url == of_our_engine()
    if endpoint.sealed_key or endpoint.kind != EndpointKind.ENGINE or not own:
        return endpoint.open_key()
    if settings.ENGINE_KEY:
        return str(settings.ENGINE_KEY)
    try:
        return settings.ENGINE_KEY_FILE.read_text().strip()
    except FileNotFoundError:
        return ""


def target_of(deployment: Deployment) -> Target:
    """One deployment with its endpoint's address, opened key and bounds. Raises WrongSealKey."""
    endpoint = deployment.endpoint
    return Target(
        deployment_id=deployment.pk,
        model=deployment.model,
        adapter=deployment.adapter_id,
        upstream_name=deployment.upstream_name,
        base_url=endpoint.base_url,
        key=key_of(endpoint),
        priority=deployment.priority,
        accepts_extras=endpoint.accepts_extras,
        has_scheduler=endpoint.has_scheduler,
        in_flight=endpoint.in_flight,
        limit_field=endpoint.limit_field,
        asks_usage=endpoint.asks_usage,
        sends_seed=endpoint.sends_seed,
        timeouts=Timeouts(
            endpoint.connect_timeout_s,
            endpoint.first_token_timeout_s,
            endpoint.idle_timeout_s,
            endpoint.total_timeout_s,
            endpoint.queue_timeout_s,
        ),
    )


def read_targets() -> list[Target]:
    """Every deployment that may be asked today, in one query; one whose key cannot be opened is left out, loudly."""
    rows = Deployment.objects.serving(spending.today()).select_related("endpoint")
    targets = []
    for row in rows:
        try:
            targets.append(target_of(row))
        except (WrongSealKey, OSError) as error:
            log.error("%s is left out: %s", row, error)
    return targets


def _read_and_hand_back() -> list[Target]:
    try:
        return read_targets()
    finally:
        connections.close_all()  # gives the thread's connection back to the pool


async def load_targets() -> list[Target]:
    """`read_targets` for a Dispatcher: in a thread that keeps no connection."""
    return await asyncio.to_thread(_read_and_hand_back)


def dispatch_limits() -> DispatchLimits:
    """The bounds of dispatch that the settings name."""
    return DispatchLimits(**settings.DISPATCH)  # type: ignore[arg-type]  # whole numbers where they are wanted


def open_dispatcher(pace: Pace | None = None) -> Dispatcher:
    """A dispatcher of the deployments in the database, within the bounds of the settings; `pace` as in `Client`."""
    return Dispatcher(load_targets, dispatch_limits(), pace=pace)
