"""The policies of the bench `fairness` drive the real engine: two clients, one of which sends four times as much.

Both send more than their half for as long as the engine is watched (`STEPS` steps), evenly from a random phase (seed 5), so
both always wait; prompts of 24 to 56 random tokens, replies of exactly 24 to 40, at most 8 sequences at once. One step is
50 ms of the scheduler's clock: nothing here depends on how fast the machine is.

- engine_diff_vs_bound: the largest difference in service (input that was computed + 2 x output) of the two in any interval in
  which both waited, over 2 (E + P + Q) of docs/scheduling.md; the larger of plain VTC with predictions (Q = 0) and the
  engine's own default with a slack of 500. E is the longest input and all that the running may say, P what they may have
  paid in advance.
- engine_tokens_per_step_vs_fcfs: input and output tokens over engine steps, against FCFS on the same arrivals; the smaller one.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inference.scheduler.fairness import INPUT_COST, OUTPUT_COST, BacklogMonitor
from inference.scheduler.protocol import Arrival, Removal, Request, Scheduler
from inference.scheduler.registry import make_scheduler

STEPS, SMOKE_STEPS, STEP_S, SEED = 400, 150, 0.05, 5
PROMPT, REPLY, RUNNING = (24, 56), (24, 40), 8
RATES = {"busy": 0.6, "quiet": 0.15}  # requests a step; about .2 can be served
SLACK = 500.0
POLICIES: dict[str, tuple[str, dict[str, Any]]] = {
    "fcfs": ("fcfs", {}),
    "vtc, predicted": ("vtc_credibility", {"charge_cached": False}),
    "vtc+slack, predicted": ("vtc_locality_credibility", {"slack": SLACK}),
}
KEYS = ("engine_diff_vs_bound", "engine_tokens_per_step_vs_fcfs")


class Watched:
    """A scheduler whose events also go to a monitor. Everything else is the scheduler's own."""

    def __init__(self, inner: Scheduler, monitor: BacklogMonitor) -> None:
        self._inner, self._monitor, self._now = inner, monitor, 0.0
        self._resumed: set[str] = set()
        self.input_tokens = self.output_tokens = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def arrive(self, r: Request, now: float) -> Arrival:
        self._now = now
        answer = self._inner.arrive(r, now)
        if answer.accepted:
            self._monitor.arrived(r, now)
        for victim in answer.shed:
            self._monitor.left(victim, now)
        return answer

    def admitted(self, r: Request, uncached: int) -> None:
        self._inner.admitted(r, uncached)
        resumed = r.id in self._resumed
        self.input_tokens += 0 if resumed else r.input_len
        self._monitor.admitted(r, 0 if resumed else uncached, self._now)

    def decoded(self, r: Request, n: int) -> None:
        self._inner.decoded(r, n)
        self.output_tokens += n
        for _ in range(n):
            self._monitor.decoded((r,), self._now)

    def preempted(self, r: Request) -> None:
        self._inner.preempted(r)
        self._resumed.add(r.id)
        self._monitor.arrived(r, self._now)

    def removed(self, r: Request, reason: Removal) -> None:
        self._inner.removed(r, reason)
        self._monitor.left(r, self._now)


def arrivals(steps: int, rng: random.Random) -> list[tuple[int, str, int, int]]:
    """(step, client, tokens of the prompt, tokens of the reply), by step."""
    found = []
    for client, rate in RATES.items():
        at = rng.random() / rate
        while at < steps:
            found.append((int(at), client, rng.randint(*PROMPT), rng.randint(*REPLY)))
            at += 1 / rate
    return sorted(found, key=lambda job: job[0])


def bound(slack: float) -> float:
    """2 (E + P + Q); see the module."""
    running = OUTPUT_COST * RUNNING * REPLY[1]
    return 2 * (INPUT_COST * PROMPT[1] + running + running + slack)


def serve(model: Path, policy: str, steps: int) -> tuple[float, float, dict[str, float]]:
    """(largest difference, tokens per step, service per client) of one policy."""
    from inference.engine.config import EngineConfig
    from inference.engine.core import EngineCore
    from tests.inference.engine.tiny import sequence

    name, options = POLICIES[policy]
    monitor = BacklogMonitor()
    watched = Watched(make_scheduler(name, max_waiting_per_client=10**6, max_waiting=10**6, **options), monitor)
    core = EngineCore(EngineConfig(model, max_running=RUNNING), watched)  # type: ignore[arg-type]
    rng = random.Random(SEED)
    coming: Iterator[tuple[int, str, int, int]] = iter(arrivals(steps, rng))
    nxt = next(coming, None)
    for step in range(steps):
        while nxt is not None and nxt[0] <= step:
            _, client, n_in, n_out = nxt
            prompt = rng.choices(range(3, core.model_config.vocab), k=n_in)
            core.add(
                sequence(f"r{step}.{client}.{rng.random()}", prompt, client=client, max_tokens=n_out), step * STEP_S
            )
            nxt = next(coming, None)
        core.step(step * STEP_S)
    tokens = watched.input_tokens + watched.output_tokens
    return monitor.worst, tokens / core.totals.steps, watched.service()


def keys(smoke: bool) -> dict[str, object]:
    """The two keys; null where the demo model is not installed."""
    from tests.inference.engine.tiny import make_model

    root = Path(__file__).resolve().parents[2]
    model = Path(os.environ.get("AGON_MODELS_DIR", root / "var/models")) / "smollm2-135m-instruct"
    if not smoke and not (model / "config.json").exists():
        return {k: v for key in KEYS for k, v in ((key, None), (f"why_{key}", f"{model} is not installed"))}
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for policy in POLICIES:
            path = make_model(Path(folder) / "tiny") if smoke else model
            found[policy] = serve(path, policy, SMOKE_STEPS if smoke else STEPS)
            worst, per_step, service = found[policy]
            shares = "  ".join(f"{client} {cost:.0f}" for client, cost in sorted(service.items()))
            share = worst / bound(POLICIES[policy][1].get("slack", 0.0))
            print(
                f"engine {policy:22} difference {worst:6.0f} = {share:.2f} of the bound  tokens/step {per_step:.2f}  {shares}",
                flush=True,
            )
    ours = [policy for policy in POLICIES if policy != "fcfs"]
    shares = [found[policy][0] / bound(POLICIES[policy][1].get("slack", 0.0)) for policy in ours]
    ratios = [found[policy][1] / found["fcfs"][1] for policy in ours]
    return {KEYS[0]: round(max(shares), 4), KEYS[1]: round(min(ratios), 4)}
