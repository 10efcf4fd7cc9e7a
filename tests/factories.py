"""Rows for tests, written through the product's own verbs wherever there is one."""

from itertools import count
from uuid import uuid4

from arena import battles, turns
from arena.clock import now
from arena.models import (
    Battle,
    Consent,
    Contestant,
    ContestantRevision,
    Page,
    PageVersion,
    Side,
    Turn,
    Visitor,
)
from arena.models.battles import BattleState
from arena.turns import Outcome
from inference.models import Adapter, Deployment, EngineEndpoint

_numbers = count(1)


def visitor() -> Visitor:
    return Visitor.objects.create()


def consent(by: Visitor, publish: bool = False) -> Consent:
    page, _ = Page.objects.get_or_create(slug="terms", defaults={"title": "Terms"})
    version = page.versions.first() or PageVersion.objects.create(page=page, number=1, text="Be kind.")
    return Consent.objects.create(visitor=by, terms=version, publish=publish)


def endpoint(name: str = "stub", **fields: object) -> EngineEndpoint:
    fields = {"base_url": "http://127.0.0.1:9/v1"} | fields
    return EngineEndpoint.objects.get_or_create(name=name, defaults=fields)[0]


def contestant(
    name: str | None = None, *, model: str = "stub-fast", system_prompt: str = "", **fields: object
) -> Contestant:
    """A contestant in the ring: current revision, and a deployment of its model on the endpoint `stub`."""
    name = name or f"Contestant {next(_numbers)}"
    made = Contestant.objects.create(
        name=name, slug=name.lower().replace(" ", "-"), organisation=f"Org of {name}", **fields
    )
    ContestantRevision.objects.create(
        contestant=made, number=1, model=model, system_prompt=system_prompt, max_tokens=64
    )
    Deployment.objects.get_or_create(model=model, adapter=None, endpoint=endpoint(), defaults={"upstream_name": model})
    return made


def adapter(name: str, base_model: str) -> Adapter:
    return Adapter.objects.get_or_create(name=name, defaults={"base_model": base_model})[0]


def ring(size: int = 2, model: str = "stub-fast") -> list[Contestant]:
    return [contestant(model=model) for _ in range(size)]


def started(by: Visitor | None = None, prompt: str = "Why is the sky blue?") -> Turn:
    """A battle whose first turn waits for a worker. Makes two contestants when there are none."""
    by = by or visitor()
    if Contestant.objects.count() < 2:
        ring()
    agreed = by.consents.order_by("-created_at", "-pk").first()
    return battles.start(by, prompt, uuid4(), agreed or consent(by), group="g")


def outcome(text: str = "An answer.", finish_reason: str = "stop", error: str = "") -> Outcome:
    if error:
        return Outcome(error=error)
    moment = now()
    return Outcome(
        text=text,
        html=f"<p>{text}</p>",
        finish_reason=finish_reason,
        tokens_in=5,
        tokens_out=7,
        started_at=moment,
        first_token_at=moment,
    )


def finish(turn: Turn, a: Outcome | None = None, b: Outcome | None = None) -> Battle:
    """Play the worker: claim the turn and end both sides (those that are still open)."""
    brief = turns.claim(turn.id, "worker")
    assert brief is not None, "the turn was not free"
    wanted = {Side.A: a or outcome(), Side.B: b or outcome()}
    turns.finish(turn.id, "worker", {side: wanted[side] for side in brief.sides})
    return Battle.objects.get(pk=turn.battle_id)


def ready(by: Visitor | None = None, **texts: Outcome) -> Battle:
    """A battle that waits for its vote."""
    return finish(started(by), **texts)


def reopened(battle: Battle) -> Battle:
    """A ready battle as `battles.send` leaves it for its next turn."""
    battle.state, battle.ready_at, battle.expires_at = BattleState.STREAMING, None, None
    battle.save(update_fields=["state", "ready_at", "expires_at"])
    return battle
