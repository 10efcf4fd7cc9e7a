"""The bound of docs/scheduling.md, held to in every interval of random traces.

A trace: 2 to 5 clients, some of them in one group, some requests in pairs, three classes, documents that may be shared between
clients, bursts and quiet; pool, lengths, admission interval and batch limit differ from trace to trace. The memory test is the
one that the bound asks for: a request starts when all that it may say is free.
"""

from __future__ import annotations

import random
from concurrent.futures import Executor
from dataclasses import dataclass

from inference.scheduler.arrivals import Job, in_order
from inference.scheduler.engine_model import EngineModel
from inference.scheduler.fairness import BacklogMonitor
from inference.scheduler.protocol import Request, ServiceClass
from inference.scheduler.registry import make_scheduler
from inference.scheduler.simulator import Simulator

INPUT_COST, OUTPUT_COST = 1.0, 2.0
PRICES = {
    ServiceClass.BATTLE: 1.0,
    ServiceClass.EXAM: 4.0,
    ServiceClass.SIMULATION: 4.0,
}  # 4 : 1 : 1, the largest pays 1


SLACKS = (0.0, 100.0, 400.0)


@dataclass(frozen=True)
class Claimed:
    """A policy and what is claimed of it: 2 (U + slack), and U more for what may be paid in advance."""

    policy: str
    options: dict[str, object]
    slack: float = 0.0
    in_advance: bool = False
    cached_is_free: bool = False

    def bound(self, jobs: list[Job], model: EngineModel) -> float:
        """U = output cost x tokens of the pool x the price of the dearest class that came."""
        u = OUTPUT_COST * model.pool_tokens * max(PRICES[job.klass] for job in jobs)
        return 2 * (u + self.slack + (u if self.in_advance else 0.0))


def trace(rng: random.Random) -> tuple[list[Job], EngineModel]:
    """Jobs and the engine that serves them."""
    pool, may_say = rng.randint(300, 1_500), rng.choice((20, 60, 120))
    clients = [(f"c{i}", rng.choice(("", "", "g", "h"))) for i in range(rng.randint(2, 5))]
    classes = list(ServiceClass) if rng.random() < 0.3 else [ServiceClass.BATTLE]
    span = rng.choice((0.0, 1.0, 5.0, 20.0))
    jobs: list[Job] = []
    for i in range(rng.randint(15, 50)):
        client, group = clients[min(int(rng.expovariate(1.0)), len(clients) - 1)]
        prefix = f"{rng.choice((client, 'all'))}.{rng.randrange(2)}" if rng.random() < 0.5 else ""
        prefix_len = 80 if prefix else 0
        sides = 2 if rng.random() < 0.2 else 1
        at = rng.uniform(0, span) if rng.random() < 0.7 else span / 2
        for side in range(sides):
            jobs.append(
                Job(
                    at + side * rng.choice((0.0, 0.02, 0.2)), client, prefix_len + rng.randint(1, 40),
                    rng.randint(1, may_say), prefix, prefix_len, group, rng.choice(classes),
                    f"t{i}" if sides == 2 else None, sides,
                )
            )  # fmt: skip
    model = EngineModel(
        pool, admit_every=rng.choice((1, 1, 10)), max_batch=rng.choice((4, 1_000)), max_output=may_say,
        whole=True, tell_lengths=True,
    )  # fmt: skip
    return in_order(jobs), model


def candidates(slack: float) -> dict[str, Claimed]:
    """Plain VTC, our best predicted one, and the one with locality."""
    ahead = {"lengths": "credibility"}
    return {
        "vtc": Claimed("vtc", {}),
        "vtc, predicted": Claimed("vtc", ahead, in_advance=True),
        "vtc_locality": Claimed("vtc_locality", {"slack": slack}, slack, cached_is_free=True),
        "vtc_locality, predicted": Claimed("vtc_locality", {"slack": slack, **ahead}, slack, True, True),
    }


def worst(claimed: Claimed, jobs: list[Job], model: EngineModel) -> float:
    """The largest difference in service, priced by class, that backlogged siblings had."""

    def cost(r: Request, n_in: int, n_out: int) -> float:
        computed = n_in if claimed.cached_is_free or n_out else r.input_len
        return PRICES[r.klass] * (INPUT_COST * computed + OUTPUT_COST * n_out)

    monitor = BacklogMonitor(cost)
    scheduler = make_scheduler(claimed.policy, max_waiting_per_client=10**9, max_waiting=10**9, **claimed.options)
    Simulator(scheduler, model, monitor).run(jobs)
    return monitor.worst


def attempt(seed: int) -> dict[str, float]:
    """One random trace: per policy its largest difference as a share of the bound."""
    rng = random.Random(seed)
    jobs, model = trace(rng)
    tried = candidates(rng.choice(SLACKS))
    return {name: worst(claimed, jobs, model) / claimed.bound(jobs, model) for name, claimed in tried.items()}


def keys(traces: int, pool: Executor) -> dict[str, object]:
    """bound_violations and traces_tried, over all policies; the tightest case of each is printed."""
    violations = 0
    closest: dict[str, float] = {}
    for seed, shares in enumerate(pool.map(attempt, range(traces), chunksize=50)):
        for name, share in shares.items():
            closest[name] = max(closest.get(name, 0.0), share)
            if share > 1:
                violations += 1
                print(f"seed {seed}: {name} is at {share:.3f} of its bound", flush=True)
    shown = "  ".join(f"{name} {share:.3f}" for name, share in closest.items())
    print("largest difference / bound:", shown, flush=True)
    return {"bound_violations": violations, "traces_tried": traces}
