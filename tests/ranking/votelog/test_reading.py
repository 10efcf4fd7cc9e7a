"""The public log as files: whole pages, an end that is a publication, names of today, and boards whose digests are in it."""

import gzip
import json
from datetime import timedelta

import pytest
from django.test import Client

from arena import clock
from arena.clock import now
from arena.models import Contestant
from ranking import counts
from ranking.models import BoardSnapshot, LogEntry
from ranking.votelog import chain, names, publication, reading
from tests.ranking import rows
from tests.ranking.publishing import hide, text

pytestmark = pytest.mark.django_db


def fetched(client: Client) -> str:
    """All pages, as the commands on the page fetch them."""
    pages = client.get("/api/v1/log").json()["pages"]
    found = [client.get(f"/api/v1/log/pages/{page}.jsonl") for page in range(1, pages + 1)]
    assert [answer.status_code for answer in found] == [200] * pages
    return "".join(answer.content.decode() for answer in found)


def test_an_empty_log_has_a_page_and_no_lines(client: Client) -> None:
    assert "Nothing has been published yet" in text(client, "/log")
    said = client.get("/api/v1/log").json()
    assert (said["entries"], said["head"], said["pages"], said["publications"]) == (0, chain.GENESIS, 0, [])
    assert client.get("/api/v1/log/pages/1.jsonl").status_code == 404
    assert client.get("/api/v1/log/models").json() == {"models": []}


def test_the_public_log_ends_with_the_last_publication(client: Client, pair: list[Contestant]) -> None:
    before = fetched(client)
    rows.cast(*pair, "a")
    counts.absorb()
    assert LogEntry.objects.count() == 8 and fetched(client) == before
    assert json.loads(before.splitlines()[-1])["kind"] == "publication"
    publication.publish(at_once=True)
    after = fetched(client)
    assert after.startswith(before) and len(after.splitlines()) == 9


def test_pages_one_after_the_other_are_a_sound_chain_with_the_told_head(
    client: Client, pair: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 3)
    walk = chain.Walk()
    for line in fetched(client).splitlines():
        walk.take(line)
    told = client.get("/api/v1/log").json()
    walk.ends(chain.Head(told["entries"], told["head"]))
    assert (walk.faults, told["pages"], told["entries"]) == ([], 3, 7)
    assert client.get("/api/v1/log/pages/4.jsonl").status_code == 404
    assert client.get("/api/v1/log/pages/0.jsonl").status_code == 404
    first = client.get("/api/v1/log/pages/1.jsonl").content
    rows.ballot(*pair, wins=5)
    publication.publish(at_once=True)
    assert client.get("/api/v1/log/pages/1.jsonl").content == first, "a full page never changes"


def test_compressed_pages_put_together_are_the_log(
    client: Client, pair: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 4)
    parts = [client.get(f"/api/v1/log/pages/{page}.jsonl.gz").content for page in (1, 2)]
    assert gzip.decompress(b"".join(parts)).decode() == fetched(client)
    assert parts[0] == client.get("/api/v1/log/pages/1.jsonl.gz").content


def test_a_page_that_has_not_changed_is_not_sent_again(client: Client, pair: list[Contestant]) -> None:
    answer = client.get("/api/v1/log/pages/1.jsonl")
    again = client.get("/api/v1/log/pages/1.jsonl", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_boards_carry_the_digest_that_their_publication_told(client: Client, pair: list[Contestant]) -> None:
    entry = client.get("/api/v1/log").json()["publications"][0]
    said = client.get(f"/api/v1/log/boards/{entry['entry']}").json()
    assert said["hash"] == client.get("/api/v1/log").json()["head"]
    assert [chain.digest(chain.encode(board)) for board in said["boards"]] == [entry["boards"][0]["sha256"]]
    (board,) = said["boards"]
    ids = [names.contestant(one.pk) for one in sorted(pair, key=lambda one: one.pk)]
    assert sorted(model["model"] for model in board["board"]["models"]) == sorted(ids)
    assert json.loads(fetched(client).splitlines()[-1])["models"] == ids
    assert client.get(f"/api/v1/log/boards/{entry['entry'] - 1}").status_code == 404


def test_no_document_holds_a_key_of_ours(client: Client, pair: list[Contestant]) -> None:
    entry = LogEntry.objects.public_end()
    said = fetched(client) + client.get(f"/api/v1/log/boards/{entry}").content.decode()
    for one in pair:
        assert str(one.pk) not in said and one.name not in said
    assert str(BoardSnapshot.objects.get().pk) not in said


def test_a_document_holds_what_the_votes_say_and_nothing_of_operators(pair: list[Contestant]) -> None:
    made = BoardSnapshot.objects.published().latest("published_at")
    assert made.board["planning"] is not None and made.log_entry
    found = reading.boards(made.log_entry)
    assert found and not found["boards"][0]["board"].keys() & {
        "planning",
        "service",
        "sampling",
        "marker",
        "fingerprint",
    }


def test_a_codename_hides_in_the_log_until_its_last_day(
    client: Client, pair: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(pair[0])
    everything = [fetched(client), text(client, "/log"), client.get("/api/v1/log/models").content.decode()]
    everything.append(client.get(f"/api/v1/log/boards/{LogEntry.objects.public_end()}").content.decode())
    for secret in ("Secret Nova", "secret-nova", "Hidden Labs", "Proprietary-X"):
        assert all(secret not in one for one in everything)
    before = {one["id"]: one["name"] for one in client.get("/api/v1/log/models").json()["models"]}
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(days=40))
    monkeypatch.setattr("arena.models.contestants.now", lambda: now() + timedelta(days=40))
    after = {one["id"]: one["name"] for one in client.get("/api/v1/log/models").json()["models"]}
    key = names.contestant(pair[0].pk)
    assert (before[key], after[key]) == ("Olive Branch", "Secret Nova 9")


def test_the_page_says_head_count_and_what_to_type(client: Client, pair: list[Contestant]) -> None:
    said = text(client, "/log")
    told = client.get("/api/v1/log").json()
    assert told["head"] in said and "/api/v1/log/pages/[1-1].jsonl" in said
    assert f"/api/v1/log/boards/{told['entries']}" in said
