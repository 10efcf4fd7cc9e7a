"""The counters of VTC: lift, nesting, ties, forgetting, and a heap that stays small. The whole policy is in test_vtc.py."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scheduler.counters import STALE_ENTRIES, Client, Counters, Node, Siblings
from inference.scheduler.unit import Unit
from tests.inference.scheduler.driving import request


def queued(tree: Counters, client: str, group: str = "", arrival: float = 0.0) -> Unit:
    unit = Unit([request(client, group, arrival=arrival)], (arrival, 0))
    tree.put(unit)
    return unit


def counter(tree: Counters, client: str) -> float:
    found = tree.find(client)
    assert found is not None
    return found.counter if found.group.key[0] == "group" else found.group.counter


def known(tree: Counters, client: str) -> Client:
    found = tree.find(client)
    assert found is not None
    return found


def test_a_newcomer_is_lifted_to_the_least_of_those_who_wait() -> None:
    tree = Counters()
    queued(tree, "a")
    queued(tree, "b")
    tree.charge(known(tree, "a"), 50)
    tree.charge(known(tree, "b"), 30)
    queued(tree, "new")
    assert counter(tree, "new") == 30


def test_a_client_ahead_of_the_others_is_not_lowered() -> None:
    tree = Counters()
    first = queued(tree, "a")
    tree.charge(known(tree, "a"), 90)
    tree.take(first)
    queued(tree, "b")
    queued(tree, "a")
    assert (counter(tree, "a"), counter(tree, "b")) == (90, 90), "b came to an idle queue that a had left last"


def test_in_an_idle_queue_the_last_who_left_counts_with_what_it_received_since() -> None:
    tree = Counters()
    only = queued(tree, "a")
    tree.began(known(tree, "a"))
    tree.take(only)
    tree.charge(known(tree, "a"), 70)
    queued(tree, "b")
    assert counter(tree, "b") == 70


def test_without_lift_a_newcomer_starts_at_nothing() -> None:
    tree = Counters(lift=False)
    queued(tree, "a")
    tree.charge(known(tree, "a"), 50)
    queued(tree, "b")
    assert counter(tree, "b") == 0


def test_a_group_is_lifted_as_a_whole_and_its_clients_among_themselves() -> None:
    tree = Counters()
    queued(tree, "a", "net")
    queued(tree, "quiet", "home")
    tree.charge(known(tree, "a"), 40)
    queued(tree, "fresh", "net")
    fresh = known(tree, "fresh")
    assert fresh.counter == 40, "among the clients of its group"
    assert fresh.group.counter == 40, "and the group keeps what its clients had"
    assert tree.active.least() is known(tree, "quiet").group


def test_prepayments_that_are_refunded_one_after_the_other_do_not_drag_the_floor_down() -> None:
    """Each client comes back while a request of its still runs that it paid 100 for in advance, and gets all of it back."""
    tree = Counters()
    queued(tree, "steady")
    tree.charge(known(tree, "steady"), 1000)
    floor = tree.active.least().counter
    clients = [f"c{i}" for i in range(20)]
    for name in clients:
        unit = queued(tree, name)
        client = known(tree, name)
        tree.began(client)
        tree.charge(client, 100)
        tree.prepay(client, 100)
        tree.take(unit)
    for name in clients:
        queued(tree, name)
        client = known(tree, name)
        tree.charge(client, -100)
        tree.prepay(client, -100)
        assert client.group.counter >= floor - 100


def test_service_elsewhere_is_charged_now_or_when_the_client_comes() -> None:
    tree = Counters(lift=False, most=2)
    queued(tree, "here")
    for name in ("here", "b", "c", "d"):
        tree.owe(name, 5)
    assert counter(tree, "here") == 5
    for name in ("b", "c", "d"):
        queued(tree, name)
    assert [counter(tree, name) for name in "bcd"] == [0, 5, 5], "debts of strangers are bounded too, the oldest goes"


def test_the_longest_idle_are_forgotten_first_and_nobody_who_has_something_here() -> None:
    tree = Counters(most=2)
    waits = queued(tree, "waits", "g")
    runs = queued(tree, "runs")
    tree.began(known(tree, "runs"))
    tree.take(runs)
    for name in ("x", "y", "z"):
        tree.take(queued(tree, name, "g"))
    assert len(tree) == 4
    assert tree.find("x") is None
    assert None not in [tree.find(name) for name in ("waits", "runs", "y", "z")]
    tree.over(known(tree, "runs"))
    tree.take(waits)
    assert len(tree) == 2
    assert [tree.find(name) is None for name in ("y", "z", "runs", "waits")] == [True, True, False, False]


def test_being_forgotten_earns_nothing_once_the_others_have_passed() -> None:
    """The lift gives the same counter, known or not, as long as the client is behind those who wait."""
    counters = []
    for most in (1, 100):
        tree = Counters(most=most)
        queued(tree, "busy")
        once = queued(tree, "once")
        tree.charge(known(tree, "once"), 10)
        tree.take(once)
        tree.take(queued(tree, "other"))
        tree.charge(known(tree, "busy"), 500)
        assert (tree.find("once") is None) == (most == 1)
        queued(tree, "once")
        counters.append(counter(tree, "once"))
    assert counters == [500, 500]


def test_equal_counters_take_turns() -> None:
    tree = Counters()
    for name in ("a", "b", "c"):
        queued(tree, name)
    order = []
    for _ in range(6):
        client = tree.active.least().active.least()
        order.append(client.name)
        tree.served(client)
    assert order == ["a", "b", "c", "a", "b", "c"]


_charges = st.lists(st.tuples(st.integers(0, 9), st.integers(-20, 50)), max_size=200)


@given(_charges, st.integers(0, 60), st.integers(1, 12))
@settings(max_examples=200, deadline=None)
def test_the_heap_tells_the_least_after_any_charges_and_refunds(charges: list, slack: int, most: int) -> None:
    siblings: Siblings[Node] = Siblings(lift=False)
    nodes = [Node() for _ in range(10)]
    for turn, node in enumerate(nodes[:8]):
        siblings.enter(node, turn)
    for i, amount in charges:
        siblings.charge(nodes[i], amount)
        if i == 3 and nodes[3].entry is not None:
            siblings.leave(nodes[3])
        elif i == 3:
            siblings.enter(nodes[3], 3)
        assert len(siblings._heap) <= 2 * len(siblings) + STALE_ENTRIES
    queue = sorted((n for n in nodes if n.entry is not None), key=lambda n: (n.counter, n.turn))
    assert siblings.least() is queue[0]
    near = [n for n in queue if n.counter <= queue[0].counter + slack][:most]
    assert siblings.within(slack, most) == near
    assert siblings.within(slack, most) == near, "looking changes nothing"
    assert [entry[2] for entry in sorted(siblings.snapshot())] == queue
