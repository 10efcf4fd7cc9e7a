"""Many adapters in one batch: every way equals float64; ranks, segments and company change nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import reference
from kernels.lora import TARGETS, Module, Table, add
from tests.kernels.ways import C_WAYS, WAYS, close, randn, threads, using

INPUTS, WIDTH = 50, 90


def scattered(count: int, width: int, seed: int) -> list[torch.Tensor]:
    """`count` rows of `width` that lie anywhere in a larger buffer, in no order."""
    store = randn(2 * count + 1, width + 3, seed=seed)
    order = torch.randperm(2 * count + 1, generator=torch.Generator().manual_seed(seed)).tolist()
    return [store[i, :width] for i in order[:count]]


def adapter(seed: int, shapes: list[tuple[int, int, int]], layers: int = 2) -> Table:
    """Modules (rank, begin, width) on every layer of target qkv, and one of rank 2 on down."""
    modules = {}
    for layer in range(layers):
        at = 100 * seed + 10 * layer
        group = [
            Module(scattered(rank, INPUTS, at + i), scattered(rank, width, at + i + 5), begin, 0.5 + i)
            for i, (rank, begin, width) in enumerate(shapes)
        ]
        modules[layer, "qkv"] = group
        modules[layer, "down"] = [Module(scattered(2, INPUTS, at + 8), scattered(2, WIDTH, at + 9), 0)]
    return Table(layers, modules)


SHAPES = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 40), st.integers(1, 50)), min_size=0, max_size=3)
SEGMENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11), st.booleans()), min_size=0, max_size=5)


@pytest.mark.parametrize("way", WAYS)
@given(kinds=st.lists(SHAPES, min_size=1, max_size=4), runs=SEGMENTS, target=st.sampled_from(TARGETS))
@settings(max_examples=12, deadline=None)
def test_equals_float64(way, kinds, runs, target):
    """Empty segments, rows without an adapter, adapters without the target, ranks from 1 to 20 side by side."""
    tables = [adapter(i + 1, shapes) for i, shapes in enumerate(kinds)]
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
