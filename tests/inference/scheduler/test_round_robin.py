"""What round-robin promises, as examples a reader can follow. The invariants are in test_round_robin_properties.py."""

from __future__ import annotations

import pytest

from inference.scheduler.pace import PRIOR_S
from inference.scheduler.protocol import PAIR_HOLD_S, Removal, ServiceClass
from inference.scheduler.registry import make_scheduler
from tests.inference.scheduler.driving import admit, arrive, drain, pair, request


def test_clients_of_one_group_take_turns() -> None:
    s = make_scheduler("round_robin")
    arrive(s, *(request("a", "g") for _ in range(4)), *(request("b", "g") for _ in range(2)))
    assert drain(s) == ["a", "b", "a", "b", "a", "a"]


def test_fresh_cookies_earn_no_extra_share() -> None:
    s = make_scheduler("round_robin")
    arrive(s, *(request(f"cookie{i}", "crowd") for i in range(6)), *(request("quiet", "home") for _ in range(3)))
    assert drain(s)[:6] == ["cookie0", "quiet", "cookie1", "quiet", "cookie2", "quiet"]


def test_jobs_without_a_group_do_not_share_one() -> None:
    s = make_scheduler("round_robin")
    arrive(s, request("job1"), request("job1"), request("job2"))
    assert drain(s) == ["job1", "job2", "job1"]


def test_order_sorts_inside_one_client_only() -> None:
    s = make_scheduler("round_robin")
    late, early = request("a", order=9.0), request("a", order=1.0)
    other = request("b", order=0.0)
    arrive(s, late, early, other)
    assert [admit(s)[0].id for _ in range(3)] == [early.id, other.id, late.id]


def test_default_order_is_arrival_time() -> None:
    s = make_scheduler("round_robin")
    second, first = request("a", arrival=2.0), request("a", arrival=1.0)
    arrive(s, second, first)
    assert [admit(s)[0].id for _ in range(2)] == [first.id, second.id]


def test_classes_share_by_weight() -> None:
    s = make_scheduler("round_robin", max_waiting_per_client=100)
    for klass in ServiceClass:
        arrive(s, *(request(klass.value, klass=klass) for _ in range(60)))
    first = drain(s)[:60]
    assert {k: first.count(k) for k in ("battle", "exam", "simulation")} == {"battle": 40, "exam": 10, "simulation": 10}


def test_a_class_that_was_idle_earns_no_credit() -> None:
    s = make_scheduler("round_robin", max_waiting_per_client=100)
    arrive(s, *(request("battles") for _ in range(60)))
    for _ in range(40):
        admit(s)
    arrive(s, *(request("exam", klass=ServiceClass.EXAM) for _ in range(20)))
    assert drain(s)[:10].count("exam") <= 3


def test_a_pair_goes_together() -> None:
    s = make_scheduler("round_robin")
    left, right = pair("a")
    arrive(s, left, request("b"), right)
    assert [r.id for r in admit(s)] != []
    assert {r.id for unit in (admit(s),) for r in unit} in ({left.id, right.id},)


def test_half_a_pair_waits_50_ms_then_goes_alone() -> None:
    s = make_scheduler("round_robin")
    left, right = pair("a")
    arrive(s, left, now=10.0)
    assert s.waiting() == 1
    assert admit(s, now=10.0) == ()
    assert s.wake_at(10.0) == 10.0 + PAIR_HOLD_S
    assert admit(s, now=10.0 + PAIR_HOLD_S) == (left,)
    assert s.wake_at(10.1) is None
    arrive(s, right, now=10.1)
    assert admit(s, now=10.1) == (right,), "the other half runs already: nothing to wait for"


def test_a_held_half_does_not_hold_up_others() -> None:
    s = make_scheduler("round_robin")
    left, _ = pair("a")
    behind, other = request("a"), request("b")
    arrive(s, left, behind, other)
    assert admit(s, now=0.0) == (behind,)
    assert admit(s, now=0.0) == (other,)


def test_stopping_one_side_lets_the_other_go() -> None:
    s = make_scheduler("round_robin")
    left, right = pair("a")
    arrive(s, left, right)
    s.removed(left, Removal.ABORTED)
    assert admit(s, now=0.0) == (right,)
    assert s.waiting() == 0


def test_a_pair_that_never_fits_goes_one_by_one_in_an_idle_engine() -> None:
    s = make_scheduler("round_robin")
    left, right = pair("a")
    arrive(s, left, right, request("b"))
    assert admit(s, slots=1) == (left,)
    assert admit(s, slots=1) == (right,), "its turn is spent: the second half stands in front"
    s.finished(left)


def test_a_pair_waits_for_room_while_others_run() -> None:
    s = make_scheduler("round_robin")
    arrive(s, request("b"))
    running = admit(s)
    left, right = pair("a")
    small = request("b")
    arrive(s, left, right, small)
    assert admit(s, slots=1) == (), "nothing is skipped, and the pair is not torn"
    s.finished(running[0])
    assert admit(s) == (left, right)


def test_the_waiting_bound_counts_a_pair_once() -> None:
    s = make_scheduler("round_robin", max_waiting_per_client=2)
    arrive(s, *pair("a"), *pair("a"))
    answer = s.arrive(request("a"), 0.0)
    assert not answer.accepted
    assert answer.retry_after_s >= 1.0
    assert "2 requests" in answer.reason
    assert s.arrive(request("b"), 0.0).accepted


def test_a_late_second_half_is_not_refused() -> None:
    s = make_scheduler("round_robin", max_waiting_per_client=1, max_waiting=1)
    left, right = pair("a")
    arrive(s, left, now=0.0)
    assert admit(s, now=1.0) == (left,)
    arrive(s, request("a"))
    assert not s.arrive(request("a"), 1.0).accepted
    assert s.arrive(right, 1.0).accepted, "its pair has been accepted as one already"


def test_changing_networks_earns_no_second_bound() -> None:
    s = make_scheduler("round_robin", max_waiting_per_client=1)
    arrive(s, request("a", "home"))
    assert not s.arrive(request("a", "phone"), 0.0).accepted


def test_a_full_queue_sheds_the_largest_group_then_its_largest_client() -> None:
    s = make_scheduler("round_robin", max_waiting=5)
    arrive(s, request("x", "crowd", arrival=0), request("y", "crowd", arrival=1), request("q", "quiet", arrival=2))
    kept, newest = request("x", "crowd", arrival=3), request("x", "crowd", arrival=4)
    arrive(s, kept, newest)
    answer = s.arrive(request("new", "other", arrival=5), 1.0)
    assert answer.accepted
    assert answer.shed == (newest,)
    assert s.waiting() == 5


def test_a_shed_pair_leaves_whole() -> None:
    s = make_scheduler("round_robin", max_waiting=2)
    first, second = pair("a"), pair("a")
    arrive(s, *first, *second)
    assert s.arrive(request("b"), 0.0).shed == second


def test_the_flooder_itself_is_refused_by_a_full_queue() -> None:
    s = make_scheduler("round_robin", max_waiting=4, max_waiting_per_client=9)
    arrive(s, *(request("flood", "g") for _ in range(3)), request("quiet", "h"))
    answer = s.arrive(request("flood", "g"), 0.0)
    assert (answer.accepted, answer.shed) == (False, ())
    assert "full" in answer.reason


def test_preempted_goes_first_and_is_charged_once() -> None:
    s = make_scheduler("round_robin")
    r = request("a", input_len=100)
    arrive(s, r, request("b", input_len=1), request("a", input_len=1))
    admit(s)
    s.decoded(r, 7)
    s.preempted(r)
    assert s.position(r) == 1
    assert admit(s) == (r,)
    s.decoded(r, 1)
    assert s.service() == {"a": 100 + 2 * 8}


def test_service_received_elsewhere_is_added() -> None:
    s = make_scheduler("round_robin", max_counters=2)
    for client in ("a", "b", "a", "c"):
        s.add_service(client, 5.0)
    assert s.service() == {"a": 10.0, "c": 5.0}, "the least recently served counter goes first"


def test_eta_follows_the_pace_of_admissions() -> None:
    s = make_scheduler("round_robin")
    waiting = [request(f"c{i}") for i in range(5)]
    arrive(s, *waiting)
    assert s.eta_s(waiting[4]) == 5 * PRIOR_S
    for i in range(3):
        admit(s, now=2.0 * i)
    assert s.eta_s(waiting[4]) == pytest.approx(2 * 2.0)
    with pytest.raises(KeyError):
        s.position(waiting[0])


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match="round_robin"):
        make_scheduler("first_come")
    with pytest.raises(ValueError, match="round_robin.* has no slack; it has: max_counters"):
        make_scheduler("round_robin", slack=3)
    with pytest.raises(ValueError, match="positive"):
        make_scheduler("round_robin", max_waiting=0)
    s = make_scheduler("round_robin")
    r = request()
    arrive(s, r)
    with pytest.raises(ValueError, match="already"):
        s.arrive(r, 0.0)
