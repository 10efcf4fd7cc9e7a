"""Other rating packages on the same battles: .venv-ranking/bin/python -P tests/bench/_rating_peers.py PEER FOLDER REPLICATES.

FOLDER holds a.npy, b.npy, outcome.npy (0 A, 1 B, 2 and 3 tie) and models.json. Imports nothing of this repository. One line of
JSON: CPU seconds of this process (all threads) per bootstrap replicate, or per fit, loading and the first compilation left out.

- arena-rank 0.1.1: its own multinomial counts and its own fit of one replicate, in this process: its pool forks a process in
  which JAX has begun threads, and hangs.
- arenakit: its `bootstrap` by battle, half-credit ties.
- evalica: its `bootstrap` with percentiles (its default, BCa, also fits once without each battle).
- choix: one fit of the win matrix (ties half a win each); it has no bootstrap.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np

LEAST_S, MOST = 0.05, 10_000  # CPU seconds that a difference is told by; replicates that are tried for it


def arena_rank(models: list, a: np.ndarray, b: np.ndarray, outcome: np.ndarray, replicates: int) -> dict:
    import jax
    import pandas as pd
    from arena_rank.models import bradley_terry
    from arena_rank.utils.data_utils import PairDataset

    names = np.array(models)
    frame = pd.DataFrame(
        {
            "model_a": names[a],
            "model_b": names[b],
            "winner": np.array(["model_a", "model_b", "tie", "tie"])[outcome],
        }
    )
    data = PairDataset.from_pandas(frame)
    model = bradley_terry.BradleyTerry(len(data.competitors))
    model.fit(data)
    total = int(data.counts.sum())

    def run(count: int, seed: int) -> None:
        drawn = jax.random.multinomial(
            key=jax.random.PRNGKey(seed),
            n=total,
            p=data.counts / total,
            shape=(count, data.counts.shape[0]),
            dtype=model.dtype,
        )
        for row in drawn:
            jax.block_until_ready(bradley_terry.fit_single_bootstrap_sample(row, model, data))

    run(1, 0)
    begin = process_time()
    run(replicates, 42)
    return {"cpu_s_per_replicate": (process_time() - begin) / replicates}


def arenakit(models: list, a: np.ndarray, b: np.ndarray, outcome: np.ndarray, replicates: int) -> dict:
    from arenakit import boot
    from arenakit.schema import Arena

    arena = object.__new__(Arena)  # as its own `subset` does: a list of a million objects is not what is measured
    arena.models, arena.item, arena.voter = list(models), None, None
    arena.a, arena.b, arena.y = a.astype(np.int32), b.astype(np.int32), np.minimum(outcome, 2).astype(np.int8)
    return {"cpu_s_per_replicate": _per_replicate(lambda count: boot.bootstrap(arena, n_resamples=count), replicates)}


def evalica(models: list, a: np.ndarray, b: np.ndarray, outcome: np.ndarray, replicates: int) -> dict:
    import evalica as package

    names = np.array(models, object)
    winner = [package.Winner.X, package.Winner.Y, package.Winner.Draw, package.Winner.Draw]
    xs, ys, winners = names[a].tolist(), names[b].tolist(), [winner[one] for one in outcome]

    def run(count: int) -> None:
        package.bootstrap(
            package.bradley_terry, xs, ys, winners, n_resamples=count, bootstrap_method="percentile", random_state=1
        )

    replicate = _per_replicate(run, replicates)
    begin = process_time()
    package.bradley_terry(xs, ys, winners)
    return {"cpu_s_per_replicate": replicate, "cpu_s_per_fit": process_time() - begin}


def _per_replicate(run: Callable[[int], object], replicates: int) -> float:
    """CPU seconds of one replicate; the difference of two calls leaves out what each does once. More where few are too quick."""
    run(1)
    while True:
        times = []
        for count in (1, 1 + replicates):
            begin = process_time()
            run(count)
            times.append(process_time() - begin)
        if times[1] - times[0] >= LEAST_S or replicates >= MOST:
            return max(times[1] - times[0], 0.0) / replicates
        replicates *= 4


def choix(models: list, a: np.ndarray, b: np.ndarray, outcome: np.ndarray, replicates: int) -> dict:
    import choix as package

    points = np.zeros((len(models), len(models)))
    np.add.at(points, (a, b), np.array([1.0, 0.0, 0.5, 0.5])[outcome])
    np.add.at(points, (b, a), np.array([0.0, 1.0, 0.5, 0.5])[outcome])
    package.ilsr_pairwise_dense(points, alpha=0.0)
    begin = process_time()
    for _ in range(replicates):
        package.ilsr_pairwise_dense(points, alpha=0.0)
    return {"cpu_s_per_fit": (process_time() - begin) / replicates}


PEERS = {"arena_rank": arena_rank, "arenakit": arenakit, "evalica": evalica, "choix": choix}

if __name__ == "__main__":
    folder = Path(sys.argv[2])
    columns = (np.load(folder / f"{name}.npy") for name in ("a", "b", "outcome"))
    print(json.dumps(PEERS[sys.argv[1]](json.loads((folder / "models.json").read_text()), *columns, int(sys.argv[3]))))
