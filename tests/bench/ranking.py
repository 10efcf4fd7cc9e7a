"""`make bench NAME=ranking`: ratings, intervals and style control from stored counts, beside four other packages.

The same synthetic battles for all (_rating_boards.py; committed seeds). Each figure is CPU seconds of a process of its own, all
threads, the least of `--runs`, ours and the peers' in turn (_rating_run.py, _rating_peers.py); BLAS has one thread for ours,
which costs the least CPU, and peers keep their own settings.

- boot_cpu_s, boot_rss_mb: 1M battles, 100 models: pairs, fit, 1000 multinomial replicates, percentiles. boot_2m: 200 models;
  boot_10m: 10M battles, 500 models. ours_cpu_s_per_replicate: boot_cpu_s / 1000.
- fit_s: fit, sandwich, max-t intervals, ranks. refit_ms: the warm fit after one more vote.
- style_cpu_s, style_rss_mb: 1M battles with eight covariates, read in chunks: Newton and sandwich intervals.
- arena_rank, arenakit, evalica: per replicate of their bootstrap; choix: per fit of the win matrix. FastChat's package on PyPI
  lacks its rating code; .227 CPU-s per replicate was measured from its repository and stands for it.

`--votes FILE`: the votes of a file instead of the first board (any format of docs/importing.md; judges and style counts if there
are); the larger boards are left out. Exit code 2 with one line if the file is wrong. `--smoke`: toy size, no peers. Peers need
`make bench-peers` (.venv-ranking).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench import _peers, _rating_boards, _rating_run

REPLICATES = 1000
BOARDS = {"": (100, 1_000_000), "2m": (200, 2_000_000), "10m": (500, 10_000_000)}
SMOKE = {"": (8, 4000), "2m": (12, 6000), "10m": (16, 9000)}
PEER_REPLICATES = {"arena_rank": 3, "arenakit": 20, "evalica": 3, "choix": 20}
PEER_KEYS = (*(f"{name}_cpu_s_per_replicate" for name in ("arena_rank", "arenakit", "evalica")), "choix_cpu_s_per_fit")
OUR_KEYS = ("boot_cpu_s", "boot_rss_mb", "ours_cpu_s_per_replicate", "fit_s", "refit_ms")
STYLE_KEYS = ("style_cpu_s", "style_rss_mb")
TIMEOUT_S = 600.0


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=Path, help="file of votes instead of the synthetic battles")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    return parser.parse_args()


def job(name: str, folder: Path, replicates: int = REPLICATES) -> dict[str, Any]:
    """One job of ours in a process of its own."""
    command = [sys.executable, "-m", "tests.bench._rating_run", name, str(folder), str(replicates)]
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return _answer(command, _peers.ROOT, {**os.environ, **one_thread})


def peer(name: str, folder: Path) -> dict[str, Any]:
    """One peer in its own environment, away from this repository."""
    script = Path(__file__).with_name("_rating_peers.py")
    command = [*_peers.python("ranking"), str(script), name, str(folder), str(PEER_REPLICATES[name])]
    return _answer(command, folder, _peers.quiet_env(JAX_PLATFORMS="cpu"))


def _answer(command: list[str], where: Path, env: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=where, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[-4:])}: {done.stderr.strip()[-600:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def write(battles: _rating_boards.Battles, folder: Path) -> None:
    """Columns as files, for the jobs that need rows."""
    (folder / "models.json").write_text(json.dumps(list(battles.models)))
    for name in ("a", "b", "outcome", "judge", "features"):
        column = getattr(battles, name)
        if column is not None:
            np.save(folder / f"{name}.npy", column)


def least(results: list[dict[str, Any]], key: str = "cpu_s") -> float:
    return float(min(result[key] for result in results))


def ours_and_peers(folder: Path, runs: int, without_peers: str) -> dict[str, Any]:
    """The first board: ours and the peers in turn."""
    boots, fits, asked = [], [], iter([] if without_peers else list(PEER_REPLICATES))
    figures: dict[str, Any] = {}
    for _ in range(runs):
        boots.append(job("boot", folder))
        fits.append(job("fit", folder))
        figures |= _some_peers(asked, folder, -(-len(PEER_REPLICATES) // runs))
    if without_peers:
        figures = null(PEER_KEYS, without_peers)
    boot = least(boots)
    return {
        "boot_cpu_s": boot,
        "boot_rss_mb": max(result["rss_mb"] for result in boots),
        "ours_cpu_s_per_replicate": boot / REPLICATES,
        "models": boots[0]["models"],
        "battles": boots[0]["battles"],
        "helped": boots[0]["helped"],
        **_half_width(boots[0]["half_width_vs_sandwich"]),
        "fit_s": least(fits),
        "refit_ms": least(fits, "refit_ms"),
        **figures,
    }


def _half_width(ratio: float) -> dict[str, Any]:
    key = "half_width_vs_sandwich"
    return {key: ratio} if math.isfinite(ratio) else null((key,), "the votes have no spread")


def _some_peers(asked: Iterator[str], folder: Path, count: int) -> dict[str, Any]:
    """The next `count` peers; one that fails is null with its reason."""
    figures: dict[str, Any] = {}
    for _, name in zip(range(count), asked, strict=False):
        (wanted,) = (key for key in PEER_KEYS if key.startswith(f"{name}_cpu"))
        figures |= or_null((wanted,), partial(_named, name, folder))
    return figures


def _named(name: str, folder: Path) -> dict[str, Any]:
    return {f"{name}_{key}": value for key, value in peer(name, folder).items()}


def larger(folder: Path, boards: dict[str, tuple[int, int]], runs: int) -> dict[str, Any]:
    """The boards of 2M and 10M battles."""
    figures: dict[str, Any] = {}
    for name in ("2m", "10m"):
        _rating_run.save(_rating_boards.stored(*boards[name]), folder)
        results = [job("boot", folder) for _ in range(runs if name == "2m" else 1)]
        figures[f"boot_{name}_cpu_s"] = least(results)
        figures[f"boot_{name}_rss_mb"] = max(result["rss_mb"] for result in results)
    return figures


def style_figures(folder: Path, battles: _rating_boards.Battles, runs: int) -> dict[str, Any]:
    """Style control of `battles`."""
    write(battles, folder)
    del battles
    results = [job("styled", folder) for _ in range(min(runs, 2))]
    return {
        "style_cpu_s": least(results),
        "style_rss_mb": max(result["rss_mb"] for result in results),
        "style_covariates": results[0]["covariates"],
    }


def synthetic(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All keys on the committed boards."""
    boards = SMOKE if options.smoke else BOARDS
    battles = _rating_boards.synthetic(*boards[""])
    write(battles, folder)
    _rating_run.save(battles.tally(), folder)
    del battles
    figures = ours_and_peers(folder, options.runs, "--smoke" if options.smoke else _peers.absent("ranking"))
    figures |= larger(folder, boards, options.runs)
    return figures | style_figures(folder, _rating_boards.styled(*boards[""]), options.runs)


def of_file(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The keys that a file of votes can give."""
    battles = _rating_boards.read(options.votes)
    write(battles, folder)
    _rating_run.save(battles.tally(), folder)
    without_peers = "--smoke" if options.smoke else _peers.absent("ranking")
    figures = or_null((*OUR_KEYS, *PEER_KEYS), lambda: ours_and_peers(folder, options.runs, without_peers))
    figures |= null(("boot_2m_cpu_s", "boot_10m_cpu_s", "boot_10m_rss_mb"), "--votes: only the file's board")
    if battles.judge is not None:
        by_judge = or_null(("cpu_s",), lambda: job("clustered", folder))
        figures |= {re.sub("^(why_)?", r"\g<0>clustered_", key): value for key, value in by_judge.items()}
    if battles.features is None:
        return figures | null(STYLE_KEYS, "not every vote of the file has style counts (chars_a ... bold_b)")
    return figures | or_null(STYLE_KEYS, lambda: style_figures(folder, battles, options.runs))


def or_null(keys: Sequence[str], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` finds, or null with the reason."""
    try:
        return measure()
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return null(keys, str(error).splitlines()[-1][-300:])


def null(keys: Sequence[str], why: str) -> dict[str, Any]:
    return dict.fromkeys(keys) | {f"why_{key}": why for key in keys}


def main() -> None:
    """Measure and print one line of JSON."""
    options = arguments()
    options.runs = 1 if options.smoke else options.runs
    with tempfile.TemporaryDirectory(prefix="agon-ranking-") as name:
        try:
            figures = (of_file if options.votes else synthetic)(Path(name), options)
        except (ValueError, OSError) as error:
            if not options.votes:
                raise
            sys.stderr.write(f"{options.votes}: {' '.join(str(error).split())}\n")
            sys.exit(2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
