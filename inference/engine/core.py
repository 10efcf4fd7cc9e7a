"""The engine: sequences in, tokens out, one forward pass per step. One thread calls everything here.

Who computes what is chosen in batch.py, how in model.py, what comes of it in sampler.py; this is where they meet.
Tests: tests/inference/engine/test_core.py.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from inference.engine import memory, sampler, weights
from inference.engine.adapters import Adapters
from inference.engine.batch import Batch
from inference.engine.compiled import CompiledModel, make_model
from inference.engine.config import EngineConfig
from inference.engine.model import Chunk
from inference.engine.pages import Kind
from inference.engine.residency import Adapter
from inference.engine.sequence import EXPIRED, SHED, FinishReason, RequestError, Sequence, StepOutput, TokenLogprob
from inference.scheduler.prefix_key import alike
from inference.scheduler.protocol import Arrival, Removal, Request, Scheduler

COPY_WAIT_S = 0.005  # with nothing to compute, wait so long for an adapter before looking at other news again
PROMPT_LOGPROB_ROWS = 32  # rows of scores held at once: 32 x 49152 floats are 6 MB


@dataclass(slots=True)
class Totals:
    """Counters since the start."""

    steps: int = 0
    output_tokens: int = 0
    computed_tokens: int = 0
    finished: dict[str, int] = field(default_factory=dict)


class EngineCore:
    """A model, its page pool, its adapters and the sequences in flight."""

    def __init__(self, config: EngineConfig, scheduler: Scheduler) -> None:
        """Load the model. ConfigError or ModelError when it cannot be served with these settings."""
        self.config, self.scheduler = config, scheduler
        device, dtype = memory.prepare(config)
        self.model_config = weights.read_config(config.model_path)
        shape = self.model_config
        self.pool = memory.pool_of(shape, config, dtype, device)
        self.context = memory.context_of(config, shape.context, self.pool)
        self.model = make_model(config, shape, self.pool, self.context)
        self.adapter_store = Adapters(shape, self.pool, config, self._rows_dtype(dtype))
        self._batch = Batch(config, self.pool, scheduler, self.context, self.adapter_store)
        self.adapter_store.gone = self._batch.prefix.forget
        self._late: list[StepOutput] = []  # news of sequences that no forward pass will mention
        self.totals = Totals()

    def _rows_dtype(self, dtype: torch.dtype) -> torch.dtype | None:
        """Of adapter rows in the pool; None is each file's own. Torch would widen them anew for each product."""
        asked = self.config.adapter_rows
        as_stored = asked == "file" or (asked == "auto" and isinstance(self.model, CompiledModel))
        return None if as_stored else dtype

    # -- requests --------------------------------------------------------------------------------------------------

    def add(self, seq: Sequence, now: float) -> Arrival:
        """Offer a sequence. RequestError when it can never be served; the scheduler may refuse it for now."""
        self._check(seq)
        adapter = self._adapter_of(seq)
        seq.request.input_len, seq.request.max_output = len(seq.prompt_ids), seq.params.max_tokens
        seq.request.prefix = alike(seq.request, seq.prompt_ids) if self.config.radix else None
        arrival = self.scheduler.arrive(seq.request, now)
        for request in arrival.shed:
            self._drop(request, SHED)
        if arrival.accepted:
            if adapter is not None:
                self.adapter_store.claim(seq.id, adapter)
            self._batch.prefix.attach(seq, self.adapter_store.key(seq.id))
            self._batch.waiting[seq.id] = seq
        return arrival

    def _check(self, seq: Sequence) -> None:
        length, wanted = len(seq.prompt_ids), seq.params.max_tokens
        if seq.id != seq.request.id or seq.id in self._batch.waiting or seq.id in self._batch.running:
            raise RequestError(f"request id {seq.id!r} is in use, or differs from its scheduler request")
        if not length:
            raise RequestError("the prompt has no tokens")
        if length + wanted > self.context:
            raise RequestError(
                f"the prompt has {length} tokens and max_tokens is {wanted}; together they exceed the context of "
                f"{self.context} tokens: shorten the prompt or lower max_tokens"
            )
        if not 0 <= min(seq.prompt_ids) <= max(seq.prompt_ids) < self.model_config.vocab:
            raise RequestError(f"token ids must lie between 0 and {self.model_config.vocab - 1}")
        for name in ("logprobs", "prompt_logprobs"):
            if (getattr(seq.params, name) or 0) > self.config.max_logprobs:
                raise RequestError(
                    f"{name} is {getattr(seq.params, name)}; at most {self.config.max_logprobs} are given"
                )

    def _adapter_of(self, seq: Sequence) -> Adapter | None:
        if seq.adapter is None:
            return None
        pages = self._batch.pages_for(len(seq.prompt_ids) + seq.params.max_tokens)
        return self.adapter_store.find(seq.adapter, beside=pages)

    def _drop(self, request: Request, why: str) -> None:
        """The scheduler has let go of a waiting request."""
        seq = self._batch.waiting.pop(request.id, None)
        if seq is not None:
            self.adapter_store.release(seq.id)
            self._late.append(StepOutput(seq.id, finish_reason="error", error=why, dropped=True))

    def abort(self, seq_id: str) -> bool:
        """End a sequence at once, its pages freed; no output follows. False when it is not here (any more)."""
        if seq_id in self._batch.waiting:
            self.scheduler.removed(self._batch.waiting.pop(seq_id).request, Removal.ABORTED)
            self.adapter_store.release(seq_id)
        elif seq_id in self._batch.running:
            self._batch.retire(self._batch.running[seq_id])
        else:
            return False
        self._count("abort")
        return True

    def has_work(self) -> bool:
        """Is anything running, waiting, still to be told or being copied?"""
        return bool(self._batch.running or self._batch.waiting or self._late or self.adapter_store.residency.loading())

    def wake_at(self, now: float) -> float | None:
        """When to step again if nothing arrives before: `now` while sequences run, else what the scheduler waits for."""
        return now if self._batch.running or self._late else self.scheduler.wake_at(now)

    # -- adapters --------------------------------------------------------------------------------------------------

    def load_adapter(self, name: str, path: Path) -> None:
        """Make the PEFT directory `path` available as `name`; AdapterError says why it cannot be."""
        self.adapter_store.register(name, self.adapter_store.warm(self.adapter_store.inspect(Path(path))))

    def unload_adapter(self, name: str) -> None:
        """Refuse new requests for `name`; accepted ones finish with it. AdapterError when unknown."""
        self.adapter_store.unload(name)

    def adapters(self) -> list[str]:
        """Names of the loaded adapters, sorted."""
        return self.adapter_store.names()

    def _fail_unreadable(self) -> None:
        """End the requests whose adapter turned out to be unreadable."""
        for seq_id, reason in self.adapter_store.poll():
            if seq_id in self._batch.waiting:
                self.scheduler.removed(self._batch.waiting.pop(seq_id).request, Removal.CANCELLED)
                self.adapter_store.release(seq_id)
            else:
                self._batch.retire(self._batch.running[seq_id])
            self._count("error")
            self._late.append(StepOutput(seq_id, finish_reason="error", error=reason))

    # -- one step --------------------------------------------------------------------------------------------------

    def step(self, now: float) -> list[StepOutput]:
        """Admit, run one forward pass if there is anything to compute, and say what each sequence got."""
        self._fail_unreadable()
        for request in self.scheduler.expired(now):
            self._drop(request, EXPIRED)
        told, self._late = self._late, []
        self._batch.admit(now)
        picks = self._batch.pick()
        self.adapter_store.prefetch_next(self.scheduler, self.config.prefetch_requests, self._batch.promised())
        if not picks:
            if not told:
                self.adapter_store.residency.wait(COPY_WAIT_S)
            return told
        states = self.model.forward([self._chunk(seq, count) for seq, count in picks])
        self.totals.steps += 1
        return told + self._collect(picks, states)

    def _chunk(self, seq: Sequence, count: int) -> Chunk:
        ids = seq.tokens(seq.num_computed, seq.num_computed + count)
        return Chunk(ids, seq.num_computed, seq.pages, self.adapter_store.rows(seq.id))

    def _collect(self, picks: Many[tuple[Sequence, int]], states: Tensor) -> list[StepOutput]:
        ready: list[Sequence] = []
        rows: list[int] = []
        row = 0
        for seq, count in picks:
            if seq.params.prompt_logprobs is not None:
                self._prompt_logprobs(seq, count, states[row : row + count])
            row += count
            seq.num_computed += count
            self._batch.prefix.computed(seq)
            self.totals.computed_tokens += count
            if seq.num_computed == len(seq):
                ready.append(seq)
                rows.append(row - 1)
        if not ready:
            return []
        tokens, found = self._choose(ready, states if len(rows) == row else states[rows])
        return [self._advance(seq, token, found.get(seq.id)) for seq, token in zip(ready, tokens, strict=True)]

    def _choose(self, ready: Many[Sequence], states: Tensor) -> tuple[list[int | None], dict[str, TokenLogprob]]:
        """A token per row of `states`, and log-probabilities of those that ask; scores are kept only where needed."""
        if all(seq.params.temperature == 0 and seq.params.logprobs is None for seq in ready):
            return sampler.finite(*self.model.best(states)), {}
        logits = self.model.logits(states)
        tokens = sampler.sample(logits, ready)
        return tokens, self._logprobs(ready, tokens, logits)

    def _logprobs(self, ready: Many[Sequence], tokens: Many[int | None], logits: Tensor) -> dict[str, TokenLogprob]:
        asked = [
            (row, seq, token)
            for row, (seq, token) in enumerate(zip(ready, tokens, strict=True))
            if seq.params.logprobs is not None and token is not None
        ]
        if not asked:
            return {}
        tops = [seq.params.logprobs or 0 for _, seq, _ in asked]
        found = sampler.logprobs(logits[[row for row, _, _ in asked]], [token for _, _, token in asked], tops)
        return {seq.id: logprob for (_, seq, _), logprob in zip(asked, found, strict=True)}

    def _prompt_logprobs(self, seq: Sequence, count: int, states: Tensor) -> None:
        """Score the prompt tokens that follow the `count` just computed; entry i belongs to prompt token i."""
        if seq.prompt_logprobs is None:
            seq.prompt_logprobs = [None] * len(seq.prompt_ids)
        first, end = seq.num_computed, min(seq.num_computed + count, len(seq.prompt_ids) - 1)
        top = seq.params.prompt_logprobs or 0
        for start in range(first, end, PROMPT_LOGPROB_ROWS):
            stop = min(start + PROMPT_LOGPROB_ROWS, end)
            logits = self.model.logits(states[start - first : stop - first])
            targets = seq.prompt_ids[start + 1 : stop + 1]
            seq.prompt_logprobs[start + 1 : stop + 1] = sampler.logprobs(logits, targets, [top] * len(targets))

    def _advance(self, seq: Sequence, token: int | None, logprob: TokenLogprob | None) -> StepOutput:
        if token is None:
            self._batch.retire(seq, keep=False)
            self._count("error")
            return StepOutput(seq.id, finish_reason="error", error="the model's scores are not finite")
        first = not seq.output_ids
        seq.output_ids.append(token)
        self._batch.prefix.sampled(seq)
        self.totals.output_tokens += 1
        self.scheduler.decoded(seq.request, 1)
        reason = _finish_reason(seq)
        if reason is not None:
            self._batch.retire(seq)
            self._count(reason)
        return StepOutput(
            seq.id,
            [token],
            None if logprob is None else [logprob],
            seq.prompt_logprobs if first else None,
            reason,
            cached_tokens=seq.cached_tokens if first else 0,
        )

    # -- figures ---------------------------------------------------------------------------------------------------

    def _count(self, reason: FinishReason) -> None:
        self.totals.finished[reason] = self.totals.finished.get(reason, 0) + 1

    def stats(self) -> dict[str, float]:
        """Gauges and counters for /metrics and operators; names ending in _total only grow."""
        totals = self.totals
        return {
            "running": len(self._batch.running),
            "waiting": len(self._batch.waiting),
            "context_tokens": self.context,
            "page_tokens": self.config.page_tokens,
            "pages": self.pool.capacity,
            "pages_used": self.pool.used,
            "pages_kv": self.pool.held(Kind.KV),
            "pages_adapter": self.pool.held(Kind.ADAPTER),
            **self.adapter_store.stats(),
            "steps_total": totals.steps,
            "prompt_tokens_total": self._batch.prompt_tokens,
            "output_tokens_total": totals.output_tokens,
            "computed_tokens_total": totals.computed_tokens,
            "preemptions_total": self._batch.preemptions,
            **self._batch.prefix.stats(self._batch.prompt_tokens),
            **{f"finished_{reason}_total": count for reason, count in sorted(totals.finished.items())},
        }


def _finish_reason(seq: Sequence) -> FinishReason | None:
    if seq.output_ids[-1] in seq.params.stop_token_ids:
        return "stop"
    return "length" if len(seq.output_ids) >= seq.params.max_tokens else None
