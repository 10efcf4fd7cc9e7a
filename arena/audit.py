"""The audit trail: every write of a member of staff, in the transaction of the write itself."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import Model, QuerySet

from arena.models import AuditEntry

SECRET = frozenset({"password", "sealed_key", "sealed_secret", "recovery_hash", "key"})
LONGEST = 2000  # characters of one value that are kept
MOST = 300  # items of one list that are kept
Actor = AbstractBaseUser | AnonymousUser | None
Describe = Callable[[Any], dict[str, Any]]


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
        action=action[:40],
        kind=subject._meta.label_lower,
        subject=str(subject.pk)[:64],
        title=str(subject)[:200],
        before=_plain(before or {}),
        after=_plain(after or {}),
        reason=reason[:LONGEST],
    )


def fields(instance: Model) -> dict[str, Any]:
    """A row's columns and its many-to-many names, as the trail keeps them."""
    concrete = {field.name: field.value_from_object(instance) for field in instance._meta.concrete_fields}
    many = {
        field.name: sorted(str(one) for one in getattr(instance, field.name).select_related())
        for field in instance._meta.many_to_many
    }
    return concrete | many


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Only what differs: the values before, and the values after."""
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return {name: old.get(name) for name in names}, {name: new.get(name) for name in names}


@contextmanager
def watched(actor: Actor, rows: QuerySet[Any], action: str = "change", describe: Describe = fields) -> Iterator[None]:
    """Run the block in a transaction, then record what became of `rows` (locked): each change, each deletion."""
    manager = rows.model._base_manager
    with transaction.atomic():
        locked = manager.select_for_update().filter(pk__in=rows.values("pk")).order_by("pk")
        was = {row.pk: (row, describe(row)) for row in locked}
        yield
        now = {row.pk: describe(row) for row in manager.filter(pk__in=list(was))}
        for pk, (row, old) in was.items():
            before, after = difference(old, now.get(pk, {}))
            if pk not in now:
                record(actor, "delete", row, old)
            elif before or after:
                record(actor, action, row, before, after)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): "(secret)" if name in SECRET and value else _json(value) for name, value in values.items()}


def _json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        items = list(value) if isinstance(value, list | tuple) else sorted(value, key=str)
        more = [f"and {len(items) - MOST} more"] if len(items) > MOST else []
        return [_json(one) for one in items[:MOST]] + more
    if isinstance(value, dict):
        return _plain(value)
    try:
        text = value if isinstance(value, str) else DjangoJSONEncoder().default(value)
    except TypeError:
        text = str(value)
    return text[:LONGEST]
