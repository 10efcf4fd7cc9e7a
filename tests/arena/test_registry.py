"""Contestants and their immutable revisions."""

import threading
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction

from arena import registry
from arena.clock import now
from arena.models import Contestant, ContestantRevision
from arena.models.contestants import ImmutableRevision, Visibility
from tests import factories

FIELDS = {"name": "Model One", "slug": "model-one", "organisation": "Lab"}
TOLD = {"model": "m1", "system_prompt": "Be brief.", "temperature": 0.5, "max_tokens": 100, "stop": ["END"]}


@pytest.fixture
def contestant(db: None) -> Contestant:
    return registry.create(dict(FIELDS), dict(TOLD))


def test_create_makes_the_first_revision(contestant: Contestant) -> None:
    revision = registry.current_revision(contestant)
    assert revision is not None
    assert (revision.number, revision.current) == (1, True)
    assert {name: revision.told()[name] for name in TOLD} == TOLD


def test_revise_makes_the_next_one_and_keeps_the_old(contestant: Contestant) -> None:
    first = registry.current_revision(contestant)
    second = registry.revise(contestant, system_prompt="Be long.")
    assert (second.number, second.current) == (2, True)
    assert second.told() == first.told() | {"system_prompt": "Be long."}
    first.refresh_from_db()
    assert (first.current, first.system_prompt) == (False, "Be brief.")


def test_revising_nothing_changes_nothing(contestant: Contestant) -> None:
    assert registry.revise(contestant, **TOLD) == registry.current_revision(contestant)
    assert contestant.revisions.count() == 1


def test_battles_keep_the_revision_they_were_fought_with(db: None) -> None:
    first, _ = factories.ring()
    turn = factories.started()
    fought = {turn.battle.revision_a_id, turn.battle.revision_b_id}
    registry.revise(first, temperature=0.1)
    turn.battle.refresh_from_db()
    assert {turn.battle.revision_a_id, turn.battle.revision_b_id} == fought


def test_an_adapter_is_told_as_a_row(contestant: Contestant) -> None:
    adapter = factories.adapter("pirate", "m1")
    assert registry.revise(contestant, adapter=adapter).adapter == adapter
    assert registry.revise(contestant, adapter=None).adapter is None
    assert contestant.revisions.count() == 3


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": None}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 2048}, "max_tokens"),
        ({"stop": "END"}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": list("abcde")}, "stop"),
        ({"model": ""}, "model"),
        ({"model": "other", "adapter": "pirate"}, "adapter"),
    ],
)
def test_what_no_model_can_be_told_is_refused_by_field(contestant: Contestant, told: dict, field: str) -> None:
    if "adapter" in told:
        told = told | {"adapter": factories.adapter("pirate", "m1")}
    with pytest.raises(ValidationError) as refused:
        registry.revise(contestant, **told)
    assert field in refused.value.message_dict
    assert contestant.revisions.get(current=True).number == 1


def test_unknown_fields_are_an_error(contestant: Contestant) -> None:
    with pytest.raises(TypeError, match="top_q"):
        registry.revise(contestant, top_q=1)


def test_a_contestant_without_a_codename_cannot_be_anonymous(db: None) -> None:
    with pytest.raises(ValidationError):
        registry.create(FIELDS | {"visibility": Visibility.ANONYMOUS}, TOLD)
    assert not Contestant.objects.exists()


def test_a_bad_revision_leaves_no_contestant_behind(db: None) -> None:
    with pytest.raises(ValidationError):
        registry.create(FIELDS, TOLD | {"temperature": 9})
    assert not Contestant.objects.exists()


def test_retiring_tells_no_name_before_the_promised_day(contestant: Contestant) -> None:
    contestant.visibility, contestant.codename = "anonymous", "Grey Wolf"
    contestant.anonymous_until = now().date() + timedelta(days=9)
    contestant.save()
    registry.retire(contestant)
    contestant.refresh_from_db()
    assert (contestant.display_name, contestant.public_slug) == ("Grey Wolf", "grey-wolf")
    contestant.anonymous_until = now().date()
    assert contestant.display_name == contestant.name


@pytest.mark.parametrize("codename", ["狼", "***", "Taken Name", "taken-name", "Grey wolf"])
def test_a_codename_makes_an_address_of_its_own(contestant: Contestant, codename: str) -> None:
    factories.contestant("Taken Name")
    factories.contestant("Other", codename="Grey Wolf")
    contestant.codename = codename
    with pytest.raises(ValidationError) as refused:
        registry.save(contestant, {})
    assert set(refused.value.message_dict) == {"codename"}


def test_a_retired_contestant_is_not_drawn(contestant: Contestant) -> None:
    registry.retire(contestant)
    assert contestant not in Contestant.objects.drawable()
    assert contestant.revisions.count() == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("system_prompt", "rewritten"),
        ("temperature", 1.9),
        ("number", 7),
        ("created_at", "2020-01-01T00:00Z"),
        ("model", "x"),
    ],
)
def test_the_database_refuses_to_rewrite_a_revision(contestant: Contestant, column: str, value: object) -> None:
    revision = registry.current_revision(contestant)
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        ContestantRevision.objects.filter(pk=revision.pk).update(**{column: value})
    with pytest.raises(ImmutableRevision):
        revision.save()


def test_the_database_lets_current_flip(contestant: Contestant) -> None:
    assert ContestantRevision.objects.filter(contestant=contestant).update(current=False) == 1


@pytest.mark.django_db(transaction=True)
def test_two_operators_at_once_make_two_revisions_in_a_row() -> None:
    contestant = registry.create(dict(FIELDS), dict(TOLD))
    start = threading.Barrier(2)

    def change(temperature: float) -> None:
        start.wait()
        try:
            registry.revise(Contestant.objects.get(pk=contestant.pk), temperature=temperature)
        finally:
            connection.close()

    threads = [threading.Thread(target=change, args=(value,)) for value in (0.1, 0.2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(contestant.revisions.values_list("number", flat=True)) == [1, 2, 3]
    assert contestant.revisions.get(current=True).number == 3
