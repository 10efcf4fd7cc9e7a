"""Rows for the demo roster: contestants, their first revisions, adapters, and the local engine that serves them."""

from decimal import Decimal
from typing import Any

from arena import registry
from arena.embedded import run_dir
from arena.models import Contestant
from inference.addresses import of_our_engine
from inference.demo.roster import ROSTER, DemoContestant
from inference.models import Adapter, Deployment, EndpointKind, EngineEndpoint
from inference.target import UNIX

ENGINE = "local-engine"


def engine_url() -> str:
    """AGON_ENGINE_URL, else the socket of the engine that `up` runs here."""
    return of_our_engine() or f"{UNIX}{run_dir() / 'engine.sock'}"


def seed_roster() -> list[Contestant]:
    """Create what is missing; what an operator has changed since stays as it is."""
    endpoint, _ = EngineEndpoint.objects.get_or_create(
        name=ENGINE,
        defaults={
            "kind": EndpointKind.ENGINE,
            "base_url": engine_url(),
            "accepts_extras": True,
            "has_scheduler": True,
            "in_flight": 64,
        },
    )
    return [_contestant(entry, endpoint) for entry in ROSTER]


def refresh() -> None:
    """Follow the installation when its folders move: the engine's socket and the adapters' files."""
    EngineEndpoint.objects.filter(name=ENGINE).exclude(base_url=engine_url()).update(base_url=engine_url())
    for entry in ROSTER:
        if entry.adapter:
            Adapter.objects.filter(name=entry.adapter).exclude(path=str(entry.adapter_path)).update(
                path=str(entry.adapter_path)
            )


def _contestant(entry: DemoContestant, endpoint: EngineEndpoint) -> Contestant:
    adapter = _adapter(entry)
    contestant = Contestant.objects.filter(slug=entry.slug).first()
    if contestant is None:
        contestant = registry.create(_shown(entry), _told(entry, adapter))
    elif registry.current_revision(contestant) is None:
        registry.revise(contestant, **_told(entry, adapter))
    Deployment.objects.get_or_create(
        model=entry.base_model, adapter=adapter, endpoint=endpoint, defaults={"upstream_name": entry.upstream_name}
    )
    return contestant


def _shown(entry: DemoContestant) -> dict[str, Any]:
    return {
        "slug": entry.slug,
        "name": entry.name,
        "organisation": entry.organisation,
        "licence": entry.licence,
        "open_weights": True,
        "released_on": entry.released_on,
        "description": entry.description,
        "price_in": Decimal(str(entry.price_input)),
        "price_out": Decimal(str(entry.price_output)),
        "demo": True,
    }


def _told(entry: DemoContestant, adapter: Adapter | None) -> dict[str, Any]:
    return {
        "model": entry.base_model,
        "adapter": adapter,
        "context_length": entry.context,
        "system_prompt": entry.system_prompt,
        **entry.sampling.as_dict(),
    }


def _adapter(entry: DemoContestant) -> Adapter | None:
    if entry.adapter is None:
        return None
    defaults = {"base_model": entry.base_model, "path": str(entry.adapter_path)}
    return Adapter.objects.get_or_create(name=entry.adapter, defaults=defaults)[0]
