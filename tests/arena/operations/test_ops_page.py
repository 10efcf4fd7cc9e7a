"""/ops: for operators only, right in every state, and nothing in it that finds a person."""

import json
import re
from typing import Any

import pytest
import redis
from django.test import Client

from arena.models import Visitor
from arena.operations import heartbeat, hour, now, page, queues, snapshot
from arena.operations.computing import message
from tests import factories
from tests.arena.operations.help import ENGINE, PROMPT, busy, staff
from tests.arena.operations.help import told as figures

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


def text_of(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def change(valkey: redis.Redis, **parts: Any) -> None:
    told = snapshot.read(valkey)
    assert told
    snapshot.store(told.data | parts, valkey)


def test_everybody_else_gets_the_404_of_a_wrong_address() -> None:
    nothing = Client().get("/no-such-address").content
    for client in (Client(), staff("a", may=False), staff("b", is_staff=False)):
        for path in ("/ops", "/ops/"):
            response = client.get(path)
            assert (response.status_code, response.content) == (404, nothing)
    assert staff("c").post("/ops").status_code == 405


def test_it_shows_what_happens(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    busy(valkey, monkeypatch)
    response = staff().get("/ops")
    shown = text_of(response)
    assert response.status_code == 200 and "no-store" in response["Cache-Control"]
    for words in ("stub up 2 1 50.0 40 % 0.90 1.25 of 5.00", "stub-fast on stub 8 1", "timeout 1", "1 of 600 turns"):
        assert words in shown, words
    assert "worker-long never" in shown.replace("silent ", "") or "worker-long silent never" in shown
    assert "A process is silent" not in shown, "worker-long is not vital"
    assert re.search(r"valkey pid 1 alive", shown)


def test_it_shows_whom_each_scheduler_serves(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    busy(valkey, monkeypatch)
    shown = text_of(staff().get("/ops"))
    (name,) = [row["name"] for row in ENGINE["queue"]["rows"]]
    assert "stub · vtc_locality 1" in shown
    assert f"{name} k1-00112233 1,234 56,790 4,321 7 11 0.13 s 2.50 s" in shown
    assert re.search(r"stub-fast on stub \(\S+\) 1 .* exam:5 - 77 – – 1 – – –", shown), (
        "the worker's own, for an endpoint without one"
    )


def test_it_shows_how_the_ranking_gets_on(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    busy(valkey, monkeypatch)
    client = staff()
    shown = text_of(client.get("/ops"))
    for words in (
        "1 board could not be fitted and stays what it was live · code ( 3 times, first",
        "It took 2.5 s Boards that it looked at 12 fitted anew 2 failed 1 left for the next run 4",
        "Killed or failed before it 1",
        "Lines 3 of them public 0",
        "Suspicions to decide on swarm 2",
    ):
        assert words.replace("( ", "(") in shown.replace("( ", "("), words
    assert re.search(r"Last run (just now|.{3,20} ago) done", shown)
    assert re.search(r"Next publication \d{4}-\d\d-\d\d \d\d:\d\d", shown)
    for words in ("The vote log is behind", "The live boards are not published", "are being sealed", "See them"):
        assert words not in shown
    ranking = figures(valkey)["ranking"]
    shown = text_of(client.get("/ops"))
    for words in ("The vote log is behind: the oldest vote", "The live boards are not published: a moment"):
        assert words in shown, words
    change(valkey, ranking=ranking | {"log": ranking["log"] | {"earlier": 4000}, "run": None, "suspicions": {}})
    shown = text_of(client.get("/ops"))
    for words in ("are being sealed: 4,000 so far", "No run yet.", "Suspicions to decide on None."):
        assert words in shown, words
    change(valkey, ranking=None)
    assert "Suspicions to decide on" not in text_of(client.get("/ops")), (
        "figures of the version before, right after an upgrade"
    )


def test_an_engines_clients_are_read_with_care() -> None:
    visitor = "0199e5a0-0000-7000-8000-000000000001"
    row = {
        "client": f"visitor:{visitor}",
        "group": "k1-0123456789abcdef",
        "service": 1e20,
        "waiting": True,
        "counter": "7",
    }
    told = queues.parse(json.dumps({"clients": [row] * 60, "policy": "p" * 99, "more": 1}).encode())
    assert len(told["rows"]) == 50 and len(told["policy"]) == 40
    assert told["rows"][0]["name"] == hour.client_name(visitor)["name"], "the name of the hour's table"
    assert {told["rows"][0][key] for key in queues.NUMBERS} == {None}
    assert told["rows"][0]["group"] == "k1-01234567" and visitor not in json.dumps(told)
    for garbage in (b"", b"[]", b"{}", b'{"clients": [7]}', b'{"clients": [{"client": 7}]}', b"\xff"):
        with pytest.raises(ValueError):
            queues.parse(garbage)


def test_a_fragment_is_the_figures_alone(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    busy(valkey, monkeypatch)
    html = staff().get("/ops", headers={"HX-Request": "true"}).content.decode().strip()
    assert html.startswith('<div id="ops"') and "<html" not in html and 'data-age="' in html


def test_no_person_can_be_found_with_it(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    person = busy(valkey, monkeypatch)
    html = staff().get("/ops").content.decode()
    told = snapshot.read(valkey)
    assert told and [row["cost"] for row in told.data["hour"]["clients"]] == [35 + 2 * 49]
    (name,) = [row["name"] for row in told.data["hour"]["clients"]]
    assert name in html and len(name) == 10
    for visitor in Visitor.objects.all():
        assert str(visitor.pk)[:8] not in html and visitor.pk.hex[:10] not in html
    assert PROMPT not in html and str(person.visitor.pk) not in json.dumps(told.data)
    assert "clients" not in json.dumps(message(told.data)), "nothing per client over the socket"


def test_the_pseudonym_is_keyed(settings: Any) -> None:
    visitor = str(factories.visitor().pk)
    first = hour.client_name(visitor)
    settings.SECRET_KEY = "another key" * 5
    assert hour.client_name(visitor) != first
    assert hour.group_name("k1-0123456789abcdef") == {"name": "k1-01234567"} and hour.group_name(None)["name"] == "-"


def test_only_the_fifty_most_served_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    from arena import clock
    from arena.models import Reply

    monkeypatch.setattr(hour, "TOP", 3)
    factories.ring()
    for number in range(5):
        turn = factories.started()
        factories.finish(turn)
        Reply.objects.filter(turn=turn).update(tokens_in=number, tokens_out=10)
    rows = hour.figures({})["clients"]
    assert [row["cost"] for row in rows] == [48, 46, 44]
    later = clock.now() + hour.HOUR
    monkeypatch.setattr(clock, "now", lambda: later)
    assert hour.figures({})["clients"] == []


def test_states_an_operator_must_see(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    busy(valkey, monkeypatch)
    client = staff()
    change(valkey, engines=[ENGINE, {"name": "gpu-2", "kind": "vllm", "state": "down"}])
    assert "1 endpoint is down gpu-2." in text_of(client.get("/ops"))
    change(valkey, engines=[], spending=[])
    assert "No endpoint is enabled" in text_of(client.get("/ops"))
    change(valkey, turns={"waiting": 41, "running": 600, "oldest_s": 93.0}, paused=True)
    shown = text_of(client.get("/ops"))
    assert "41 turns wait for a worker, the oldest open one for 93 seconds." in shown and "are paused" in shown
    (name,) = [one for one in valkey.smembers(heartbeat.INDEX) if one.startswith(b"beat@")]
    valkey.delete(heartbeat.PREFIX + name.decode())
    assert "A process is silent beat." in text_of(client.get("/ops"))
    spending = [{"endpoint": "stub", "cost": 5.2, "cap": 5.0}]
    change(valkey, engines=[ENGINE], spending=spending)
    assert "cap reached" in text_of(client.get("/ops"))


def test_empty_old_and_unreachable(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    client = staff()
    assert "No figures yet" in text_of(client.get("/ops"))
    busy(valkey, monkeypatch)
    assert "seconds old" not in text_of(client.get("/ops"))
    valkey.expire(snapshot.KEY, snapshot.KEPT_S - 100)
    shown = client.get("/ops").content.decode()
    assert "These figures are 100 seconds old" in shown and 'data-age="100"' in shown
    hours = dict.fromkeys(hour.hours({}), [0, 0])
    told = snapshot.read(valkey)
    assert told
    change(valkey, hour=told.data["hour"] | {"hours": hours, "clients": [], "latency": {}, "failures": []})
    shown = text_of(client.get("/ops"))
    for words in ("No battle and no vote", "Nobody was served", "No answer ended", "None in the last hour"):
        assert words in shown
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    response = client.get("/ops")
    assert response.status_code == 503 and "Valkey cannot be reached" in text_of(response)


def test_whole_hours_are_counted_once_and_bars_are_to_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    known = hour.hours({})
    assert len(known) == hour.HOURS
    old = sorted(known)[3]
    counted: list[object] = []
    monkeypatch.setattr(hour, "_hour", lambda start: counted.append(start) or [1, 1])
    again = hour.hours(known | {old: [8, 4]})
    assert len(counted) == 2 and again[old] == [8, 4]
    chart = page.chart(again)
    tall = [row for row in chart["rows"] if row["battles"] == 8][0]
    assert (tall["h"], tall["h2"], tall["y"], chart["base"]) == ("110.0", "55.0", "14.0", "124")


def test_rates_come_from_two_ticks(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    busy(valkey, monkeypatch)
    told = snapshot.read(valkey)
    assert told and told.data["engines"][0]["tokens_per_s"] == 50.0


def test_what_an_engine_tells_is_read_and_nonsense_is_not() -> None:
    from arena.operations.engines import parse
    from inference.engine.metrics import Metrics
    from inference.scheduler.figures import Buckets

    figures = {
        "core_pages": 10,
        "core_pages_used": 4,
        "waiting_units": 2,
        "service_jain_index": 0.5,
        "counter_spread": 7,
    }
    told = Metrics().text(figures, {}, Buckets((1.0,)))
    assert parse(told) == {"pages": 10, "pages_used": 4, "waiting": 2, "fairness": 0.5, "spread": 7}
    vllm = 'vllm:num_requests_running{model="a"} 2\nvllm:num_requests_running{model="b"} 3\n'
    assert parse(vllm) == {"running": 5}
    with pytest.raises(ValueError):
        parse("<html>502</html>")


def test_a_dead_process_that_was_replaced_is_no_news(valkey: redis.Redis) -> None:
    beats = [
        heartbeat.Beat("web", "h:1", 90.0),
        heartbeat.Beat("web", "h:2", 1.0),
        heartbeat.Beat("web", "other:1", 90.0),
    ]
    assert heartbeat._not_replaced(beats) == beats[1:]


def test_versions_and_disk_are_told(valkey: redis.Redis) -> None:
    versions = now.versions(valkey)
    assert set(versions) == {"agon", "python", "django", "postgresql", "valkey"}
    assert all(re.match(r"\d+\.\d+", version) for version in versions.values())
    assert 0 < now.disk()["free_bytes"] < now.disk()["size_bytes"]


@pytest.mark.parametrize("right", [True, False])
def test_an_engine_is_asked_with_its_key(right: bool) -> None:
    from asgiref.sync import async_to_sync

    from arena.operations import engines
    from inference.models import EngineEndpoint
    from tests.stub_engine import StubEngine

    with StubEngine(key="stub-key-0123456789") as stub:
        endpoint = EngineEndpoint(name="e", kind="engine", base_url=f"{stub.url}/v1", has_scheduler=True)
        endpoint.set_key("stub-key-0123456789" if right else "another-key-0123456")
        (row,) = async_to_sync(engines.ask_all)([endpoint])
    assert row["state"] == "up"
    assert row.get("pages_used") == (25 if right else None)
