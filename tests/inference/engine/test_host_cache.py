"""The bounded host cache: never over its bound, least recently used out first, first visits not kept."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from inference.engine.host_cache import HostCache


def image(size: int) -> torch.Tensor:
    return torch.zeros(size, dtype=torch.uint8)


def test_least_recently_used_goes_first():
    cache = HostCache(100)
    for key in "abc":
        cache.put(key, image(30))
    assert cache.get("a") is not None
    cache.put("d", image(40))
    assert [cache.get(key) is not None for key in "abcd"] == [True, False, True, True]
    assert (cache.nbytes, cache.evictions, cache.hits, cache.misses) == (100, 1, 4, 1)


def test_what_is_larger_than_the_cache_is_not_kept():
    cache = HostCache(100)
    cache.put("a", image(60))
    cache.put("huge", image(101))
    assert cache.get("a") is not None and cache.get("huge") is None and cache.nbytes == 60


def test_only_what_comes_back_is_worth_keeping():
    cache = HostCache(100)
    assert cache.get("a") is None and not cache.returning("a")
    assert cache.get("a") is None and cache.returning("a")
    cache.drop("a")
    assert not cache.returning("a")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60)), max_size=50))
def test_the_bound_holds_and_the_sum_is_right(puts):
    cache = HostCache(100)
    for key, size in puts:
        if size:
            cache.put(key, image(size))
        else:
            cache.drop(key)
        kept = [cache.get(other) for other in "abcdef"]
        assert cache.nbytes == sum(found.nbytes for found in kept if found is not None) <= 100
        assert len(cache) == sum(found is not None for found in kept)
