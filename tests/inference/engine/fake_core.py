"""A deterministic engine core behind the real seam: it says what the prompt tells it to, one byte per step.

The prompt's last `say(...)` is the reply, then the stop token comes; without one it counts `0123456789012...` for ever.
`boom(add)`, `boom(step)`, `boom(scores)` and `boom(abort)` in a prompt make the core fail in that place.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from inference.engine.sequence import Sequence, StepOutput, TokenLogprob
from inference.engine.text import ChatText
from inference.scheduler.protocol import Arrival, Removal, Scheduler
from tests.inference.engine.tiny_text import END


@dataclass
class FakeCore:
    """`slots` sequences run at once, each holding one page; a step takes `step_s` seconds."""

    scheduler: Scheduler
    text: ChatText
    slots: int = 4
    step_s: float = 0.0
    running: dict[str, Sequence] = field(default_factory=dict)
    waiting: dict[str, Sequence] = field(default_factory=dict)
    aborted: list[str] = field(default_factory=list)
    seen: list[Sequence] = field(default_factory=list)
    steps: int = 0

    def prompt(self, seq: Sequence) -> str:
        return self.text.tokenizer.decode(seq.prompt_ids, skip_special_tokens=False)

    def add(self, seq: Sequence, now: float) -> Arrival:
        if "boom(add)" in self.prompt(seq):
            raise RuntimeError("add exploded")
        answer = self.scheduler.arrive(seq.request, now)
        for request in answer.shed:
            del self.waiting[request.id]
        if answer.accepted:
            self.waiting[seq.id] = seq
            self.seen.append(seq)
        return answer

    def abort(self, seq_id: str) -> bool:
        self.aborted.append(seq_id)
        if seq_id in self.waiting:
            self.scheduler.removed(self.waiting.pop(seq_id).request, Removal.ABORTED)
            return True
        if seq_id not in self.running:
            return False
        if "boom(abort)" in self.prompt(self.running[seq_id]):
            raise RuntimeError("abort exploded")
        self.scheduler.finished(self.running.pop(seq_id).request)
        return True

    def has_work(self) -> bool:
        return bool(self.running or self.waiting)

    def wake_at(self, now: float) -> float | None:
        return now if self.running else self.scheduler.wake_at(now)

    def step(self, now: float) -> list[StepOutput]:
        self.steps += 1
        time.sleep(self.step_s)
        late = [self.waiting.pop(request.id) for request in self.scheduler.expired(now)]
        while requests := self.scheduler.peek(lambda rs: len(self.running) + len(rs) <= self.slots, lambda r: 0, now):
            for request in requests:
                self.running[request.id] = self.waiting.pop(request.id)
                self.scheduler.admitted(request, request.input_len)
        if any("boom(step)" in self.prompt(seq) for seq in self.running.values()):
            raise RuntimeError("step exploded")
        dropped = [StepOutput(seq.id, finish_reason="error", error="too late", dropped=True) for seq in late]
        return dropped + [self._advance(seq) for seq in list(self.running.values())]

    def _advance(self, seq: Sequence) -> StepOutput:
        if "boom(scores)" in self.prompt(seq):
            self._end(seq)
            return StepOutput(seq.id, finish_reason="error", error="scores exploded")
        token = self._token(seq)
        seq.output_ids.append(token)
        self.scheduler.decoded(seq.request, 1)
        finish = "length" if len(seq.output_ids) >= seq.params.max_tokens else None
        if token in seq.params.stop_token_ids:
            finish = "stop"
        if finish is not None:
            self._end(seq)
        first = len(seq.output_ids) == 1
        return StepOutput(
            seq.id,
            [token],
            None if seq.params.logprobs is None else [TokenLogprob(token, -0.5, 1, ((token, -0.5), (END, -1.5)))],
            self._prompt_logprobs(seq) if first and seq.params.prompt_logprobs is not None else None,
            finish,  # type: ignore[arg-type]
        )

    def _prompt_logprobs(self, seq: Sequence) -> list[TokenLogprob | None]:
        return [None, *(TokenLogprob(token, -2.0, 3, ((END, -0.1),)) for token in seq.prompt_ids[1:])]

    def _token(self, seq: Sequence) -> int:
        said = re.findall(r"say\((.*?)\)", self.prompt(seq), re.DOTALL)
        at = len(seq.output_ids)
        if not said:
            return self.text.tokenizer.encode(str(at % 10)).ids[0]
        ids = self.text.tokenizer.encode(said[-1]).ids
        return ids[at] if at < len(ids) else END

    def _end(self, seq: Sequence) -> None:
        self.scheduler.finished(self.running.pop(seq.id).request)

    def stats(self) -> dict[str, Any]:
        return {"running": len(self.running), "pages_used": len(self.running), "steps_total": self.steps}
