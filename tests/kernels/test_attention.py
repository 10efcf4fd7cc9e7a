"""Rotary embedding with the page write, and paged attention: every way equals float64, cuts and company change no bit."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import reference
from kernels.attention import attend, rope_scatter
from kernels.paged import Paging, Rows
from tests.kernels.ways import C_WAYS, WAYS, close, randn, threads, using

CONTEXT = 64
SHAPES = st.sampled_from([(4, 2, 16), (9, 3, 64), (3, 1, 32), (2, 2, 128), (8, 1, 16)])


def paging(heads: tuple[int, int, int], tokens: int, pages: int = 40, layers: int = 2) -> Paging:
    """An arena of garbage: what nobody wrote must reach no result."""
    _, kv, dim = heads
    slab = tokens * 2 * kv * dim
    arena = torch.full((pages * (layers + 1) * slab,), 1e30)
    return Paging(arena, (layers + 1) * slab, slab, tokens, kv, dim)


def rows_of(chunks: list[tuple[int, int]], tokens: int, seed: int = 0) -> Rows:
    """Rows of chunks (start, length), each of a sequence of its own, its pages anywhere."""
    free = list(range(1, 40))
    random.Random(seed).shuffle(free)
    rows = Rows([], [], [], [])
    for number, (start, length) in enumerate(chunks):
        rows.positions += range(start, start + length)
        rows.sequences += [number] * length
        rows.first.append(len(rows.table))
        rows.table += [free.pop() for _ in range(-(-(start + length) // tokens))]
    return rows


def fill(pages: Paging, rows: Rows, seed: int) -> None:
    """Random keys and values for every position up to each sequence's last row, in both layers."""
    last = dict(zip(rows.sequences, rows.positions, strict=True))
    rng = torch.Generator().manual_seed(seed)
    for sequence, end in last.items():
        for position in range(end + 1):
            for layer in (0, 1):
                token = pages.token(rows.page(sequence, position, pages.tokens), layer, position)
                token.copy_(torch.randn(token.shape, generator=rng))


CHUNKS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), min_size=0, max_size=3)


@pytest.mark.parametrize("way", WAYS)
@given(shape=SHAPES, tokens=st.sampled_from([1, 4, 16]), chunks=CHUNKS, seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_attention_equals_float64(way, shape, tokens, chunks, seed):
    tokens = tokens if sum(start + n for start, n in chunks) < 38 else 16
    pages, rows = paging(shape, tokens), rows_of(chunks, tokens, seed)
    fill(pages, rows, seed)
    heads, kv, dim = shape
    qkv = randn(len(rows.positions), (heads + 2 * kv) * dim, seed=seed) * 3
    q = qkv[:, : heads * dim].view(-1, heads, dim)
    with using(way) as use:
        found = attend(qkv, pages, rows, 1, use)
    assert close(found, reference.attention(q, pages, rows, 1).flatten(1), 5e-6)


@pytest.mark.parametrize("way", WAYS)
@given(shape=SHAPES, chunks=CHUNKS, seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_rope_scatter_equals_float64(way, shape, chunks, seed):
    heads, kv, dim = shape
    pages, rows = paging(shape, 16), rows_of(chunks, 16, seed)
    before = pages.arena.clone()
    qkv = randn(len(rows.positions), (heads + 2 * kv) * dim, seed=seed)
    cos, sin = randn(CONTEXT, dim, seed=1), randn(CONTEXT, dim, seed=2)
    parts = qkv.clone().view(-1, heads + 2 * kv, dim)
    turned = reference.rotate(parts[:, : heads + kv], cos[rows.positions], sin[rows.positions])
    with using(way) as use:
        rope_scatter(qkv, (cos, sin), pages, rows, 1, use)
    assert close(qkv.view(-1, heads + 2 * kv, dim)[:, : heads + kv], turned)
    for row, (sequence, position) in enumerate(zip(rows.sequences, rows.positions, strict=True)):
        token = pages.token(rows.page(sequence, position, 16), 1, position)
        assert close(token[0], turned[row, heads:])
        assert torch.equal(token[1], parts[row, heads + kv :])
        token.copy_(torch.full_like(token, 1e30))
    assert torch.equal(pages.arena, before), "nothing else was written"


@pytest.mark.parametrize("way", C_WAYS)
@given(shape=SHAPES, cuts=st.sets(st.integers(1, 39)), workers=st.integers(1, 3), others=CHUNKS)
@settings(max_examples=12, deadline=None)
def test_cuts_and_company_change_no_bit(way, shape, cuts, workers, others):
    """40 positions as one chunk, and in any pieces beside any others, on any number of threads."""
    heads, kv, dim = shape
    whole = rows_of([(0, 40)], 4)
    pages = paging(shape, 4, pages=80)
    fill(pages, whole, 1)
    qkv = randn(40, (heads + 2 * kv) * dim)
    with using(way) as use:
        once = attend(qkv, pages, whole, 0, use)
        bounds = [0, *sorted(cuts), 40]
        with threads(workers):
            for begin, end in zip(bounds, bounds[1:], strict=False):
                rows = rows_of(others, 4)
                count = len(rows.positions)
                rows.table = [40 + page for page in rows.table]
                fill(pages, rows, 2)
                rows.first.append(len(rows.table))
                rows.positions += range(begin, end)
                rows.sequences += [len(others)] * (end - begin)
                rows.table += whole.table
                mixed = attend(torch.cat((randn(count, qkv.shape[1], seed=3), qkv[begin:end])), pages, rows, 0, use)
                assert torch.equal(mixed[count:], once[begin:end])
