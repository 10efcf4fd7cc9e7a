"""What is remembered of single clients, and the pace of the queue."""

from __future__ import annotations

import pytest

from inference.scheduler.backlog import Backlog
from inference.scheduler.ledger import Ledger, client_figures
from inference.scheduler.pace import MAX_INTERVAL_S, PRIOR_S, Pace
from inference.scheduler.unit import Unit
from tests.inference.scheduler.driving import request


def test_service_and_waits_add_up() -> None:
    ledger = Ledger(10)
    ledger.admit("a", "net", 2.0)
    ledger.serve("a", 30.0)
    ledger.admit("a", "home", 4.0)
    ledger.serve("a", 2.0)
    ((client, line),) = ledger.most_served(5)
    assert (client, line.group, line.service, line.admissions) == ("a", "home", 32.0, 2)
    assert (line.waited_s, line.longest_wait_s) == (6.0, 4.0)
    assert ledger.service() == {"a": 32.0} and "a" in ledger and "b" not in ledger


def test_the_least_recently_served_are_forgotten() -> None:
    ledger = Ledger(3)
    for client in ("a", "b", "c", "a", "d"):
        ledger.serve(client, 1.0)
    assert list(ledger.service()) == ["c", "a", "d"]


def test_the_most_served_come_first() -> None:
    ledger = Ledger(10)
    for i, client in enumerate("abcde"):
        ledger.serve(client, float(i * 7 % 5))
    assert [client for client, _ in ledger.most_served(3)] == ["c", "e", "b"]


def test_who_waits_unserved_is_told_after_the_served() -> None:
    ledger, backlog = Ledger(10), Backlog()
    ledger.serve("served", 1.0)
    for i, (client, group) in enumerate([("x", "net"), ("y", ""), ("y", ""), ("served", "")]):
        backlog.add(Unit([request(client, group)], (float(i), i), number=i))
    told = client_figures(ledger, backlog, lambda client: None, 9)
    assert [(c.client, c.group, c.waiting, c.counter) for c in told] == [
        ("served", "", 1, None),
        ("y", "", 2, None),
        ("x", "net", 1, None),
    ]
    assert [c.mean_wait_s for c in told] == [0.0, 0.0, 0.0]
    assert [c.client for c in client_figures(ledger, backlog, lambda client: (1.0, 2.0), 2)] == ["served", "y"]


def test_the_pace_is_a_smoothed_interval_and_long_pauses_do_not_count() -> None:
    pace = Pace()
    assert pace.eta_s(3) == 3 * PRIOR_S
    for i in range(30):
        pace.admission(0.5 * i)
    assert pace.eta_s(4) == pytest.approx(2.0)
    pace.admission(0.5 * 29 + MAX_INTERVAL_S + 1)
    assert pace.eta_s(4) == pytest.approx(2.0)
