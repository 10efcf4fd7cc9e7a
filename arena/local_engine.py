"""Which model the engine on this machine serves: the choice is a file that the process table reads, and rows that follow it."""

from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from arena import pairing, registry
from arena.demo.roster import ENGINE, engine_url
from arena.models import ContestantRevision
from inference.fetch import read_json
from inference.models import Deployment, EndpointKind, EngineEndpoint

NEUTRAL_PROMPT = (
    "You are a helpful assistant."  # a template's own default often names the model, which unblinds battles
)
MAX_TOKENS = 512
MAX_CONTEXT = 8192


def switch(model: Path) -> int:
    """Serve the model in folder `model` from the engine's next start on; returns how many contestants are in the ring.

    Deployments of the engine's other models are switched off, those of this one on. A model that no contestant is made
    of gets one, under its folder's name.
    """
    if model.parent.resolve() != settings.MODELS_DIR.resolve():
        raise ImproperlyConfigured(f"{model} is not in {settings.MODELS_DIR}")
    with transaction.atomic():
        endpoint, _ = EngineEndpoint.objects.get_or_create(
            name=ENGINE,
            defaults={
                "kind": EndpointKind.ENGINE,
                "base_url": engine_url(),
                "accepts_extras": True,
                "has_scheduler": True,
            },
        )
        endpoint.deployments.exclude(model=model.name).update(enabled=False)
        endpoint.deployments.filter(model=model.name).update(enabled=True)
        Deployment.objects.get_or_create(
            model=model.name, adapter=None, endpoint=endpoint, defaults={"upstream_name": model.name}
        )
        if not ContestantRevision.objects.filter(model=model.name, current=True).exists():
            _contestant(model)
    settings.ENGINE_MODEL_FILE.write_text(f"{model.resolve()}\n")
    return len(pairing.in_the_ring())


def _contestant(model: Path) -> None:
    context = min(int(read_json(model / "config.json").get("max_position_embeddings", 2048)), MAX_CONTEXT)
    registry.create(
        {"name": model.name, "slug": model.name.replace(".", "-"), "organisation": "unknown", "open_weights": True},
        {
            "model": model.name,
            "context_length": context,
            "max_tokens": min(MAX_TOKENS, context // 2),
            "system_prompt": NEUTRAL_PROMPT,
        },
    )
