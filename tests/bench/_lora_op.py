"""The low-rank part of one linear layer: the segmented kernel beside padding to the largest rank and one pass per adapter.

One layer of 1024 x 1024 and 32 rows (a decode step), each with an adapter of its own, ranks 8, 16, 32 and 64 in turn, float32.
vs_padded compares the low-rank addition alone with `torch.bmm` on A and B stacked and padded to rank 64 before the clock starts,
as an engine with slots of one size holds them. vs_one_pass compares the layer, base product included (the engine's own kernel in
both): all rows at once and the segmented addition, or each adapter's rows alone through both. The same with 8 adapters of
four rows each is shown beside them (`_8`). SETS of weights take turns, whose sum is over 8 x 32 MB of L3. CPU time, best of
ROUNDS passes over all sets.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear as torch_linear

from kernels import lora
from kernels.library import load
from kernels.linear import linear, pack

WIDTH, ROWS, RANKS, SCALE = 1024, 32, (8, 16, 32, 64), 0.5
SETS, ROUNDS = 32, 5
COUNTS = (32, 8)  # adapters among the rows
TARGET = "proj"


class Weights:
    """A base matrix, `count` adapters as tables, as padded stacks and as plain matrices, and a batch of rows."""

    def __init__(self, count: int, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=rng) / WIDTH**0.5

        base, self.x = random(WIDTH, WIDTH), random(ROWS, WIDTH)
        self.base = base if load() is None else pack(base, ("f32",))
        ranks = [RANKS[i % len(RANKS)] for i in range(count)]
        self.a, self.b = [random(rank, WIDTH) for rank in ranks], [random(rank, WIDTH) for rank in ranks]
        self.stack_a, self.stack_b = torch.zeros(count, max(RANKS), WIDTH), torch.zeros(count, max(RANKS), WIDTH)
        for i, rank in enumerate(ranks):
            self.stack_a[i, :rank], self.stack_b[i, :rank] = self.a[i], self.b[i]
        self.each, self.y = ROWS // count, torch.zeros(ROWS, WIDTH)
        modules = [lora.Module([a], [b], 0, SCALE) for a, b in zip(self.a, self.b, strict=True)]
        tables = [lora.Table(1, {(0, TARGET): [module]}) for module in modules]
        self.segments = [(i * self.each, (i + 1) * self.each, table) for i, table in enumerate(tables)]

    def segmented(self, use: str = "auto") -> Tensor:
        """Ours, the low-rank part alone, added to `y`."""
        lora.add(self.segments, 0, TARGET, self.x, self.y, use)
        return self.y

    def padded(self) -> Tensor:
        """The same, every adapter at the largest rank."""
        x, y = (t.view(len(self.a), self.each, WIDTH) for t in (self.x, self.y))
        low = torch.bmm(x, self.stack_a.transpose(1, 2))
        y.baddbmm_(low, self.stack_b, alpha=SCALE)
        return self.y

    def layer(self) -> Tensor:
        """Ours, base product and low-rank part."""
        y = linear(self.x, self.base)
        lora.add(self.segments, 0, TARGET, self.x, y)
        return y

    def one_pass(self) -> Tensor:
        """The same, one adapter after the other."""
        y = torch.empty(ROWS, WIDTH)
        for i, (a, b) in enumerate(zip(self.a, self.b, strict=True)):
            rows = slice(i * self.each, (i + 1) * self.each)
            y[rows] = linear(self.x[rows], self.base) + torch_linear(self.x[rows], a) @ b * SCALE
        return y


WAYS: dict[str, Callable[[Weights], Tensor]] = {
    "segmented": Weights.segmented,
    "padded": Weights.padded,
    "layer": Weights.layer,
    "one_pass": Weights.one_pass,
}


def cpu_ms(count: int, sets: int = SETS, rounds: int = ROUNDS) -> dict[str, float]:
    """CPU milliseconds of one batch in each way, which take turns."""
    weights = [Weights(count, seed) for seed in range(sets)]
    first = weights[0]
    once = first.segmented("torch").clone()
    torch.testing.assert_close(first.segmented(), 2 * once, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(first.padded(), 3 * once, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(first.one_pass(), first.layer(), rtol=1e-4, atol=1e-4)
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, way in WAYS.items():
            begin = time.process_time()
            for each in weights:
                way(each)
            took = 1000 * (time.process_time() - begin) / sets
            best[name] = min(best.get(name, took), took)
    return best


def table(sets: int = SETS, rounds: int = ROUNDS) -> dict[str, object]:
    """The keys of the result."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = {count: cpu_ms(count, sets, rounds) for count in COUNTS}
    finally:
        torch.set_num_threads(threads)
    result: dict[str, object] = {}
    for count, suffix in ((32, ""), (8, "_8")):
        took = found[count]
        result[f"vs_padded{suffix}"] = round(took["padded"] / took["segmented"], 2)
        result[f"vs_one_pass{suffix}"] = round(took["one_pass"] / took["layer"], 2)
        result[f"op_cpu_ms{suffix}"] = {name: round(ms, 3) for name, ms in took.items()}
    return result
