"""One measured job of `make bench NAME=ranking` in a process of its own: `python -m tests.bench._rating_run JOB FOLDER`.

FOLDER holds what was prepared (`stored.npz` counts, or columns of battles as files); the answer is one line of JSON. CPU seconds
are those of this process, all threads, from the stored counts to the last figure; memory is its highest resident size.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from ranking.estimators import bootstrap, bradley_terry, connectivity, few_judges, ranks, sandwich, simultaneous, style
from ranking.estimators.judges import JudgeTally
from ranking.estimators.style_rows import Chunk
from ranking.estimators.tally import Pairs, Tally

COLUMNS = ("first", "second", "first_was_a", "outcome", "count", "inverse_p", "inverse_p2")
CHUNK = 1 << 17  # battles that are read at a time
REFITS = 51


def save(tally: Tally, folder: Path) -> None:
    """Counts as the database holds them."""
    np.savez(folder / "stored.npz", models=tally.models, **{name: getattr(tally, name) for name in COLUMNS})


def load(folder: Path) -> Tally:
    """The largest group of models that can be fitted together."""
    with np.load(folder / "stored.npz") as stored:
        tally = Tally(tuple(stored["models"].tolist()), *(stored[name] for name in COLUMNS))
    group = connectivity.ranked_group(tally.pairs())
    if not len(group.members):
        raise SystemExit("no two models can be fitted together")
    return tally.select(group.members)


def boot(folder: Path, replicates: int) -> dict[str, Any]:
    """Stored counts -> ratings and percentile intervals."""
    tally = load(folder)
    begin = process_time()
    pairs = tally.pairs()
    theta = bradley_terry.fit(pairs).theta
    made = bootstrap.multinomial(pairs, theta, seed=1, replicates=replicates)
    lower, upper = bootstrap.percentiles(made.thetas)
    spent = process_time() - begin
    with np.errstate(invalid="ignore"):  # nothing but ties: 0 / 0
        half = (upper - lower) / 2 / (1.959963984540054 * sandwich.battle(tally, theta).se)
    return {
        "cpu_s": spent,
        "rss_mb": peak_mb(),
        "helped": made.helped,
        "by_newton": made.by_newton,
        "models": tally.size,
        "battles": tally.total,
        "half_width_vs_sandwich": float(np.median(half)),
    }


def fit(folder: Path, replicates: int) -> dict[str, Any]:
    """Stored counts -> ratings, sandwich, simultaneous intervals, ranks; and a warm fit after one more vote."""
    tally = load(folder)
    times = []
    for _ in range(5):
        begin = process_time()
        pairs = tally.pairs()
        theta = bradley_terry.fit(pairs).theta
        covariance = sandwich.battle(tally, theta)
        joint = simultaneous.max_t(theta, covariance, seed=1)
        ranks.bounds(joint.lower, joint.upper)
        times.append(process_time() - begin)
    return {"cpu_s": statistics.median(times), "refit_ms": 1000 * _refit(pairs, theta), "models": tally.size}


def _refit(pairs: Pairs, theta: np.ndarray) -> float:
    """Median CPU seconds of the fit after one more vote, begun at the last estimate; a new vote each time."""
    times, rng = [], np.random.default_rng(1)
    for _ in range(REFITS):
        won = pairs.won.copy()
        won[rng.integers(len(won))] += 1
        more = replace(pairs, won=won)
        begin = process_time()
        bradley_terry.fit(more, theta)
        times.append(process_time() - begin)
    return statistics.median(times)


def clustered(folder: Path, replicates: int) -> dict[str, Any]:
    """Battles with judges -> the bootstrap by judge (only with --votes)."""
    models = json.loads((folder / "models.json").read_text())
    whole = JudgeTally.of_battles(models, *(np.load(folder / f"{name}.npy") for name in ("a", "b", "outcome", "judge")))
    tally = whole.select(connectivity.ranked_group(whole.tally().pairs()).members)
    begin = process_time()
    theta = bradley_terry.fit(tally.tally().pairs()).theta
    made = bootstrap.clustered(tally, theta, seed=1, replicates=replicates)
    bootstrap.percentiles(made.thetas)
    spent = process_time() - begin
    ratio = few_judges.clustered(tally, theta).se / sandwich.battle(tally.tally(), theta).se
    return {"cpu_s": spent, "rss_mb": peak_mb(), "judges": tally.judges, "vs_battle_se": float(np.median(ratio))}


def styled(folder: Path, replicates: int) -> dict[str, Any]:
    """Battles and covariates, read in chunks -> ratings, coefficients and their intervals."""
    models = json.loads((folder / "models.json").read_text())
    begin = process_time()
    width = np.load(folder / "features.npy", mmap_mode="r").shape[1]
    _group, fitted = style.control(models, [f"x{i}" for i in range(width)], _chunks(folder, width))
    if fitted is None:
        raise SystemExit("no two models can be fitted together")
    return {"cpu_s": process_time() - begin, "rss_mb": peak_mb(), "covariates": width}


def _chunks(folder: Path, width: int) -> Iterator[Chunk]:
    """The columns' files are read, not mapped, so that the memory seen is the estimator's."""
    files = {name: (folder / f"{name}.npy").open("rb") for name in ("a", "b", "outcome", "features")}
    for file in files.values():
        version = np.lib.format.read_magic(file)
        (np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
    while True:
        a, b, outcome = (np.fromfile(files[name], np.int32, CHUNK) for name in ("a", "b", "outcome"))
        if not len(a):
            return
        yield Chunk(a, b, outcome, np.fromfile(files["features"], np.float32, CHUNK * width).reshape(-1, width))


def peak_mb() -> float:
    """Highest resident size of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


JOBS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "boot": boot,
    "fit": fit,
    "clustered": clustered,
    "styled": styled,
}

if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))))
