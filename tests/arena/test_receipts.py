"""The receipt: shown to the voter, never stored, no recovery code, and read back however it was typed."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena import own_data, own_data_text, receipts, recovery
from arena.models import Vote
from tests.arena.views_help import Person, url

VOTES = st.uuids()


@given(VOTES)
def test_a_receipt_is_always_the_same_and_reads_back_as_typed(vote: UUID) -> None:
    receipt = receipts.receipt(vote)
    assert receipt == receipts.receipt(UUID(str(vote)))
    assert receipt.startswith("vote-") and len(receipt) == 34
    bare = receipt.removeprefix("vote-")
    for typed in (receipt, receipt.upper(), f"  {receipt}\n", bare, bare.replace("-", ""), receipt.replace("-", " ")):
        assert receipts.typed(typed) == receipt


@pytest.mark.parametrize("text", ["", "vote-", "vote-aaaa", "1" * 24, "vote-" + "a" * 25, "a" * 300, "<script>" * 4])
def test_anything_else_is_no_receipt(text: str) -> None:
    assert receipts.typed(text) is None


def test_another_key_gives_other_receipts(settings: object) -> None:
    vote = uuid4()
    before = receipts.receipt(vote)
    settings.RELEASE_KEY = "another"  # type: ignore[attr-defined]
    assert receipts.receipt(vote) != before


@pytest.mark.django_db
def test_the_voter_sees_it_in_the_answer_to_the_vote_and_on_the_page_later() -> None:
    person = Person()
    battle = person.ready()
    answer = person.post(url(battle, "vote/"), choice="a", turn="1", htmx=True)
    receipt = receipts.receipt(Vote.objects.get().pk)
    for said in (answer, person.get(url(battle))):
        assert f">{receipt}</code>" in said.content.decode()
        assert f"/receipt?receipt={receipt}" in said.content.decode()


@pytest.mark.django_db
def test_before_the_vote_there_is_none_and_the_export_has_it() -> None:
    person = Person()
    assert "/receipt?" not in person.get(url(person.ready())).content.decode()
    battle = person.voted("tie")
    receipt = receipts.receipt(Vote.objects.get().pk)
    assert person.visitor
    (fact,) = own_data.battles(person.visitor, [battle.pk])
    assert fact["vote"]["receipt"] == receipt
    assert any(receipt in line for line in own_data_text._battle(fact))


@pytest.mark.django_db
def test_a_receipt_opens_nothing() -> None:
    person = Person()
    person.voted("a")
    receipt = receipts.receipt(Vote.objects.get().pk)
    assert recovery.visitor_of(receipt) is None
    assert recovery.visitor_of(receipt.removeprefix("vote-")) is None
