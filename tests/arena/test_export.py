"""The export of /me: whole, streamed in pieces, blind where the battle still is, and only one's own."""

import asyncio
import json
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from arena import appeals, bans, battles, clock, own_data, recovery, visitors, votes
from arena.models import Battle, Contestant, GateBlock, Turn, Visitor
from datasets.models import Release, ReleasedConversation
from tests import factories
from tests.factories import outcome

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


async def fetched(visitor: Visitor, form: str = "json", language: str = "en") -> tuple[str, dict[str, str]]:
    client = AsyncClient()
    client.cookies[visitors.COOKIE] = visitors._signer.sign(visitor.pk.hex)
    response = await client.get(f"/me/export.{form}", headers={"Accept-Language": language})
    assert response.status_code == 200, response.content
    parts = [part async for part in response.streaming_content]
    assert len(parts) > 5
    return b"".join(parts).decode(), dict(response.headers)


def export(visitor: Visitor, form: str = "json", language: str = "en") -> str:
    return asyncio.run(fetched(visitor, form, language))[0]


def life(visitor: Visitor) -> Battle:
    """One of everything."""
    factories.consent(visitor)
    turn = factories.started(visitor, prompt='Why "blue"?\n<b>')
    battle = factories.finish(turn, a=outcome("Because A."), b=outcome("Because Б."))
    votes.cast_vote(battle.pk, "b", 1)
    battles.share(battle)
    battles.report(turn.replies.first(), visitor, "broken", "half a sentence")
    block = GateBlock.objects.create(visitor=visitor, policy="1", category="weapons", rule="r7", prompt="never sent")
    appeals.appeal(block, "it was a joke")
    bans.lift(bans.ban_visitor(visitor, None, "Flood"), None)
    recovery.make(visitor, recovery.mark(visitor))
    release = Release.objects.create(name="one", state="published", policy="1", licence="CC", published_at=clock.now())
    ReleasedConversation.objects.create(release=release, conversation=battle.conversation_b, public_id="f" * 32)
    battle.refresh_from_db()
    return battle


def test_everything_is_in_it_and_it_is_json() -> None:
    visitor = factories.visitor()
    battle = life(visitor)
    text, headers = asyncio.run(fetched(visitor))
    assert headers["Content-Type"] == "application/json" and "no-store" in headers["Cache-Control"]
    assert 'attachment; filename="agon-' in headers["Content-Disposition"]
    data = json.loads(text)
    assert data["has_recovery_code"] is True and data["version"] == 1
    assert [(c["terms_version"], c["publish"]) for c in data["consents"]] == [(1, False)]
    assert data["bans"][0]["reason"] == "Flood" and data["bans"][0]["lifted_at"]
    assert (data["reports"][0]["reason"], data["reports"][0]["text"]) == ("broken", "half a sentence")
    assert data["blocked_prompts"][0]["prompt"] == "never sent"
    assert data["blocked_prompts"][0]["appeal"] | {"at": 0} == {
        "text": "it was a joke",
        "at": 0,
        "answer": None,
        "decision": None,
        "decided_at": None,
    }
    (told,) = data["battles"]
    assert told["models"] == {s: battle.revision(s).contestant.name for s in ("a", "b")}
    assert told["vote"]["choice"] == "b" and told["share_link"].endswith(f"/s/{battle.share_token}/")
    assert told["turns"][0]["prompt"] == 'Why "blue"?\n<b>'
    assert told["turns"][0]["answers"]["b"]["text"] == "Because Б."
    assert told["releases"]["a"] == [] and told["releases"]["b"][0]["id"] == "f" * 32


def test_it_can_be_read_in_ones_language() -> None:
    visitor = factories.visitor()
    battle = life(visitor)
    text = export(visitor, "txt")
    for words in (
        'Why "blue"?',
        "Because A.",
        "A (Contestant",
        "never sent",
        "it was a joke",
        "half a sentence",
        "Flood",
    ):
        assert words in text
    assert "B is better" in text and battle.share_token in text and "release one" in text
    german = export(visitor, "txt", "de")
    assert "Because A." in german and german.splitlines()[1] != text.splitlines()[1]


def test_a_battle_that_is_still_blind_names_nobody_and_has_no_timings() -> None:
    """S4: what the vote has not revealed leaves the server in no file either."""
    visitor = factories.visitor()
    factories.ready(visitor)
    text = export(visitor) + export(visitor, "txt")
    for contestant in Contestant.objects.all():
        for word in (contestant.name, contestant.slug, contestant.organisation, "stub-fast"):
            assert word not in text
    (told,) = json.loads(export(visitor))["battles"]
    assert told["models"] == {"a": None, "b": None} and told["vote"] is None
    assert set(told["turns"][0]["answers"]["a"]) == {"state", "ended", "text"}


def test_a_withheld_answer_is_mentioned_without_its_text() -> None:
    visitor = factories.visitor()
    factories.finish(factories.started(visitor), a=outcome("the recipe", "blocked"), b=outcome("fine"))
    text = export(visitor) + export(visitor, "txt")
    assert "the recipe" not in text and '"ended": "blocked"' in text and "withheld by a rule" in text


def test_it_holds_nothing_of_others_and_nothing_internal() -> None:
    visitor, other = factories.visitor(), factories.visitor()
    life(other)
    battle = factories.ready(visitor)
    Turn.objects.filter(battle=battle).update(group="deadbeef-0123")
    text = export(visitor)
    for internal in ("never sent", "Because", "deadbeef", str(other.pk), str(visitor.pk), "r7", "seed", "probability"):
        assert internal not in text


def test_it_is_read_in_pieces_of_bounded_size(monkeypatch, django_assert_max_num_queries) -> None:
    visitor = factories.visitor()
    ids = {factories.ready(visitor).pk for _ in range(7)}
    monkeypatch.setattr(own_data, "AT_ONCE", 3)
    assert {battle["id"] for battle in json.loads(export(visitor))["battles"]} == set(map(str, ids))
    pieces = own_data.SECTIONS["battles"].pieces(visitor)
    assert [len(piece) for piece in pieces] == [3, 3, 1]
    with django_assert_max_num_queries(5):
        own_data.battles(visitor, pieces[0])


def test_what_is_deleted_while_it_is_sent_is_left_out() -> None:
    visitor = factories.visitor()
    pieces = own_data.SECTIONS["battles"].pieces(visitor)
    battle = factories.ready(visitor)
    Battle.objects.filter(pk=battle.pk).update(visitor=None)
    assert pieces == [] and own_data.battles(visitor, [battle.pk, uuid4()]) == []


def test_a_visitor_without_anything_gets_a_whole_file() -> None:
    data = json.loads(export(factories.visitor()))
    assert [data[name] for name in own_data.SECTIONS] == [[]] * len(own_data.SECTIONS)
    assert "There is no recovery code." in export(factories.visitor(), "txt")


def test_exports_are_limited(settings) -> None:
    settings.LIMIT_PREFIX_BURST, settings.LIMIT_PREFIX_PER_MINUTE = 2, 1
    visitor = factories.visitor()

    async def status() -> int:
        client = AsyncClient()
        client.cookies[visitors.COOKIE] = visitors._signer.sign(visitor.pk.hex)
        return (await client.get("/me/export.json")).status_code

    async def three() -> list[int]:
        await sync_to_async(lambda: None)()
        return [await status() for _ in range(3)]

    assert asyncio.run(three()) == [200, 200, 429]
