"""The registry's verbs: contestants and the revisions they are told by. Nothing else writes these rows.

A revision never changes (a database trigger holds this too): a change makes the next one, and battles keep the revision
they were fought with.
"""

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from arena.models import Contestant, ContestantRevision
from arena.models.contestants import Visibility

MAX_STOPS = 4  # what OpenAI's own API takes


def create(fields: dict[str, Any], told: dict[str, Any]) -> Contestant:
    """A contestant with its first revision. `fields` are Contestant's, `told` ContestantRevision's.

    Raises ValidationError (what is wrong, by field), TypeError for a name that neither has.
    """
    contestant = Contestant(**fields)
    save(contestant, told)
    return contestant


@transaction.atomic
def save(contestant: Contestant, told: dict[str, Any]) -> ContestantRevision:
    """Write a new or changed contestant together with what it is told. Raises like `create`."""
    contestant.full_clean()
    contestant.save()
    return revise(contestant, **told)


@transaction.atomic
def revise(contestant: Contestant, **told: Any) -> ContestantRevision:
    """Change what a contestant is told, from the next battle on. Fields not named stay as they are.

    Returns the current revision: a new one, or the old one when nothing changed. Raises ValidationError, and TypeError for a
    field that is not told.
    """
    _lock(contestant.pk)
    current = current_revision(contestant)
    if current is None:
        return _add(contestant, 1, told)
    wanted = current.told() | _named(told)
    if wanted == current.told():
        return current
    current.current = False
    current.save(update_fields=["current"])
    return _add(contestant, current.number + 1, wanted)


@transaction.atomic
def retire(contestant: Contestant) -> None:
    """Draw it no more. Its votes, revisions and page stay; setting another visibility brings it back."""
    _lock(contestant.pk)
    contestant.visibility = Visibility.RETIRED
    contestant.save(update_fields=["visibility"])


def current_revision(contestant: Contestant) -> ContestantRevision | None:
    """What it is told now; None for one that came with an import."""
    return contestant.revisions.filter(current=True).first()


def _lock(pk: UUID) -> None:
    """One writer per contestant at a time: two operators' changes become two revisions in a row."""
    Contestant.objects.select_for_update().only("pk").get(pk=pk)


def _named(told: dict[str, Any]) -> dict[str, Any]:
    named = dict(told)
    if "adapter" in named:
        adapter = named.pop("adapter")
        named["adapter_id"] = adapter.pk if adapter is not None else None
    if unknown := sorted(set(named) - set(ContestantRevision.TOLD)):
        raise TypeError(f"not something a contestant is told: {', '.join(unknown)}")
    return named


def _add(contestant: Contestant, number: int, told: dict[str, Any]) -> ContestantRevision:
    revision = ContestantRevision(contestant=contestant, number=number, **_named(told))
    check(revision)
    revision.save()
    return revision


def check(revision: ContestantRevision) -> None:
    """Raises ValidationError, by field, unless a model can be told this."""
    problems = {name: message for name, (bad, message) in _rules(revision).items() if bad}
    try:
        revision.full_clean(exclude=["contestant", "number", "current", *problems], validate_constraints=False)
    except ValidationError as error:
        raise ValidationError(error.message_dict | {name: [text] for name, text in problems.items()}) from None
    if problems:
        raise ValidationError(problems)


def _rules(revision: ContestantRevision) -> dict[str, tuple[bool, str]]:
    """Field -> (is it broken, what to do). The database holds the same bounds, in less helpful words."""
    adapter, stop = revision.adapter, revision.stop
    texts = isinstance(stop, list) and all(isinstance(item, str) and item for item in stop)
    return {
        "temperature": (not _within(revision.temperature, 0, 2), _("between 0 (always the likeliest token) and 2")),
        "top_p": (revision.top_p == 0 or not _within(revision.top_p, 0, 1), _("above 0, at most 1 (1 = off)")),
        "max_tokens": (
            not _within(revision.max_tokens, 1, (revision.context_length or 0) - 1),
            _("at least 1, and less than the context length, which holds prompt and answer together"),
        ),
        "stop": (
            not texts or len(stop) > MAX_STOPS,
            _('a list of at most %(n)d texts, like ["###"], or []') % {"n": MAX_STOPS},
        ),
        "adapter": (
            adapter is not None and adapter.base_model != revision.model,
            _("an adapter of %(base)s, not of %(model)s") % {"base": adapter.base_model, "model": revision.model}
            if adapter
            else "",
        ),
    }


def _within(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and least <= value <= most
