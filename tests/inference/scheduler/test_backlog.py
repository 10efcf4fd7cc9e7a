"""Who makes room when the queue is full: the largest client of the largest network, never the quiet one."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from inference.scheduler.backlog import Backlog, Tally
from inference.scheduler.unit import Unit, group_key
from tests.inference.scheduler.driving import request

_who = st.tuples(st.sampled_from("abcd"), st.sampled_from(["", "g", "h"]))


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=60))
def test_the_largest_are_at_hand_after_any_changes(changes: list[tuple[str, bool]]) -> None:
    tally: Tally[str] = Tally()
    counts: Counter[str] = Counter()
    for key, more in changes:
        if more:
            tally.add(key)
            counts[key] += 1
        elif counts[key]:
            tally.remove(key)
            counts[key] -= 1
        most = max(counts.values(), default=0)
        assert set(tally.largest()) == ({k for k, n in counts.items() if n == most} if most else set())
        assert len(tally) == sum(n > 0 for n in counts.values())


@given(st.lists(_who, max_size=25), _who)
def test_the_victim_is_the_newest_of_the_largest_client_of_the_largest_network(waits: list, comes: tuple) -> None:
    backlog = Backlog()
    units = [Unit([request(*who)], (float(i), i), number=i) for i, who in enumerate(waits)]
    for unit in units:
        backlog.add(unit)
    newcomer = request(*comes)
    victim = backlog.victim(newcomer)
    everybody = [unit.head for unit in units] + [newcomer]
    groups = Counter(group_key(r) for r in everybody)
    gone = newcomer if victim is None else victim.head
    assert groups[group_key(gone)] == max(groups.values())
    clients = Counter(r.client for r in everybody if group_key(r) == group_key(gone))
    assert clients[gone.client] == max(clients.values())
    if victim is not None:
        theirs = [u for u in units if u.head.client == gone.client and group_key(u.head) == group_key(gone)]
        assert victim is theirs[-1]


@given(st.lists(st.tuples(_who, st.booleans()), max_size=40))
def test_counts_are_right_after_any_changes(changes: list) -> None:
    backlog = Backlog()
    here: list[Unit] = []
    for i, (who, comes) in enumerate(changes):
        if comes or not here:
            here.append(Unit([request(*who)], (float(i), i), number=i))
            backlog.add(here[-1])
        else:
            backlog.remove(here.pop(len(here) // 2))
        counts = Counter(unit.head.client for unit in here)
        assert len(backlog) == len(here) and backlog.active == len(counts)
        assert all(backlog.of_client(client) == counts[client] for client in "abcd")
        assert set(backlog.clients()) == set(counts)
