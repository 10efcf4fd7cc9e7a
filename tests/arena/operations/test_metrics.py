"""/metrics: who may read it, that a scraper can, that every metric is documented, and what no label may hold."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from arena import clock
from arena.models import Visitor
from arena.operations import access, exposition, snapshot
from arena.operations.catalogue import CATALOGUE, MOST_SERIES
from arena.operations.exposition import Page
from tests.arena.operations.help import PROMPT, busy, staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]
DOCS = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "tries", access.Tries())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def scrape(settings: Any, **headers: str) -> str:
    response = Client().get("/metrics", headers=bearer(settings.METRICS_TOKEN) | headers)
    assert response.status_code == 200
    return response.content.decode()


def values(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in prometheus(text)
        for sample in family.samples
    }


def test_strangers_find_nothing_here_wherever_they_are(settings, valkey: redis.Redis) -> None:
    nothing = Client().get("/no-such-address")
    for client in (Client(), staff("plain", may=False), staff("visitor", is_staff=False)):
        for remote in ("127.0.0.1", "::1", "203.0.113.7"):
            response = client.get("/metrics", REMOTE_ADDR=remote)
            assert (response.status_code, response.content) == (404, nothing.content), remote
    for wrong in ("", "x", settings.METRICS_TOKEN[:-1], settings.METRICS_TOKEN + "x"):
        assert Client().get("/metrics", headers=bearer(wrong)).status_code == 404
    assert Client().get("/metrics", headers={"Authorization": f"Basic {settings.METRICS_TOKEN}"}).status_code == 404
    assert Client().post("/metrics").status_code == 405


def test_the_token_and_the_permission_open_it(settings) -> None:
    scrape(settings)
    assert staff().get("/metrics").status_code == 200
    settings.METRICS_TOKEN = ""
    assert Client().get("/metrics", headers=bearer("")).status_code == 404
    assert staff("second").get("/metrics").status_code == 200


def test_guessing_is_bounded_per_address_and_then_even_the_right_token_says_nothing(settings) -> None:
    settings.METRICS_TRIES = 3
    for number in range(5):
        assert Client().get("/metrics", headers=bearer(f"guess {number}")).status_code == 404
    assert Client().get("/metrics", headers=bearer(settings.METRICS_TOKEN)).status_code == 404
    elsewhere = Client(REMOTE_ADDR="203.0.113.7")
    assert elsewhere.get("/metrics", headers=bearer(settings.METRICS_TOKEN)).status_code == 200
    access.tries.until = 0.0  # a minute later
    assert Client().get("/metrics", headers=bearer(settings.METRICS_TOKEN)).status_code == 200


def test_remembered_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    monkeypatch.setattr(access, "MOST_PREFIXES", 5)
    settings.METRICS_TRIES = 2
    for number in range(50):
        access.tries.wrong(f"10.0.0.{number}")
    assert len(access.tries.counts) == 6
    assert access.tries.spent("10.0.1.1") and not access.tries.spent("10.0.0.1")


def test_both_formats_parse_and_hold_every_documented_metric(
    settings, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy(valkey, monkeypatch)
    text = scrape(settings)
    families = {family.name: family for family in prometheus(text)}
    told = {f"{name}_total" if family.type == "counter" else name for name, family in families.items()}
    assert told == set(CATALOGUE)
    for name, described in CATALOGUE.items():
        family = families[name.removesuffix("_total")]
        assert (family.type, family.documentation) == (described.kind, described.help)
        assert all(set(sample.labels) - {"le"} == set(described.labels) for sample in family.samples)
    response = Client().get("/metrics", headers=bearer(settings.METRICS_TOKEN) | OPENMETRICS)
    assert response["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert len(list(openmetrics(response.content.decode()))) == len(CATALOGUE)


def test_the_figures_are_right(settings, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    busy(valkey, monkeypatch)
    found = values(scrape(settings))
    on_stub = "stub-fast on stub"
    assert found["agon_battles_total",] == 5 and found["agon_turns_total",] == 5
    assert found["agon_votes_total", "a", "yes"] == 3
    assert found["agon_replies_total", "", "stop", "done"] == 7
    assert found["agon_replies_total", "timeout", "", "failed"] == 1
    assert found["agon_gate_blocks_total", "weapons"] == 1
    assert found["agon_tokens_total", on_stub, "in"] == 35 and found["agon_tokens_total", on_stub, "out"] == 49
    assert found["agon_cost_total", on_stub] == pytest.approx((35 * 1 + 49 * 2) / 1e6)
    assert found["agon_first_token_seconds_count", on_stub] == found["agon_reply_seconds_count", on_stub] == 7
    assert found["agon_first_token_seconds_bucket", on_stub, "+Inf"] == 7
    assert found["agon_open_turns", "waiting"] == 1
    assert found["agon_spend_today", "stub"] == 1.25 and found["agon_spend_cap", "stub"] == 5
    assert found["agon_endpoint_pages", "stub", "used"] == 40 and found["agon_endpoint_pages", "stub", "free"] == 60
    away = {reason: found["agon_engine_turned_away_total", "stub", reason] for reason in ("refused", "shed", "expired")}
    assert away == {"refused": 5, "shed": 4, "expired": 3}
    assert [found["agon_endpoint_adapters", "stub", state] for state in ("registered", "resident")] == [2000, 30]
    events = [found["agon_engine_adapters_total", "stub", event] for event in ("loaded", "evicted", "failed")]
    assert events == [90, 60, 1]
    assert found["agon_dispatch_requests", on_stub, "running"] == 2
    assert found["agon_jobs", "failed"] == 1
    assert found["agon_figures_age_seconds",] < 5


def test_the_rankings_figures_are_right_and_age_by_themselves(
    settings, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy(valkey, monkeypatch)
    found = values(scrape(settings))
    assert found["agon_suspicions_open", "swarm"] == 2 and found["agon_fit_seconds",] == 2.5
    assert [found["agon_boards", state] for state in ("known", "failed", "waiting")] == [1, 1, 4]
    assert [found["agon_log_lines", state] for state in ("sealed", "public", "hidden")] == [3, 0, 0]
    assert found["agon_fit_failures",] == found["agon_oldest_uncounted_seconds",] == 0
    assert found["agon_publication_overdue_seconds",] == 0
    told, later = snapshot.read(valkey), clock.now() + timedelta(seconds=100)
    assert told
    told.data["ranking"]["run"] |= {"state": "killed", "again": 2}
    for part, name in (("publication", "overdue"), ("log", "oldest")):
        told.data["ranking"][part][name] = clock.now().isoformat()
    snapshot.store(told.data, valkey)
    monkeypatch.setattr(clock, "now", lambda: later)
    again = values(scrape(settings))
    for name in ("agon_fit_age_seconds", "agon_publication_age_seconds"):
        assert again[name,] == pytest.approx(found[name,] + 100, abs=1)
    for name in ("agon_publication_overdue_seconds", "agon_oldest_uncounted_seconds"):
        assert again[name,] == pytest.approx(100, abs=1)
    assert again["agon_fit_failures",] == 3


def test_no_label_holds_a_person_or_a_text(settings, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    person = busy(valkey, monkeypatch)
    told = (scrape(settings) + str(valkey.get(snapshot.KEY))).lower()
    assert PROMPT not in told and "127.0.0" not in told
    ids = {str(visitor.pk) for visitor in Visitor.objects.all()} | {str(person.visitor.pk)}
    assert not [one for one in ids if one in told or one.replace("-", "") in told]


def test_series_are_bounded() -> None:
    page = Page()
    for number in range(MOST_SERIES + 100):
        page.set("agon_queue_length", (f"q{number}",), number)
    assert len(page.families["agon_queue_length"].samples) == MOST_SERIES


def test_deployments_that_are_gone_share_one_series() -> None:
    counted = [(("tokens", f"gone-{number}", "in"), 2.0) for number in range(100)]
    page = Page()
    exposition._of_counters(page, {"deployments": {}, "counters": counted})
    (sample,) = page.families["agon_tokens_total"].samples
    assert (sample.labels["deployment"], sample.value) == ("none", 200.0)


def test_a_scrape_asks_the_database_nothing(settings, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    busy(valkey, monkeypatch)
    with CaptureQueriesContext(connection) as queries:
        scrape(settings)
    assert len(queries) == 0


def test_before_the_first_tick_and_without_valkey_the_answer_is_still_an_answer(settings) -> None:
    assert "agon_figures_age_seconds" not in scrape(settings)
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    assert Client().get("/metrics", headers=bearer(settings.METRICS_TOKEN)).status_code == 503


def test_the_table_in_the_documentation_is_the_catalogue() -> None:
    rows = re.findall(r"^\| `(agon_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    documented = {name: (kind, labels.strip(), words) for name, kind, labels, words in rows}
    assert documented == {one.name: (one.kind, ", ".join(one.labels), one.help) for one in CATALOGUE.values()}


def test_alerts_speak_of_metrics_that_exist() -> None:
    alerts = DOCS.read_text().split("### Alerts")[1].split("## Logs")[0]
    named = set(re.findall(r"\bagon_\w+", alerts))
    assert named and named <= set(CATALOGUE)
