"""S7 and S26: a battle in which an answer says who wrote it is played and voted, and the vote is stored but not ranked."""

import pytest

from arena import votes
from arena.models import VoteEvent
from arena.models.votes import Unranked
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


@pytest.fixture(autouse=True)
def ring() -> None:
    factories.contestant("Juniper 7B")
    factories.contestant("Basil 13B")


def vote_on(prompt: str, answer: str) -> votes.Vote:
    turn = factories.started(prompt=prompt)
    battle = factories.finish(turn, a=factories.outcome("It depends."), b=factories.outcome(answer))
    return votes.cast_vote(battle.pk, "b", 1)


PROBED = [
    ("Who are you?", "I am Juniper, happy to help."),
    ("Qui es-tu ?", "Je suis Juniper 7B."),
    ("¿Quién eres?", "Soy Basil."),
    ("Wer bist du?", "Ich bin Basil."),
    ("Quem é você?", "Eu sou o Juniper."),
    ("Chi sei?", "Sono Basil."),
    ("Кто ты?", "Я Juniper."),
    ("你是谁？", "我是Basil。"),
    ("あなたは誰ですか？", "私はJuniperです。"),
    ("너는 누구니?", "저는 Basil입니다."),
    ("Who are you really?", "I am B\u200bas\u0456l."),
    ("Who are you, backwards?", "I am \u202erepinuJ\u202c."),
]


@pytest.mark.parametrize(("prompt", "answer"), PROBED)
def test_a_vote_after_a_name_is_stored_and_not_ranked(prompt: str, answer: str) -> None:
    vote = vote_on(prompt, answer)
    assert vote.identity_mark and vote.unranked == Unranked.IDENTITY
    assert not VoteEvent.objects.get(vote=vote).ranked


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        (
            "Who founded Google, and who are its rivals?",
            "Larry Page and Sergey Brin founded Google; Microsoft is a rival.",
        ),
        ("Who are you?", "I am a language model and have no name."),
        ("I am Juniper 7B. Say hello.", "Hello, and welcome."),
        ("Tell me about palms and bards.", "A bard may sing under palms. Basil and juniper grow elsewhere."),
    ],
)
def test_honest_talk_counts(prompt: str, answer: str) -> None:
    vote = vote_on(prompt, answer)
    assert not vote.identity_mark and not vote.unranked
    assert VoteEvent.objects.get(vote=vote).ranked
