"""VTC by example: who is next, and what is charged when. The bound is in test_vtc_properties.py."""

from __future__ import annotations

import pytest

from inference.scheduler.cost import profiled
from inference.scheduler.lengths import NEWEST
from inference.scheduler.protocol import OUTPUT_LEN, Request, ServiceClass
from inference.scheduler.room import WaitingRoom
from tests.inference.scheduler.driving import admit, arrive, drain, pair, request, room


def counter(scheduler: WaitingRoom, client: str) -> float:
    found = scheduler.order.counters(client)
    assert found is not None
    return found[0]


def say(scheduler: WaitingRoom, r: Request, n: int) -> None:
    for _ in range(n):
        scheduler.decoded(r, 1)


def test_the_client_served_least_is_next_and_its_oldest_request_first() -> None:
    s = room("vtc")
    arrive(s, *(request("a", input_len=100, arrival=i) for i in range(2)))
    arrive(s, *(request("b", input_len=30, arrival=5 - i) for i in range(5)))
    assert drain(s) == ["a", "b", "b", "b", "b", "a", "b"]


def test_input_is_charged_at_admission_and_output_as_it_comes() -> None:
    s = room("vtc")
    r = request("a", input_len=100)
    arrive(s, r)
    admit(s)
    assert counter(s, "a") == 100
    s.decoded(r, 1)
    assert counter(s, "a") == 102
    s.decoded(r, 3)
    assert counter(s, "a") == 108
    s.finished(r)
    assert counter(s, "a") == 108


def test_cached_input_is_charged_all_the_same() -> None:
    s = room("vtc")
    r = request("a", input_len=100)
    arrive(s, r)
    s.peek(lambda rs: True, lambda r: 90, 0.0)
    s.admitted(r, 10)
    assert counter(s, "a") == 100


def test_weights_divide_what_a_class_is_charged() -> None:
    s = room("vtc")
    for klass in ServiceClass:
        r = request(klass.value, klass=klass, input_len=10)
        arrive(s, r)
        admit(s)
        s.decoded(r, 5)
    assert [counter(s, klass.value) for klass in ServiceClass] == [20, 80 + 20, 80 + 100], "each lifted to the last"
    twice = room("vtc", weights={ServiceClass.BATTLE: 1, ServiceClass.EXAM: 2, ServiceClass.SIMULATION: 2})
    r = request("a", input_len=10)
    arrive(twice, r)
    admit(twice)
    assert counter(twice, "a") == 20


def test_classes_share_by_weight() -> None:
    s = room("vtc")
    for klass in ServiceClass:
        arrive(s, *(request(klass.value, klass=klass, input_len=10) for _ in range(60)))
    first = drain(s)[:60]
    assert {k: first.count(k) for k in ("battle", "exam", "simulation")} == {"battle": 40, "exam": 10, "simulation": 10}


def test_fresh_cookies_earn_no_extra_share() -> None:
    s = room("vtc")
    arrive(s, *(request(f"cookie{i}", "crowd", input_len=10) for i in range(6)))
    arrive(s, *(request("quiet", "home", input_len=10) for _ in range(3)))
    assert drain(s)[:6] == ["cookie0", "quiet", "cookie1", "quiet", "cookie2", "quiet"]


def test_clients_of_a_group_share_what_the_group_gets() -> None:
    s = room("vtc")
    arrive(s, *(request("heavy", "g", input_len=90, arrival=i) for i in range(3)))
    arrive(s, *(request("light", "g", input_len=10, arrival=i) for i in range(12)))
    assert drain(s)[:11].count("light") == 9


def test_an_idle_client_earns_no_credit() -> None:
    s = room("vtc")
    arrive(s, *(request("busy", input_len=10) for _ in range(30)))
    for _ in range(20):
        admit(s)
    arrive(s, *(request("late", input_len=10) for _ in range(10)))
    assert drain(s)[:10].count("late") == 5


def test_a_newcomer_to_an_idle_system_starts_level_with_the_last_who_left() -> None:
    """The branch of algorithm 2 that the artifact omits: `first` has had its share, `second` gets no more because of it."""
    s = room("vtc")
    r = request("first", input_len=50)
    arrive(s, r)
    admit(s)
    say(s, r, 25)
    arrive(s, *(request("second", input_len=10) for _ in range(6)))
    arrive(s, *(request("first", input_len=10) for _ in range(6)))
    assert drain(s)[:6].count("second") == 3


def test_the_choice_that_does_not_fit_stops_admission() -> None:
    s = room("vtc")
    arrive(s, request("a", input_len=90), request("b", input_len=10, arrival=1.0))
    assert s.peek(lambda rs: sum(r.input_len for r in rs) <= 50, lambda r: 0, 2.0) == ()


def test_a_pair_is_one_request_of_summed_cost() -> None:
    s = room("vtc")
    arrive(s, *pair("a", input_len=30), *(request("b", input_len=20) for _ in range(4)), *pair("a", input_len=30))
    assert [r.client for r in admit(s)] == ["a", "a"]
    assert counter(s, "a") == 60
    assert drain(s) == ["b", "b", "b", "a", "b"]


def test_preempted_work_is_not_charged_twice() -> None:
    s = room("vtc")
    r = request("a", input_len=100)
    arrive(s, r, request("b", input_len=1))
    admit(s)
    s.decoded(r, 7)
    s.preempted(r)
    assert admit(s) == (r,), "it has had its turn"
    assert counter(s, "a") == 114
    s.decoded(r, 1)
    assert counter(s, "a") == 116


def test_any_cost_function_is_charged_as_differences() -> None:
    s = room("vtc", cost=lambda n_in, n_out: n_in * (1 + n_out))
    r = request("a", input_len=10)
    arrive(s, r)
    admit(s)
    assert counter(s, "a") == 10
    for n in (1, 2, 3):
        say(s, r, 1)
        assert counter(s, "a") == 10 * (1 + n)


def test_the_profiled_cost_of_the_artifact() -> None:
    s = room("vtc", cost="profiled")
    r = request("a", input_len=256)
    arrive(s, r)
    admit(s)
    assert counter(s, "a") == pytest.approx(0.21 * 256 + 1.146)
    say(s, r, 100)
    assert counter(s, "a") == pytest.approx(profiled(256, 100))


def test_a_predicted_length_is_charged_at_admission_and_what_is_not_said_comes_back() -> None:
    s = room("vtc_predicted")
    first, second, third = (request("a", input_len=10, arrival=i) for i in range(3))
    arrive(s, first, second, third)
    admit(s)
    assert counter(s, "a") == 10, "nothing is known of anybody"
    say(s, first, 20)
    s.finished(first)
    assert counter(s, "a") == 50

    admit(s)
    assert counter(s, "a") == 50 + 10 + 40, "as much as the last reply"
    say(s, second, 20)
    assert counter(s, "a") == 100
    say(s, second, 5)
    assert counter(s, "a") == 110, "beyond the prediction per token"
    s.finished(second)
    assert counter(s, "a") == 110

    admit(s)
    expected = 20 + NEWEST * 5
    assert counter(s, "a") == 110 + 10 + 2 * expected
    say(s, third, 3)
    s.finished(third)
    assert counter(s, "a") == 110 + 10 + 6, "exactly what was said"


def test_a_stranger_is_expected_to_say_as_much_as_the_others_lately() -> None:
    s = room("vtc_predicted")
    r, stranger = request("a", input_len=1), request("b", input_len=1)
    arrive(s, r)
    admit(s)
    say(s, r, 30)
    s.finished(r)
    before = counter(s, "a")
    arrive(s, stranger)
    admit(s)
    assert counter(s, "b") == before + 1 + 60
    brief = request("b", input_len=1, max_output=4)
    arrive(s, brief)
    admit(s)
    assert counter(s, "b") == before + 61 + 1 + 8, "never more than it may say"


def test_a_cancelled_request_gets_its_prediction_back() -> None:
    s = room("vtc_predicted")
    first, second = request("a", input_len=10), request("a", input_len=10)
    arrive(s, first, second)
    admit(s)
    say(s, first, 20)
    s.finished(first)
    admit(s)
    s.preempted(second)
    s.removed(second, reason=None)  # type: ignore[arg-type]
    assert counter(s, "a") == 50 + 10


def test_the_oracle_charges_the_true_length_at_admission() -> None:
    s = room("vtc_oracle")
    r = request("a", input_len=10, meta={OUTPUT_LEN: 7})
    arrive(s, r)
    admit(s)
    assert counter(s, "a") == 24
    say(s, r, 7)
    s.finished(r)
    assert counter(s, "a") == 24
    untold = request("b")
    arrive(s, untold)
    with pytest.raises(KeyError):
        admit(s)


def test_service_received_elsewhere_puts_a_client_behind() -> None:
    s = room("vtc")
    arrive(
        s,
        request("a", input_len=10),
        request("a", input_len=10),
        request("b", input_len=10),
        request("b", input_len=10),
    )
    s.add_service("a", 15.0)
    assert drain(s) == ["b", "b", "a", "a"]


def test_counters_are_bounded() -> None:
    s = room("vtc", max_counters=3)
    for i in range(10):
        r = request(f"c{i}", input_len=1)
        arrive(s, r)
        admit(s)
        s.finished(r)
    assert len(s.order._tree) == 3  # type: ignore[attr-defined]
    assert len(s.service()) == 3


def test_options_are_checked() -> None:
    for wrong in ({"input_weight": 0}, {"lengths": "guess"}, {"cost": "free"}, {"weights": {ServiceClass.BATTLE: 1}}):
        with pytest.raises(ValueError):
            room("vtc", **wrong)
