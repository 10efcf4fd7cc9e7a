"""What people and monitors are told while the database is away or takes no writes."""

import pytest
from django.db import InternalError, OperationalError, connection
from django.test import Client
from psycopg.errors import ReadOnlySqlTransaction

from arena import address_keys, pages, visitors
from arena.models import Consent, Message, Turn, Visitor
from arena.outages import is_outage
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    """Errors become answers, as they do outside of tests."""
    return Client(raise_request_exception=False)


def test_a_database_that_is_away_is_an_outage_not_a_bug(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("ranking.pages.published.current", away)
    page = browser.get("/leaderboard.csv")
    assert page.status_code == browser.get("/api/v1/leaderboard").status_code == 503
    assert page["Retry-After"] == "30"
    assert "Try again in a minute" in page.content.decode() and "refused" not in page.content.decode()
    assert browser.get("/api/v1/leaderboard")["Content-Type"] == "application/problem+json"


def test_the_api_says_so_itself_also_when_it_cannot_name_the_address(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("connection refused")

    for place in (
        "ranking.pages.published.current",
        "arena.address_keys._newest",
    ):  # the second stands before the limits
        address_keys.forget()
        monkeypatch.setattr(place, away)
        answer = browser.get("/api/v1/leaderboard")
        assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json"), place
        assert (answer["Retry-After"], answer["Access-Control-Allow-Origin"]) == ("30", "*"), place
        assert answer["Cache-Control"] == "no-store" and b"refused" not in answer.content


def test_any_other_failure_stays_a_500(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise InternalError("cache lookup failed")

    monkeypatch.setattr("ranking.pages.published.current", broken)
    assert browser.get("/leaderboard.csv").status_code == 500


@pytest.mark.django_db(transaction=True)
def test_a_read_only_database_takes_no_prompt_and_says_so(browser: Client, valkey: object) -> None:
    person = factories.visitor()
    factories.ring()
    pages.install()
    browser.cookies[visitors.COOKIE] = visitors._signer.sign(person.pk.hex)
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    words = {"prompt": "Why?", "key": "5a9c7a0e-0f5e-4c5e-9a55-000000000001", "agree_terms": "on"}
    try:
        answer = browser.post("/battles/", words)
        assert answer.status_code == 503
        assert browser.get("/methodology").status_code == 200, "pages are read as before"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET default_transaction_read_only")
    assert Turn.objects.count() == Message.objects.count() == Consent.objects.count() == 0, "nothing half-written"


def test_the_cause_is_looked_at_not_the_words() -> None:
    error = InternalError("cannot execute INSERT in a read-only transaction")
    assert not is_outage(error)
    error.__cause__ = ReadOnlySqlTransaction()
    assert is_outage(error)


def test_the_process_s_own_check_asks_no_database(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    browser.cookies[visitors.COOKIE] = visitors._signer.sign(factories.visitor().pk.hex)

    def away(*_: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(Visitor.objects, "filter", away)
    assert browser.get("/healthz").status_code == 200
