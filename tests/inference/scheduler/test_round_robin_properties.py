"""What round-robin promises beside what every policy does (test_room_properties.py)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scheduler.protocol import Request, ServiceClass
from inference.scheduler.registry import make_scheduler

_arrivals = st.lists(
    st.tuples(st.sampled_from(["g1", "g2", "g3"]), st.sampled_from(["a", "b"]), st.sampled_from(list(ServiceClass))),
    min_size=1,
    max_size=40,
)


@given(_arrivals)
@settings(max_examples=200, deadline=None)
def test_positions_are_the_order_of_admission(arrivals: list[tuple[str, str, ServiceClass]]) -> None:
    scheduler = make_scheduler("round_robin", max_waiting_per_client=99)
    requests = [Request(f"r{i}", g + c, g, k, arrival=float(i)) for i, (g, c, k) in enumerate(arrivals)]
    for r in requests:
        assert scheduler.arrive(r, 0.0).accepted
    told = sorted(requests, key=scheduler.position)
    came = []
    while unit := scheduler.peek(lambda rs: True, lambda r: 0, 0.0):
        came += unit
        scheduler.admitted(unit[0], 0)
    assert came == told


@given(_arrivals, st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_between_two_turns_of_a_group_each_other_group_of_its_class_has_one(
    arrivals: list[tuple[str, str, ServiceClass]], late: int
) -> None:
    """The fairness bound, also for requests that arrive in between: group `g1` always waits, nobody overtakes it twice."""
    scheduler = make_scheduler("round_robin", max_waiting_per_client=99)
    for i in range(len(arrivals) + 1):
        scheduler.arrive(Request(f"own{i}", "own", "g1", arrival=float(i)), 0.0)
    since: dict[str, int] = {}
    for i, (group, client, _) in enumerate(arrivals):
        if group != "g1":
            scheduler.arrive(Request(f"r{i}", group + client, group, arrival=float(i)), 0.0)
        if i % late == 0:
            continue
        (r,) = scheduler.peek(lambda rs: True, lambda r: 0, 0.0)
        scheduler.admitted(r, 0)
        since = {} if r.group == "g1" else {**since, r.group: since.get(r.group, 0) + 1}
        assert all(times <= 1 for times in since.values())


@given(st.integers(2, 6), st.integers(1, 6))
def test_nothing_is_skipped_when_the_head_does_not_fit(large: int, free: int) -> None:
    scheduler = make_scheduler("round_robin")
    first = Request("large", "a", arrival=0.0, input_len=large)
    scheduler.arrive(first, 0.0)
    scheduler.arrive(Request("small", "b", arrival=1.0, input_len=1), 0.0)
    unit = scheduler.peek(lambda rs: sum(r.input_len for r in rs) <= free, lambda r: 0, 0.0)
    assert unit == ((first,) if large <= free else ())
