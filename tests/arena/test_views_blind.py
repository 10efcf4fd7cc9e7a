"""S4 and S5: every byte that leaves before the vote is searched for anything that could name a model."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from django.http import HttpResponse

from arena import registry
from arena.models import Battle, Contestant, ContestantRevision
from arena.models.battles import TurnState
from arena.streams import sse
from inference.models import Deployment
from tests import factories
from tests.arena.views_help import Person, url
from tests.factories import outcome

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]

ERROR = "rate_limited"
TOKENS = 60_601


def ring() -> None:
    """Two contestants whose every attribute is a word found nowhere else."""
    for name, model in (("Zebulon Prime", "zxmodel-77"), ("Yttrium Ultra", "yymodel-88")):
        contestant = factories.contestant(
            name,
            model=model,
            system_prompt=f"You are {name.split()[0]}, secretprompt.",
            codename=f"Codename{name[0]}x",
            licence=f"Licence-{model}",
            description=f"describing {model}",
            link=f"https://{model}.example/",
        )
        adapter = factories.adapter(f"quokka-{model}", model)
        registry.revise(contestant, adapter=adapter)
        Deployment.objects.filter(model=model).update(adapter=adapter)


def needles() -> list[bytes]:
    words = {"zebulon", "yttrium", "quokka", "codename", "secretprompt", "org of", "licence-", "describing"}
    for contestant in Contestant.objects.all():
        words |= {contestant.name, contestant.slug, contestant.organisation, contestant.link}
        words |= _ids(contestant.pk)
    for revision in ContestantRevision.objects.all():
        words |= {revision.model} | _ids(revision.pk)
    for deployment in Deployment.objects.all():
        words |= {deployment.upstream_name, deployment.endpoint.base_url}
        words |= _ids(deployment.pk) | _ids(deployment.endpoint_id)
    for battle in Battle.objects.all():
        words |= _ids(battle.conversation_a_id) | _ids(battle.conversation_b_id)
    words |= {ERROR, str(TOKENS), "probability", "sampler"}
    return [word.lower().encode() for word in words if word]


def _ids(value: object) -> set[str]:
    return {str(value), str(value).replace("-", "")}


class Ear:
    """Keeps everything that a person was sent."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def hear(self, response: HttpResponse) -> HttpResponse:
        self.heard.append(response.content)
        self.heard += [f"{name}: {value}".encode() for name, value in response.items()]
        self.heard += [cookie.OutputString().encode() for cookie in response.cookies.values()]
        return response

    def stream(self, turn_id: object) -> None:
        async def listen() -> list[bytes]:
            return [chunk async for chunk in sse.turn_events(turn_id, TurnState.DONE, sse.START)]

        self.heard += asyncio.run(listen())

    def leaks(self) -> list[bytes]:
        everything = b"\n".join(self.heard).lower()
        return [needle for needle in needles() if needle in everything]


def result(text: str = "A neutral answer.", **fields: object):
    made = outcome(text, **fields)
    return made if fields.get("error") else replace(made, tokens_in=TOKENS, tokens_out=TOKENS)


def test_nothing_before_the_vote_names_a_model() -> None:
    ring()
    person, ear = Person(), Ear()
    hear = ear.hear
    hear(person.get("/"))
    hear(person.start(htmx=True))
    hear(person.start())
    battle = Battle.objects.latest("created_at")
    turn = battle.turns.get()
    for htmx in (False, True):
        hear(person.get(url(battle), htmx=htmx))
    _refusals(person, battle, hear)
    hear(person.post(url(battle, "stop/"), htmx=True, side="a"))
    battle = factories.finish(turn, result(), result(error=ERROR))
    hear(person.get(url(battle)))
    hear(person.post(url(battle, "retry/"), htmx=True, side="b"))
    battle = factories.finish(turn, b=result(finish_reason="early"))
    ear.stream(turn.pk)
    hear(person.post(url(battle, "turns/"), htmx=True, prompt="More", key=uuid4()))
    second = battle.turns.get(number=2)
    battle = factories.finish(second, result(), result())
    ear.stream(second.pk)
    _refusals(person, battle, hear)
    hear(person.get(url(battle)))
    hear(person.post(url(battle, "report/"), htmx=True, side="a", turn=1, reason="other"))
    hear(person.get("/me/"))
    assert ear.leaks() == []
    assert hear(person.post(url(battle, "vote/"), htmx=True, choice="a", turn=2)).status_code == 200
    assert {b"zebulon prime", b"yttrium ultra"} <= set(ear.leaks()), "the search itself must find what it looks for"


def _refusals(person: Person, battle: Battle, hear) -> None:
    """Everything that says no."""
    for htmx in (False, True):
        hear(person.post(url(battle, "vote/"), htmx=htmx, choice="x", turn=1))
        hear(person.post(url(battle, "vote/"), htmx=htmx, choice="a", turn=9))
        hear(person.post(url(battle, "turns/"), htmx=htmx, prompt="", key=uuid4()))
        hear(person.post(url(battle, "retry/"), htmx=htmx, side="a"))
        hear(person.post(url(battle, "share/"), htmx=htmx))
        hear(person.post(url(battle, "report/"), htmx=htmx, side="a", turn=7, reason="other"))
    hear(person.get(url(battle, "vote/")))
    hear(person.raw.post(url(battle, "vote/"), {"choice": "a"}))
    hear(Person().get(url(battle)))


def test_a_void_battle_never_names_its_models() -> None:
    ring()
    person, ear = Person(), Ear()
    battle = person.ready()
    Battle.objects.update(state="void", void_reason="abandoned")
    ear.hear(person.get(url(battle)))
    ear.hear(person.post(url(battle, "vote/"), choice="a", turn=1))
    ear.hear(person.get("/me/"))
    ear.stream(battle.turns.get().pk)
    assert ear.leaks() == []


def test_the_stream_is_for_the_owner_only() -> None:
    battle = Person().ready()
    turn = battle.turns.get()
    assert sse._owned_turn(battle.pk, 1, battle.visitor_id) == (turn.pk, "done")
    assert sse._owned_turn(battle.pk, 1, None) is None
    assert sse._owned_turn(battle.pk, 1, factories.visitor().pk) is None
    assert sse._visitor("agon_visitor=forged") is None
