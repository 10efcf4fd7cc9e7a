"""What the prefix tree itself costs: told in bytes, and bounded by the pages that it holds."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from inference.scheduler.prefix_key import encode
from inference.scheduler.radix import RadixTree
from tests.inference.scheduler.pages import KEY, Cache


@pytest.mark.parametrize(("page", "length"), [(16, 300), (16, 40), (1, 12)])
def test_memory_is_what_it_says_it_is(page, length):
    """Distinct prefixes, one node each, beside pages that belong to the pool: measured against `nbytes`."""
    rng = random.Random(1)
    texts = [encode([rng.randrange(50_000) for _ in range(length)]) for _ in range(2000)]
    pages = [list(range(i * 1000 + 1000, i * 1000 + 1000 + length // page)) for i in range(2000)]

    class Owned:
        def share(self, pages: list[int]) -> None: ...
        def release(self, pages: list[int]) -> None: ...

    tree = RadixTree(page, Owned())
    tracemalloc.start()
    for text, own in zip(texts, pages, strict=True):
        tree.insert(KEY, bytes(bytearray(text)), list(own))
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert tree.nodes >= 2000
    assert 0.7 * used < tree.nbytes < 1.4 * used


def test_bookkeeping_is_bounded_by_the_pages():
    """A node has a page and the heap one entry per node, however often prefixes are matched, locked and evicted."""
    cache, rng = Cache(2), random.Random(5)
    for _ in range(3000):
        tokens = [rng.randrange(3) for _ in range(rng.randrange(20))]
        cache.insert(tokens)
        found = cache.match(tokens)
        cache.tree.lock(found.node)
        if rng.random() < 0.5:
            cache.tree.evict(rng.randrange(8))
        cache.tree.unlock(found.node)
        assert len(cache.tree._heap) <= cache.tree.nodes <= cache.tree.total // 2
    assert len(cache.pages.owners) == cache.tree.total // 2
