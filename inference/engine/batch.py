"""Who is in the batch, and how many tokens each computes in a step.

Continuous batching: every decoding sequence gets one token, what is left of the token budget goes to chunks of prompts,
oldest first. When pages run out, the youngest sequence gives its pages back and is computed again later, output
included; the oldest is never disturbed, so the batch always moves. Which waiting request starts next is the scheduler's
decision alone. Before a sequence is disturbed, the pool takes back the pages that nobody needs now (`PagePool.alloc`). A
sequence whose adapter is still being copied into the pool has its slot and is passed over: it holds up nobody else.
Tests: tests/inference/engine/test_core.py, test_prefix.py, test_pool_progress.py.
"""

from __future__ import annotations

from collections.abc import Sequence as Many

from inference.engine.adapters import Adapters
from inference.engine.config import EngineConfig
from inference.engine.pages import Order, PagePool
from inference.engine.prefix import PrefixCache
from inference.engine.sequence import Sequence
from inference.scheduler.protocol import Request, Scheduler


class Batch:
    """Waiting and running sequences by id, and the pages of the running ones. `context` bounds a sequence's tokens."""

    def __init__(
        self, config: EngineConfig, pool: PagePool, scheduler: Scheduler, context: int, adapters: Adapters
    ) -> None:
        self.config, self.pool, self.scheduler, self.context = config, pool, scheduler, context
        self.adapters = adapters
        self.prefix = PrefixCache(config.page_tokens, pool, config.model_path.name, config.radix)
        pool.add_reclaimer(Order.PREFIXES, self.prefix)
        self.waiting: dict[str, Sequence] = {}
        self.running: dict[str, Sequence] = {}
        self.prompt_tokens = self.preemptions = self._admissions = 0

    def admit(self, now: float) -> None:
        """Start what the scheduler wants started, as long as it fits."""
        while requests := self.scheduler.peek(self._fits, self._cached_len, now):
            for request in requests:
                seq = self.waiting.pop(request.id)
                seq.admission, self._admissions = self._admissions, self._admissions + 1
                if not seq.preemptions:
                    self.prompt_tokens += len(seq.prompt_ids)
                self.running[seq.id] = seq
                uncached = self.prefix.start(seq)  # its prefix is locked before its adapter may take pages
                self.adapters.pin(seq.id)
                self.scheduler.admitted(request, uncached)

    def _cached_len(self, request: Request) -> int:
        return self.prefix.probe(self.waiting[request.id]).tokens

    def _fits(self, requests: Many[Request]) -> bool:
        """Is there a slot for each, and room for their tokens so far and their adapters beside what runs needs next?"""
        if len(self.running) + len(requests) > self.config.max_running:
            return False
        wanted = sum(self._wanted(self.waiting[r.id]) for r in requests)
        wanted += self.adapters.wanted_pages(r.id for r in requests)
        return self.promised() + wanted <= self.pool.available

    def _wanted(self, seq: Sequence) -> int:
        """Pages that are available now and would not be any more: those to fill, and cached ones that it would lock."""
        found = self.prefix.probe(seq)
        return self.pages_for(len(seq) + 1) - (found.tokens - found.evictable) // self.config.page_tokens

    def promised(self) -> int:
        """Pages that the running sequences need for their next tokens."""
        return sum(self.pages_for(len(seq) + 1) - len(seq.pages) + 1 for seq in self.running.values())

    def pages_for(self, tokens: int) -> int:
        """Pages that hold `tokens` tokens of one sequence."""
        return -(-min(tokens, self.context) // self.config.page_tokens)

    def pick(self) -> list[tuple[Sequence, int]]:
        """(sequence, tokens to compute), neighbours sharing an adapter; pages for all of them are reserved."""
        budget = self.config.batch_tokens
        picks: dict[str, int] = {}
        for seq in sorted(self.running.values(), key=lambda s: (len(s) - s.num_computed > 1, s.admission)):
            if seq.id not in self.running or not budget or not self._ready(seq):
                continue
            count = min(len(seq) - seq.num_computed, budget)
            for victim in self._reserve(seq, seq.num_computed + count):
                budget += picks.pop(victim, 0)
            if seq.id in self.running:
                picks[seq.id] = count
                budget -= count
        chosen = [(self.running[seq_id], count) for seq_id, count in picks.items()]
        return sorted(chosen, key=lambda pick: pick[0].adapter or "")

    def _ready(self, seq: Sequence) -> bool:
        """Is its adapter in the pool, and nobody else computing what it begins with?"""
        return self.adapters.ready(seq.id) and self.prefix.ready(seq, self.running)

    def _reserve(self, seq: Sequence, tokens: int) -> list[str]:
        """Give `seq` pages for `tokens` tokens, at the price of the youngest sequences, whose ids are returned."""
        victims: list[str] = []
        missing = self.pages_for(tokens) - len(seq.pages)
        while missing > self.pool.available:
            victim = max(self.running.values(), key=lambda s: s.admission)
            self._preempt(victim)
            victims.append(victim.id)
            if victim is seq:
                return victims
        if missing > 0:
            seq.pages += self.pool.alloc(missing)
        return victims

    def _preempt(self, seq: Sequence) -> None:
        del self.running[seq.id]
        self.prefix.release(seq)
        self.adapters.unpin(seq.id)
        seq.preemptions += 1
        self.preemptions += 1
        self.waiting[seq.id] = seq
        self.scheduler.preempted(seq.request)

    def retire(self, seq: Sequence, keep: bool = True) -> None:
        """A running sequence has ended, for whatever reason: its pages are free again, or stay cached if `keep`."""
        del self.running[seq.id]
        self.prefix.release(seq, keep)
        self.adapters.release(seq.id)
        self.scheduler.finished(seq.request)
