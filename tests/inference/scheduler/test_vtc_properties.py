"""The bound of VTC and of VTC + slack locality, held to in every interval of random traces (proof: docs/scheduling.md)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scheduler.protocol import Removal, Request, ServiceClass
from tests.inference.scheduler.driving import Pool, arrive, cached, pair, request, room

POOL, INPUT, OUTPUT = 120, 50, 10
WHO = [("a", ""), ("b", ""), ("c", "net"), ("d", "net"), ("e", "net"), ("f", "home")]
FLAT = dict.fromkeys(ServiceClass, 1.0)
VARIANTS = [
    ("vtc", {}),
    ("vtc_predicted", {}),
    ("vtc_oracle", {}),
    ("vtc_credibility", {}),
    ("vtc", {"charge_cached": False}),
    ("vtc_locality", {"slack": 0.0}),
    ("vtc_locality", {"slack": 60.0}),
    ("vtc_locality", {"slack": 60.0, "lengths": "predicted", "candidates": 3}),
    ("vtc_locality", {"slack": 60.0, "lengths": "credibility"}),
]

_arrivals = st.tuples(
    st.sampled_from(WHO),
    st.integers(1, INPUT),
    st.integers(1, OUTPUT),
    st.sampled_from(list(ServiceClass)),
    st.sampled_from(["one", "pair", "half"]),
)
_traces = st.lists(st.tuples(st.lists(_arrivals, max_size=6), st.integers(0, 12)), min_size=1, max_size=8)


def play(pool: Pool, trace: list, flat: bool) -> None:
    for arrivals, steps in trace:
        for (client, group), n_in, length, klass, kind in arrivals:
            fields = {"input_len": n_in, "max_output": OUTPUT, "klass": ServiceClass.BATTLE if flat else klass}
            both = pair(client, group, **fields)
            for r in [request(client, group, **fields)] if kind == "one" else both[: 1 if kind == "half" else 2]:
                pool.offer(r, length)
        for _ in range(steps):
            pool.step()
    pool.run()


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@given(trace=_traces, flat=st.booleans())
@settings(max_examples=60, deadline=None)
def test_backlogged_siblings_differ_by_at_most_the_stated_bound(
    name: str, options: dict, trace: list, flat: bool
) -> None:
    """2(U + Q), and 2(2U + Q) where output is paid in advance; U = w_q x pool tokens x the dearest class."""
    scheduler = room(name, weights=FLAT if flat else {**FLAT, ServiceClass.BATTLE: 4.0}, **options)
    pool = Pool(scheduler, POOL, cached)
    play(pool, trace, flat)
    u = 2.0 * POOL * (1.0 if flat else 4.0)
    advance = u if "lengths" in options or name in ("vtc_predicted", "vtc_oracle", "vtc_credibility") else 0.0
    assert pool.watch.prepaid() <= advance
    assert pool.watch.largest <= u
    assert pool.watch.worst <= 2 * (u + options.get("slack", 0.0) + advance)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_the_bound_holds_whatever_the_engine_does(name: str, options: dict, data: st.DataObject) -> None:
    """2(E + Q + P), E and P measured: no memory test at all, requests preempted, cancelled and paired late at any moment."""
    pool = Pool(room(name, weights=FLAT, pair_hold_s=0.03, **options), POOL, cached)
    waiting: dict[str, Request] = {}
    halves: list[Request] = []
    slots = data.draw(st.integers(1, 5))
    pool.fits = lambda requests: len(pool.running) + len(list(requests)) <= slots  # type: ignore[method-assign]
    for _ in range(data.draw(st.integers(5, 60))):
        act = data.draw(
            st.sampled_from(["arrive", "arrive", "pair", "half", "step", "step", "preempt", "cancel", "abort"])
        )
        n_in, length, (client, group) = data.draw(
            st.tuples(st.integers(0, INPUT), st.integers(1, 9), st.sampled_from(WHO))
        )
        fields = {"input_len": n_in, "max_output": 9}
        came = {"arrive": [request(client, group, **fields)], "pair": list(pair(client, group, **fields))}.get(act, [])
        if act == "half":
            came = [halves.pop()] if halves else list(pair(client, group, **fields))
            halves += came[1:]
            came = came[:1]
        for r in came:
            pool.offer(r, length)
            waiting[r.id] = r
        waiting = {i: r for i, r in waiting.items() if i in pool.scheduler._units}
        if act == "step":
            pool.step()
        elif act == "preempt" and pool.running:
            pool.preempt(data.draw(st.sampled_from(sorted(pool.running))))
        elif act == "cancel" and waiting:
            pool.scheduler.removed(waiting.pop(data.draw(st.sampled_from(sorted(waiting)))), Removal.CANCELLED)
        elif act == "abort" and pool.running:
            pool.scheduler.finished(pool.running.pop(data.draw(st.sampled_from(sorted(pool.running)))).request)
        pool.watch.settle()
    pool.now += 1.0
    pool.run()
    watch = pool.watch
    assert watch.worst <= 2 * (watch.largest + options.get("slack", 0.0) + watch.prepaid()) + 1e-6


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@given(trace=_traces)
@settings(max_examples=40, deadline=None)
def test_each_request_pays_its_cost_exactly_once(name: str, options: dict, trace: list) -> None:
    """Whatever was predicted, preempted or refunded: h(input, output) x price of the class is charged, to client and group."""
    charged: dict[str, float] = {}
    pool = Pool(room(name, **options), POOL, cached)
    tree = pool.order._tree
    charge = tree.charge

    def noting(client: object, amount: float) -> None:
        key = client.name  # type: ignore[attr-defined]
        charged[key] = charged.get(key, 0.0) + amount
        charge(client, amount)  # type: ignore[arg-type]

    tree.charge = noting  # type: ignore[method-assign, assignment]
    due: dict[str, float] = {}
    offer = pool.offer

    def offering(r: Request, length: int) -> None:
        offer(r, length)
        price = 1.0 if r.klass is ServiceClass.BATTLE else 4.0
        due[r.client] = due.get(r.client, 0.0) + (r.input_len - pool._hit(r) + 2.0 * length) * price

    pool.offer = offering  # type: ignore[method-assign]
    play(pool, trace, flat=False)
    assert charged.keys() - due.keys() == set()
    for client, cost in due.items():
        assert charged[client] == pytest.approx(cost, abs=1e-6)
    assert pool.order._accounts == {}


@given(trace=_traces, name=st.sampled_from(["vtc", "vtc_locality"]))
@settings(max_examples=60, deadline=None)
def test_counters_never_fall(trace: list, name: str) -> None:
    pool = Pool(room(name), POOL, cached)
    highest: dict[object, float] = {}
    settle = pool.watch.settle

    def looking() -> None:
        settle()
        for group in pool.order._tree._groups.values():
            for node in (group, *group.clients.values()):
                assert node.counter >= highest.get(node, 0.0)
                highest[node] = node.counter

    pool.watch.settle = looking  # type: ignore[method-assign]
    play(pool, trace, flat=False)
    assert highest or not any(arrivals for arrivals, _ in trace)


@given(trace=_traces, name=st.sampled_from(["vtc", "vtc_predicted", "vtc_locality"]))
@settings(max_examples=60, deadline=None)
def test_everybody_is_served_and_the_pool_never_idles_beside_waiting_work(trace: list, name: str) -> None:
    """`Pool.run` asserts progress in every step; here: all end, in the end nothing is left."""
    pool = Pool(room(name), POOL, cached)
    play(pool, trace, flat=False)
    assert sorted(pool.done) == sorted(pool.lengths)
    assert pool.scheduler.waiting() == 0
    assert all(not c.running and not c.queue for g in pool.order._tree._groups.values() for c in g.clients.values())


def widest(name: str) -> float:
    """In units of U: the largest service difference while both wait, `modest` having joined when `greedy` had filled the pool."""
    scheduler, slots = room(name), POOL // 40
    running: dict[str, tuple[Request, int]] = {}
    service = {"greedy": 0.0, "modest": 0.0}
    arrive(scheduler, *(request("greedy", input_len=1, max_output=39) for _ in range(40)))
    difference = 0.0
    for step in range(250):
        while unit := scheduler.peek(lambda rs: len(running) + len(rs) <= slots, lambda r: 0, float(step)):
            for r in unit:
                scheduler.admitted(r, r.input_len)
                running[r.id] = r, step + 39
                service[r.client] += r.input_len
        if not step:
            arrive(scheduler, *(request("modest", input_len=1, max_output=39) for _ in range(20)), now=0.5)
            service = dict.fromkeys(service, 0.0)
        for r, end in list(running.values()):
            scheduler.decoded(r, 1)
            service[r.client] += 2
            if step + 1 == end:
                del running[r.id]
                scheduler.finished(r)
        difference = max(difference, abs(service["greedy"] - service["modest"]))
        if {unit.head.client for unit in scheduler.order.line()} != {"greedy", "modest"}:
            break
    return difference / (2.0 * POOL)


def test_the_bound_is_not_idle_and_fcfs_breaks_it() -> None:
    assert 0.9 < widest("vtc") <= 2
    assert widest("fcfs") > 2
