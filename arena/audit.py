"""The audit trail: every write of a member of staff, in the transaction of the write itself."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Model
from django.forms.models import model_to_dict

from arena.models import AuditEntry

SECRET = frozenset({"password", "sealed_key", "sealed_secret", "recovery_hash", "key"})
LONGEST = 2000  # characters of one value that are kept
Actor = AbstractBaseUser | AnonymousUser | None


def record(
    actor: Actor,
    action: str,
    subject: Model,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> AuditEntry:
    """Append an entry. `before` and `after` hold what changed; secrets are said to have changed, never shown."""
    user = actor if isinstance(actor, User) else None
    return AuditEntry.objects.create(
        actor=user,
        actor_name=user.get_username() if user else "system",
        action=action,
        kind=subject._meta.label_lower,
        subject=str(subject.pk)[:64],
        title=str(subject)[:200],
        before=_plain(before or {}),
        after=_plain(after or {}),
        reason=reason,
    )


def fields(instance: Model) -> dict[str, Any]:
    """A row's columns, as the trail keeps them."""
    concrete = {field.name: field.value_from_object(instance) for field in instance._meta.concrete_fields}
    many = {
        name: sorted(str(one.pk) for one in value)
        for name, value in model_to_dict(instance).items()
        if isinstance(value, list) and value and isinstance(value[0], models.Model)
    }
    return concrete | many


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Only what differs: the values before, and the values after."""
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return {name: old.get(name) for name in names}, {name: new.get(name) for name in names}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "(secret)" if name in SECRET and value else _json(value) for name, value in values.items()}


def _json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set):
        return [_json(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _json(one) for name, one in value.items()}
    try:
        text = value if isinstance(value, str) else DjangoJSONEncoder().default(value)
    except TypeError:
        text = str(value)
    return text[:LONGEST] if isinstance(text, str) else text
