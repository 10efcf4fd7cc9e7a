"""Many adapters in one batch: every way equals float64; ranks, segments and company change nothing else."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import reference
from kernels.lora import TARGETS, Module, Table, add, rows_of
from tests.kernels.ways import C_WAYS, WAYS, close, randn, threads, using

INPUTS, WIDTH = 50, 90


def scattered(count: int, width: int, seed: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """`count` rows of `width` in blocks of 1 to 7 rows that lie apart, as views of something wider, as pages would hold them."""
    rng = random.Random(seed)
    blocks = []
    while count:
        rows = min(count, rng.randint(1, 7))
        blocks.append(randn(rows + 1, width + 3, seed=rng.randrange(1 << 30)).to(dtype)[1:, 2 : 2 + width])
        count -= rows
    return blocks


DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def adapter(seed: int, shapes: list[tuple[int, int, int]], dtype: torch.dtype = torch.float32) -> Table:
    """Two layers of modules (rank, begin, width) on target qkv, and one of rank 2 on down."""
    modules = {}
    for layer in (0, 1):
        at = 100 * seed + 10 * layer
        modules[layer, "qkv"] = [
            Module(scattered(rank, INPUTS, at + i, dtype), scattered(rank, width, at + i + 5, dtype), begin, 0.5 + i)
            for i, (rank, begin, width) in enumerate(shapes)
        ]
        modules[layer, "down"] = [Module(scattered(2, INPUTS, at + 8, dtype), scattered(2, WIDTH, at + 9, dtype), 0)]
    return Table(2, modules)


SHAPES = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 40), st.integers(1, 50)), min_size=0, max_size=3)
SEGMENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11), st.booleans()), min_size=0, max_size=5)


@pytest.mark.parametrize("way", WAYS)
@given(kinds=st.lists(SHAPES, min_size=1, max_size=4), runs=SEGMENTS, target=st.sampled_from(TARGETS))
@settings(max_examples=12, deadline=None)
def test_equals_float64(way, kinds, runs, target):
    """Empty segments, rows without an adapter, adapters without the target, ranks from 1 to 20 side by side, three dtypes."""
    tables = [adapter(i + 1, shapes, DTYPES[i % 3]) for i, shapes in enumerate(kinds)]
    segments, row = [], 0
    for which, length, skipped in runs:
        if not skipped:
            segments.append((row, row + length, tables[which % len(tables)]))
        row += length
    x, y = randn(row, INPUTS, seed=1), randn(row, WIDTH, seed=2)
    wanted = reference.lora(segments, 1, target, x, y)
    with using(way) as use:
        add(segments, 1, target, x, y, use)
    assert close(y, wanted, 5e-6)


@pytest.mark.parametrize("way", C_WAYS)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5), workers=st.integers(1, 3))
@settings(max_examples=12, deadline=None)
def test_a_row_is_the_same_bits_in_any_segment(way, lengths, workers):
    """Decode (one row) and prefill (many rows), whatever other adapters are in the batch."""
    tables = [adapter(1, [(8, 0, 48), (3, 48, 42)]), adapter(2, [(17, 5, 80)])]
    rows = sum(lengths)
    x, y = randn(rows, INPUTS, seed=1), randn(rows, WIDTH, seed=2)
    ends = torch.tensor(lengths).cumsum(0).tolist()
    segments = [(end - n, end, tables[i % 2]) for i, (end, n) in enumerate(zip(ends, lengths, strict=True))]
    alone = y.clone()
    with using(way) as use:
        for begin, end, table in segments:
            for row in range(begin, end):
                add([(0, 1, table)], 0, "qkv", x[row : row + 1], alone[row : row + 1], use)
        with threads(workers):
            add(segments, 0, "qkv", x, y, use)
    assert torch.equal(y, alone)


def test_a_share_of_rows_stored_together():
    blocks = [torch.arange(6).view(3, 2), torch.arange(6, 14).view(4, 2)]
    for begin in range(8):
        for end in range(begin, 8):
            wanted = torch.arange(14).view(7, 2)[begin:end]
            found = rows_of(blocks, begin, end)
            assert torch.equal(torch.cat(found) if found else wanted[:0], wanted)
            assert all(part._base is not None for part in found), "views, not copies"
