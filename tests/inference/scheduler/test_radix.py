"""The prefix tree: every behaviour of SGLang's own unit test of its radix cache, and where ours is meant to differ."""

from __future__ import annotations

import pytest

from inference.scheduler.prefix_key import PrefixKey, encode
from inference.scheduler.radix import ReferenceUnderflow
from tests.inference.scheduler.pages import KEY, Cache


def test_an_empty_tree_finds_nothing():
    cache = Cache()
    assert cache.match([1, 2, 3])[1:] == ([], 0) and cache.length([]) == 0
    assert (cache.tree.total, cache.tree.evictable, cache.tree.protected, cache.tree.nodes) == (0, 0, 0, 0)
    assert cache.tree.evict(5) == 0 and cache.pages.freed == []
    cache.tree.lock(cache.match([1]).node)
    cache.tree.unlock(cache.match([1]).node)


def test_a_disabled_tree_keeps_nothing():
    cache = Cache(enabled=False)
    there, pages = cache.insert([1, 2, 3])
    assert there == 0 and cache.tree.total == 0 and cache.pages.freed == pages
    assert cache.match([1, 2, 3]).tokens == 0


def test_insert_says_what_was_there():
    cache = Cache()
    assert cache.insert([1, 2, 3])[0] == 0
    assert cache.insert([1, 2, 3])[0] == 3
    assert cache.insert([1, 2, 3, 4, 5])[0] == 3
    assert cache.insert([1, 2, 9])[0] == 2
    assert cache.insert([7])[0] == 0
    assert cache.tree.total == cache.tree.evictable == 7


def test_insert_keeps_the_pages_that_it_has_and_frees_duplicates():
    cache = Cache()
    _, first = cache.insert([1, 2, 3])
    _, second = cache.insert([1, 2, 3, 4])
    assert cache.match([1, 2, 3, 4]).pages == [*first, second[3]]
    assert sorted(cache.pages.freed) == second[:3]
    assert set(cache.pages.owners) == {*first, second[3]}


def test_a_partial_match_gives_its_pages_in_order():
    cache = Cache()
    _, pages = cache.insert([1, 2, 3])
    assert cache.match([1, 2]).pages == pages[:2]
    assert cache.match([1, 2, 3, 4]).pages == pages
    assert cache.match([2, 3]).pages == []


@pytest.mark.parametrize("page", [1, 2])
def test_matches_split_nodes_and_change_nothing_else(page):
    cache = Cache(page)
    _, long = cache.insert([1, 2, 3, 4, 5, 6, 7, 8])
    _, short = cache.insert([1, 2, 9, 10])
    assert cache.tree.total == 10
    for query, tokens in (([1, 2, 3, 4, 999, 1000], 4), ([1, 2, 3, 4, 5, 6, 777, 888], 6), (list(range(1, 9)), 8)):
        found = cache.match(query)
        assert (found.tokens, found.pages) == (tokens, long[: tokens // page])
        assert cache.tree.total == 10
    assert cache.match([1, 2, 9, 10]).pages == [*long[: 2 // page], *short[2 // page :]]


def test_a_match_ends_where_it_splits():
    """The half that is left over has children that continue it; they do not continue the half that was matched."""
    cache = Cache()
    _, pages = cache.insert([0, 1])
    cache.insert([0, 1, 0])
    assert cache.match([0, 0]).pages == pages[:1]


@pytest.mark.parametrize(("page", "length"), [(1, 5), (2, 5), (4, 6), (16, 47)])
def test_a_match_is_whole_pages(page, length):
    cache = Cache(page)
    cache.insert(list(range(length)))
    assert cache.match(list(range(length))).tokens == length // page * page
    differs = [*range(length // page * page - 1), 9999]
    assert cache.match(differs).tokens == (length // page - 1) * page, "the last page differs in its last token"


@pytest.mark.parametrize("page", [0, -1])
def test_pages_hold_tokens(page):
    with pytest.raises(ValueError, match="page_tokens"):
        Cache(page)


def test_too_few_pages_are_refused():
    cache = Cache(2)
    with pytest.raises(ValueError, match="1 pages were given for 2"):
        cache.tree.insert(KEY, encode([1, 2, 3, 4]), [1])
    assert cache.tree.total == 0


def test_locks_move_tokens_and_back():
    cache = Cache()
    cache.insert([1, 2, 3])
    node = cache.match([1, 2, 3]).node
    cache.tree.lock(node)
    assert (cache.tree.evictable, cache.tree.protected, cache.tree.total) == (0, 3, 3)
    cache.tree.lock(node)
    cache.tree.unlock(node)
    assert cache.tree.protected == 3, "locked twice, unlocked once"
    cache.tree.unlock(node)
    assert (cache.tree.evictable, cache.tree.protected, cache.tree.total) == (3, 0, 3)


def test_a_lock_holds_the_path_through_splits_and_nothing_beside_it():
    cache = Cache()
    _, long = cache.insert([1, 2, 3, 4])
    node = cache.match([1, 2, 3, 4]).node
    cache.tree.lock(node)
    cache.insert([1, 2, 8, 9])
    assert (cache.tree.protected, cache.tree.evictable) == (4, 2)
    assert cache.tree.evict(100) == 2
    assert cache.match([1, 2, 3, 4]).pages == long
    cache.tree.unlock(node)
    assert (cache.tree.protected, cache.tree.evictable) == (0, 4)
    assert cache.tree.evict(100) == 4 and not cache.pages.owners


def test_probe_says_what_is_evictable_and_touches_nothing():
    cache = Cache()
    cache.insert([1, 2, 3])
    cache.tree.lock(cache.match([1]).node)
    assert cache.tree.probe(KEY, encode([1, 2, 9])) == (2, 1)
    cache.insert([7, 8])
    nodes = cache.tree.nodes
    assert cache.length([1, 2]) == 2 and cache.tree.nodes == nodes
    cache.tree.evict(1)
    assert cache.length([1, 2, 3]) == 2, "the older leaf went first although it was probed last"


def test_unlocking_what_nobody_locked_raises():
    cache = Cache()
    cache.insert([1, 2])
    node = cache.match([1, 2]).node
    with pytest.raises(ReferenceUnderflow):
        cache.tree.unlock(node)
    assert (cache.tree.evictable, cache.tree.protected) == (2, 0)
    cache.tree.evict(2)
    for action in (cache.tree.lock, cache.tree.unlock):
        with pytest.raises(ReferenceUnderflow):
            action(node)


def test_evict_frees_through_the_pool_the_last_page_first():
    cache = Cache(2)
    _, pages = cache.insert([1, 2, 3, 4, 5, 6])
    assert cache.tree.evict(1) == 2, "whole pages only"
    assert cache.pages.freed == pages[2:]
    assert cache.match([1, 2, 3, 4, 5, 6]).pages == pages[:2]
    assert cache.tree.evict(100) == 4 and cache.tree.total == 0
    assert sorted(cache.pages.freed) == pages and not cache.pages.owners
    assert cache.tree.evicted == 6


def test_leaves_go_in_the_order_of_their_last_use():
    cache = Cache()
    for first in (10, 20, 30):
        cache.insert([first, 1, 2])
    cache.match([10, 1])
    cache.match([20, 1, 2])
    gone = []
    while cache.tree.evict(1):
        gone += [first for first in (10, 20, 30) if first not in gone and not cache.length([first])]
    assert gone == [30, 10, 20]


def test_a_parent_goes_after_its_children():
    cache = Cache()
    cache.insert([1, 2])
    cache.insert([1, 2, 3])
    cache.insert([1, 2, 4])
    cache.insert([9])
    cache.tree.evict(1)
    assert cache.length([1, 2, 3]) == 2 and cache.length([1, 2, 4]) == 3
    cache.tree.evict(1)
    assert cache.length([1, 2, 4]) == 2
    cache.tree.evict(2)
    assert cache.length([1, 2]) == 0 and cache.length([9]) == 1, (
        "it was used with its last child, before the other leaf"
    )


def test_a_page_that_is_still_read_survives_its_eviction():
    cache = Cache()
    _, pages = cache.insert([1, 2])
    cache.pages.share(pages)
    cache.tree.evict(2)
    assert cache.pages.freed == [] and cache.tree.total == 0
    cache.pages.release(pages)
    assert sorted(cache.pages.freed) == pages


def test_keys_share_nothing():
    cache = Cache()
    keys = [
        PrefixKey("m", "", "salt"),
        PrefixKey("m", "salt", ""),
        PrefixKey("m", "", "other"),
        PrefixKey("n", "", "salt"),
    ]
    pages = [cache.insert([1, 2, 3], key)[1] for key in keys]
    assert [cache.match([1, 2, 3], key).pages for key in keys] == pages
    assert cache.tree.total == 12
    assert cache.length([1, 2, 3], PrefixKey("m", "", "nobody")) == 0


def test_drop_forgets_a_key_but_not_what_is_read():
    cache = Cache()
    gone, stays = PrefixKey("m", "pirate#1"), PrefixKey("m", "pirate#2")
    cache.insert([1, 2, 3, 4], gone)
    cache.insert([1, 2, 5], gone)
    _, kept = cache.insert([1, 2], stays)
    node = cache.match([1, 2, 3], gone).node
    cache.tree.lock(node)
    assert cache.tree.drop(lambda key: key.adapter == "pirate#1") == 2
    assert cache.length([1, 2, 3, 4], gone) == 3 and cache.tree.protected == 3
    cache.tree.unlock(node)
    assert cache.tree.drop(lambda key: key.adapter == "pirate#1") == 3
    assert cache.match([1, 2], stays).pages == kept and set(cache.pages.owners) == set(kept)
    assert cache.tree.drop() == 2 and not cache.pages.owners and cache.tree.nodes == 0


def test_nothing_computed_after_a_sparse_step_is_kept():
    cache = Cache(4)
    tokens = list(range(16))
    assert cache.insert(tokens, exact=11)[0] == 0
    assert cache.length(tokens) == 8, "the page that holds token 11 is not exact as a whole"
    cache.insert(tokens, exact=16)
    assert cache.length(tokens) == 16
