"""Replays calls through the engine's own batch, prefix cache and tree, with page numbers instead of memory and no model."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from inference.engine.batch import Batch
from inference.engine.config import EngineConfig
from inference.engine.pages import Layout, PagePool
from inference.engine.sequence import SamplingParams, Sequence
from inference.scheduler.prefix_key import PrefixKey, encode
from inference.scheduler.protocol import Arrival, CachedLen, Fits, Request
from inference.scheduler.radix import RadixTree
from tests.bench._prefix_workloads import Call

PAGE_TOKENS, POOL_TOKENS, MAX_RUNNING, BATCH_TOKENS, CONTEXT = 16, 20_480, 32, 128, 8192
ARRIVAL_SEED = 11


class NoAdapters:
    """What the batch asks of adapters, where nobody has one."""

    def wanted_pages(self, seq_ids: Iterable[str]) -> int:
        return 0

    def ready(self, seq_id: str) -> bool:
        return True

    def pin(self, seq_id: str) -> None: ...
    def unpin(self, seq_id: str) -> None: ...
    def release(self, seq_id: str) -> None: ...


class Lpm:
    """Longest cached prefix first, the older of equals: SGLang's order, for however many wait. Refuses nobody."""

    def __init__(self) -> None:
        self._waiting: dict[str, Request] = {}

    def waiting(self) -> int:
        return len(self._waiting)

    def wake_at(self, now: float) -> float | None:
        return None

    def expired(self, now: float) -> tuple[Request, ...]:
        return ()

    def upcoming(self, n: int) -> list[Request]:
        return list(islice(self._waiting.values(), n))

    def arrive(self, r: Request, now: float) -> Arrival:
        self._waiting[r.id] = r
        return Arrival(True)

    def peek(self, fits: Fits, cached_len: CachedLen, now: float) -> tuple[Request, ...]:
        chosen = max(self._waiting.values(), key=cached_len, default=None)
        return () if chosen is None or not fits((chosen,)) else (chosen,)

    def admitted(self, r: Request, uncached: int) -> None:
        del self._waiting[r.id]

    def preempted(self, r: Request) -> None:
        self._waiting = {r.id: r} | self._waiting

    def decoded(self, r: Request, n: int) -> None: ...
    def finished(self, r: Request) -> None: ...


class Asking:
    """Which calls may be asked: the first ones at once, in shuffled order, the others when those before them have ended."""

    def __init__(self, calls: Many[Call]) -> None:
        self._missing = {call.id: len(call.after) for call in calls}
        self._next: dict[str, list[Call]] = defaultdict(list)
        for call in calls:
            for name in call.after:
                self._next[name].append(call)
        self.first = [call for call in calls if not call.after]
        random.Random(ARRIVAL_SEED).shuffle(self.first)
        self.in_order = [*self.first, *(call for call in calls if call.after)]

    def ended(self, name: str) -> list[Call]:
        """The calls that waited for `name` alone."""
        for call in self._next[name]:
            self._missing[call.id] -= 1
        return [call for call in self._next[name] if not self._missing[call.id]]


@dataclass(slots=True)
class Outcome:
    """Tokens of all prompts, and how many of them were computed, each time that they were; replies computed again."""

    prompt: int = 0
    computed: int = 0
    again: int = 0
    steps: int = 0
    batch: Any = field(default=None, repr=False)

    @property
    def hit_rate(self) -> float:
        return 1 - self.computed / self.prompt


def replay(calls: Many[Call], pool_tokens: int = POOL_TOKENS) -> Outcome:
    """Serve all calls, with the replies that they name."""
    config = EngineConfig(
        Path("replay"), page_tokens=PAGE_TOKENS, max_running=MAX_RUNNING, max_batch_tokens=BATCH_TOKENS
    )
    layout = Layout(1, 1, 1, PAGE_TOKENS, torch.float32)  # of the memory, only the numbers of its pages are used
    pool = PagePool(layout, (pool_tokens // PAGE_TOKENS + 1) * layout.page_bytes, torch.device("cpu"))
    batch = Batch(config, pool, Lpm(), CONTEXT, NoAdapters())  # type: ignore[arg-type]
    replies, asking, outcome = {call.id: call.reply for call in calls}, Asking(calls), Outcome(batch=batch)
    for call in asking.first:
        _ask(batch, call, replies, outcome)
    while batch.running or batch.waiting:
        batch.admit(float(outcome.steps))
        outcome.steps += 1
        for seq, count in batch.pick():
            if _compute(batch, seq, count, replies[seq.id], outcome):
                for call in asking.ended(seq.id):
                    _ask(batch, call, replies, outcome)
    return outcome


def _ask(batch: Batch, call: Call, replies: dict[str, list[int]], outcome: Outcome) -> None:
    seq = sequence_of(call, replies)
    batch.scheduler.arrive(seq.request, 0.0)
    batch.prefix.attach(seq)
    batch.waiting[seq.id] = seq
    outcome.prompt += len(seq.prompt_ids)


def sequence_of(call: Call, replies: Mapping[str, list[int]]) -> Sequence:
    """The call as the engine takes it: greedy, exactly as long as its reply."""
    prompt = call.prompt(replies)
    request = Request(call.id, call.salt, input_len=len(prompt), meta={"cache_salt": call.salt})
    return Sequence(call.id, prompt, SamplingParams(temperature=0.0, max_tokens=len(call.reply)), None, request)


def _compute(batch: Batch, seq: Sequence, count: int, reply: list[int], outcome: Outcome) -> bool:
    """What the engine does with a step's result; whether the sequence has ended."""
    of_prompt = max(0, min(count, len(seq.prompt_ids) - seq.num_computed))
    outcome.computed += of_prompt
    seq.num_computed += count
    batch.prefix.computed(seq)
    if seq.num_computed < len(seq):
        outcome.again += count - of_prompt
        return False
    outcome.again += max(0, count - of_prompt - 1)
    seq.output_ids.append(reply[len(seq.output_ids)])
    batch.prefix.sampled(seq)
    if len(seq.output_ids) < len(reply):
        return False
    batch.retire(seq)
    return True


class _Nobody:
    def share(self, pages: list[int]) -> None: ...
    def release(self, pages: list[int]) -> None: ...


def optimum(calls: Many[Call]) -> float:
    """Hit rate of the offline optimum: one call after the other, depth first, pages of one token, nothing ever evicted."""
    tree = RadixTree(1, _Nobody())
    prompt = hits = 0
    replies = {call.id: call.reply for call in calls}
    for call in calls:
        key, tokens = PrefixKey("m", "", call.salt), call.prompt(replies)
        prompt += len(tokens)
        hits += tree.probe(key, encode(tokens[:-1])).tokens
        tokens += call.reply
        tree.insert(key, encode(tokens), list(range(len(tokens))))
    return hits / prompt
