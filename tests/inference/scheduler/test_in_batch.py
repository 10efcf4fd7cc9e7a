"""Requests that begin together: the first computes, the others wait for it and for nobody else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scheduler.in_batch import InBatch, Leader
from inference.scheduler.prefix_key import PrefixKey, encode

KEY = PrefixKey("m")
SHARED = list(range(20))


def test_the_second_waits_until_the_first_has_what_both_need():
    batch = InBatch(4)
    assert batch.begin("a", KEY, encode([*SHARED, 91, 92]), 0) == 0
    assert batch.begin("b", KEY, encode([*SHARED, 81, 82]), 0) == 20
    assert batch.leader("a") is None
    assert batch.leader("b") == Leader("a", 20, False)
    batch.advance("a", 19)
    assert batch.leader("b") == Leader("a", 20, False)
    batch.advance("a", 20)
    assert batch.leader("b") == Leader("a", 20, True)
    batch.again("b", 20)
    assert batch.leader("b") is None


def test_less_than_a_page_is_not_worth_it_and_other_keys_share_nothing():
    batch = InBatch(4)
    batch.begin("a", KEY, encode(SHARED), 0)
    assert batch.begin("b", KEY, encode([0, 1, 2, 9, 9]), 0) == 0
    assert batch.begin("c", PrefixKey("m", "adapter"), encode(SHARED), 0) == 0
    assert batch.begin("d", KEY, encode(SHARED), 0) == 16, "its last token has to be computed: one page less"
    assert [batch.leader(name) for name in "abc"] == [None] * 3


def test_a_longer_hit_than_the_first_has_is_not_small():
    batch = InBatch(4)
    batch.begin("a", KEY, encode([*SHARED, 1]), 0, follows=False)
    assert batch.begin("b", KEY, encode([*SHARED, 2]), 8) == 8
    assert batch.leader("b") is None


def test_it_waits_for_the_one_that_shares_most():
    batch = InBatch(4)
    batch.begin("a", KEY, encode(SHARED[:8]), 0)
    batch.begin("b", KEY, encode([*SHARED, 5]), 0)
    assert batch.begin("c", KEY, encode([*SHARED, 6]), 0) == 20
    assert batch.leader("b") == Leader("a", 8, False)
    assert batch.leader("c") == Leader("b", 20, False)


def test_when_the_first_leaves_the_next_takes_its_place():
    batch = InBatch(4)
    for name in "abc":
        batch.begin(name, KEY, encode([*SHARED, ord(name)]), 0)
    assert batch.end("a") and not batch.end("a")
    for name in "bc":
        assert batch.leader(name) == Leader("a", 20, True)
        batch.again(name, 4)
    assert batch.leader("b") is None
    assert batch.leader("c") == Leader("b", 20, False)


def test_what_is_computed_but_not_published_counts_once():
    """`begin` finds a first that is past the shared part; after `again` nobody waits for it a second time."""
    batch = InBatch(4)
    batch.begin("a", KEY, encode([*SHARED, *range(100, 200)]), 0)
    batch.advance("a", 64)
    assert batch.begin("b", KEY, encode([*SHARED, 1]), 0) == 20
    assert batch.leader("b") == Leader("a", 20, True)
    batch.again("b", 0)
    assert batch.leader("b") is None


def test_unknown_names_are_no_error():
    batch = InBatch(4)
    batch.advance("x", 5)
    assert batch.leader("x") is None and not batch.end("x") and len(batch) == 0


@settings(max_examples=200)
@given(
    prompts=st.lists(
        st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=12), st.sampled_from("kl")), max_size=8
    ),
    page=st.sampled_from([1, 2, 4]),
    data=st.data(),
)
def test_the_batch_always_moves(prompts, page, data):
    """Whoever leaves and whatever is found, each prompt gets computed, and nobody waits for a later one."""
    batch = InBatch(page)
    names = [str(i) for i in range(len(prompts))]
    for name, (tokens, key) in zip(names, prompts, strict=True):
        batch.begin(name, PrefixKey(key), encode(tokens), 0)
    have = dict.fromkeys(names, 0)
    for _ in range(200):
        if not have:
            break
        free = []
        for name in have:
            leader = batch.leader(name)
            if leader is not None:
                assert int(leader.id) < int(name)
                assert prompts[int(leader.id)][1] == prompts[int(name)][1]
                assert leader.shared % page == 0 and leader.shared < len(prompts[int(name)][0])
            if leader is not None and leader.done:
                have[name] = data.draw(st.integers(have[name], leader.shared))
                batch.again(name, have[name])
                leader = batch.leader(name)
            if leader is None:
                free.append(name)
        assert next(iter(have)) in free, "the earliest never waits"
        name = data.draw(st.sampled_from(free))
        have[name] += data.draw(st.integers(1, 5))
        batch.advance(name, have[name])
        if have[name] >= len(prompts[int(name)][0]) or data.draw(st.booleans()):
            batch.end(name)
            del have[name]
    assert not have and len(batch) == 0
