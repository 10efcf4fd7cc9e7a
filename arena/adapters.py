"""LoRA adapters in the registry: on an engine over its HTTP API, and as rows, so that they can meet others in battles."""

from __future__ import annotations

import asyncio

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from arena import registry
from arena.local_engine import NEUTRAL_PROMPT
from arena.models import Contestant, ContestantRevision
from inference import adapter_calls
from inference.adapter_calls import AdapterRefused
from inference.models import Adapter, Deployment, EngineEndpoint
from inference.target import Target
from inference.targets import target_of


def load(endpoint: EngineEndpoint, name: str, folder: str = "", replace: bool = False) -> Contestant:
    """Have `endpoint` serve an adapter, and list it: an adapter, a deployment and a contestant, as far as they are missing.

    `folder` lies in the engine's --adapters-dir (default: where the adapter's row says, or the name). Raises ValidationError (no
    such name, another base model), AdapterRefused (what the engine says); nothing is written then.
    """
    base = base_of(endpoint)
    adapter = Adapter.objects.filter(name=name).first() or Adapter(name=name, base_model=base.model, path=folder)
    if adapter.base_model != base.model:
        words = {"name": name, "base": adapter.base_model, "endpoint": endpoint.name, "model": base.model}
        raise ValidationError(_("%(name)s is an adapter of %(base)s; %(endpoint)s serves %(model)s") % words)
    adapter.path = folder or adapter.path
    adapter.full_clean(validate_unique=False)
    with transaction.atomic():  # rows that break a rule are found before the engine is asked
        contestant = _listed(adapter, base)
        asyncio.run(adapter_calls.load(target_of(base), name, adapter.path, replace))
    return contestant


def _listed(adapter: Adapter, base: Deployment) -> Contestant:
    adapter.save()
    Deployment.objects.update_or_create(
        model=base.model,
        adapter=adapter,
        endpoint=base.endpoint,
        defaults={"enabled": True},
        create_defaults={"upstream_name": adapter.name, "priority": base.priority},
    )
    revision = ContestantRevision.objects.filter(adapter=adapter, current=True).select_related("contestant").first()
    if revision is not None:
        return revision.contestant
    told = {"model": base.model, "adapter": adapter, "system_prompt": NEUTRAL_PROMPT}
    like = ContestantRevision.objects.filter(model=base.model, adapter=None, current=True).first()
    if like is not None:  # as long as what the base model may read and say
        told |= {"context_length": like.context_length, "max_tokens": like.max_tokens}
    shown = {"name": adapter.name, "slug": slugify(adapter.name), "organisation": "unknown", "open_weights": True}
    return registry.create(shown, told)


def unload(endpoint: EngineEndpoint, name: str) -> None:
    """Draw the adapter no more on `endpoint`, then have it forget it. AdapterRefused, but not when it had none of that name."""
    target = _target(endpoint)
    endpoint.deployments.filter(adapter_id=name).update(enabled=False)
    try:
        asyncio.run(adapter_calls.unload(target, name))
    except AdapterRefused as refused:
        if refused.status != 404:
            raise


def served(endpoint: EngineEndpoint) -> list[str]:
    """The adapters that the engine serves now, sorted. Raises like `load`."""
    found = asyncio.run(adapter_calls.served(_target(endpoint)))
    return sorted(name for name, parent in found.items() if parent is not None)


def base_of(endpoint: EngineEndpoint) -> Deployment:
    """The deployment of the engine's base model. ValidationError when there is none, or more than one."""
    found = list(endpoint.deployments.filter(adapter=None, enabled=True).select_related("endpoint")[:2])
    if len(found) != 1:
        words = {"endpoint": endpoint.name}
        raise ValidationError(_("%(endpoint)s must have exactly one enabled deployment of a base model") % words)
    return found[0]


def engines_of(adapter: Adapter) -> list[EngineEndpoint]:
    """The enabled endpoints that serve its base model."""
    return list(
        EngineEndpoint.objects.filter(
            enabled=True, deployments__model=adapter.base_model, deployments__adapter=None, deployments__enabled=True
        ).distinct()
    )


def _target(endpoint: EngineEndpoint) -> Target:
    return target_of(base_of(endpoint))
