"""The page pool: layout, typed views, owners, no page lost or given twice."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.engine.pages import Kind, Layout, Order, OutOfPages, PagePool

CPU = torch.device("cpu")


def layout(**changes) -> Layout:
    given_ = {"layers": 3, "kv_heads": 2, "head_dim": 8, "tokens": 4, "dtype": torch.float32}
    return Layout(**(given_ | changes))


@given(
    layers=st.integers(1, 5),
    kv_heads=st.integers(1, 3),
    head_dim=st.sampled_from([2, 8, 64]),
    tokens=st.sampled_from([1, 4, 16]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    label_bytes=st.integers(0, 40),
)
@settings(max_examples=50, deadline=None)
def test_views_tile_the_page_without_overlap(layers, kv_heads, head_dim, tokens, dtype, label_bytes):
    """Any KV type and head count: every layer's rows and labels have bytes of their own, inside their page."""
    lay = Layout(layers, kv_heads, head_dim, tokens, dtype, label_bytes)
    pool = PagePool(lay, 4 * lay.page_bytes, CPU)
    assert pool.capacity == 3
    table = pool.slab_table().view(4, lay.slabs, lay.slab_items)
    for layer in range(layers):
        table[2, layer] = layer + 1
        pool.labels(layer)[2] = layer + 101
    for layer in range(layers):
        assert bool((table[2, layer] == layer + 1).all())
        assert bool((pool.labels(layer)[2] == layer + 101).all())
        rows = pool.token_table().view(4, lay.slabs, tokens, -1)[2, layer]
        assert rows.shape == (tokens, 2 * kv_heads * head_dim) and bool((rows == layer + 1).all())
    others = [pool.page_bytes(page) for page in (0, 1, 3)]
    assert not any(bool(page.any()) for page in others)


def test_adapter_rows_of_any_width_lie_in_the_same_pages():
    """Under GQA an adapter row is wider than a KV row; both fit, and a page that changes its kind is cleared."""
    pool = PagePool(layout(), 3 * layout().page_bytes, CPU)
    page = pool.alloc(1, Kind.ADAPTER)[0]
    for width, dtype in ((100, torch.float32), (7, torch.bfloat16)):
        rows = pool.rows(page, width, dtype)
        assert rows.shape == (layout().page_bytes // (width * dtype.itemsize), width)
        rows.fill_(torch.nan)
    pool.release([page])
    assert pool.alloc(1, Kind.KV) == [page]
    assert not bool(pool.page_bytes(page).any())


def test_owners():
    pool = PagePool(layout(), 6 * layout().page_bytes, CPU)
    pages = pool.alloc(3)
    assert pages == [1, 2, 3] and pool.used == 3
    pool.share(pages[:1])
    pool.release(pages)
    assert (pool.used, pool.refs(1), pool.refs(2)) == (1, 1, 0)
    pool.release(pages[:1])
    assert pool.used == 0 and pool.alloc(1) == [1], "pages that were touched come back first"


def test_mistakes_are_refused_and_change_nothing():
    pool = PagePool(layout(), 4 * layout().page_bytes, CPU)
    pages = pool.alloc(2)
    with pytest.raises(OutOfPages, match="2 pages wanted, 1 of 3 free"):
        pool.alloc(2)
    assert pool.used == 2
    pool.release(pages)
    for call in (pool.release, pool.share):
        for wrong in (pages[:1], [0], [99], [-1]):
            with pytest.raises(ValueError, match="held by nobody"):
                call(wrong)
    with pytest.raises(OutOfPages, match="no two pages"):
        PagePool(layout(), layout().page_bytes, CPU)


@given(st.lists(st.tuples(st.sampled_from(["alloc", "share", "release"]), st.integers(0, 6)), max_size=60))
def test_accounting_matches_a_plain_count(actions):
    pool = PagePool(layout(), 8 * layout().page_bytes, CPU)
    owners: list[list[int]] = []
    for action, n in actions:
        if action == "alloc" and n <= pool.free:
            owners.append(pool.alloc(n))
        elif action == "share" and owners:
            pool.share(owners[n % len(owners)])
            owners.append(list(owners[n % len(owners)]))
        elif action == "release" and owners:
            pool.release(owners.pop(n % len(owners)))
        held = {page for group in owners for page in group}
        assert pool.used == len(held) and 0 not in held
        assert all(pool.refs(page) == sum(page in group for group in owners) for page in range(1, 8))


class Hoard:
    """Holds pages that nobody uses, and remembers who was asked when."""

    def __init__(self, pool: PagePool, pages: int, asked: list[tuple[str, int]], name: str) -> None:
        self.pool, self.asked, self.name = pool, asked, name
        self.pages = pool.alloc(pages, Kind.ADAPTER if name == "adapters" else Kind.KV)

    @property
    def reclaimable(self) -> int:
        return len(self.pages)

    def reclaim(self, pages: int) -> int:
        self.asked.append((self.name, pages))
        given, self.pages = self.pages[:pages], self.pages[pages:]
        self.pool.release(given)
        return len(given)


def test_idle_pages_count_as_room_and_adapters_go_before_prefixes():
    pool = PagePool(layout(), 11 * layout().page_bytes, CPU)
    asked: list[tuple[str, int]] = []
    prefixes, adapters = Hoard(pool, 4, asked, "prefixes"), Hoard(pool, 3, asked, "adapters")
    pool.add_reclaimer(Order.PREFIXES, prefixes)
    pool.add_reclaimer(Order.ADAPTERS, adapters)
    assert (pool.free, pool.available, pool.used) == (3, 10, 0)
    assert (pool.held(Kind.KV), pool.held(Kind.ADAPTER)) == (4, 3)
    first = pool.alloc(3)
    assert asked == [], "nobody is asked while pages are free"
    second = pool.alloc(2)
    assert asked == [("adapters", 2)] and pool.used == 5
    with pytest.raises(OutOfPages, match="6 pages wanted, 0 of 10 free"):
        pool.alloc(6)
    assert asked == [("adapters", 2)], "and nobody when it would not be enough"
    third = pool.alloc(5)
    assert asked[1:] == [("adapters", 5), ("prefixes", 4)]
    assert pool.leaks([first, second, third]) == []
    pool.release([*first, *second, *third])
    assert pool.leaks([]) == [] and pool.available == 10


def test_the_leak_check_finds_what_is_wrong():
    pool = PagePool(layout(), 5 * layout().page_bytes, CPU)
    pages = pool.alloc(2)
    assert pool.leaks([pages]) == []
    assert pool.leaks([]) == ["page 1 has 1 owners, of which 0 are known", "page 2 has 1 owners, of which 0 are known"]
    assert pool.leaks([pages, pages[:1]]) == ["page 1 has 1 owners, of which 2 are known"]
    pool.share(pages[1:])
    assert pool.leaks([pages, pages[1:]]) == []
    pool._free.append(pages[0])
    assert "the free list holds a page twice, or one that is held" in pool.leaks([pages, pages[1:]])


def test_a_page_of_rows_becomes_a_clean_page_of_keys_and_not_the_other_way_round():
    """Rows are addressed, so what a page held before does not matter to an adapter; masked keys are read."""
    pool = PagePool(layout(), 3 * layout().page_bytes, CPU)
    page = pool.alloc(1)
    pool.page_bytes(page[0]).fill_(255)
    pool.release(page)
    assert pool.alloc(1, Kind.ADAPTER) == page and bool(pool.page_bytes(page[0]).all()), "no time is spent on clearing"
    pool.release(page)
    assert pool.alloc(1) == page and not bool(pool.page_bytes(page[0]).any())


def test_memory_is_taken_only_as_pages_are_touched():
    """A gigabyte of pool costs nothing until pages are written; freed pages are used again before fresh ones."""

    def resident() -> int:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Rss:")) >> 10

    before = resident()
    pool = PagePool(layout(tokens=4096), 1 << 30, CPU)
    assert resident() - before < 32
    for _ in range(200):
        pages = pool.alloc(2)
        pool.page_bytes(pages[0]).fill_(1)
        pool.release(pages)
    assert resident() - before < 64
