"""`python -m inference.engine` as a process: with a random two-layer model, adapters, signals and sockets that are in use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.inference.engine.tiny import make_adapter, make_model
from tests.inference.engine.tiny_text import VOCAB, make_text

ROOT = Path(__file__).resolve().parents[3]
READY_S = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "tiny"
    make_model(path, vocab_size=VOCAB, max_position_embeddings=8192)
    make_adapter(path.parent / "adapters" / "pirate", seed=1, rank=4)
    return make_text(path)


class Engine:
    """An engine process; `url` once it is ready."""

    def __init__(self, *args: str, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "inference.engine", "--threads", "1", *args]
        clean = {k: v for k, v in os.environ.items() if k != "AGON_ENGINE_KEY"} | {"OMP_NUM_THREADS": "1"} | (env or {})
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_ready(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("engine ready on "), line + str(self.process.communicate(timeout=5))
        return line.removeprefix("engine ready on ").split(": ")[0].strip()

    def end(self, timeout: float = 20) -> tuple[int, str]:
        """(exit code, stderr)."""
        _, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, err

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def launch() -> Iterator[Any]:
    started: list[Engine] = []

    def start(*args: str, **kwargs: Any) -> Engine:
        started.append(Engine(*args, **kwargs))
        return started[-1]

    yield start
    for engine in started:
        engine.kill()


def session(uds: Path, key: str) -> aiohttp.ClientSession:
    connector = aiohttp.UnixConnector(str(uds))
    return aiohttp.ClientSession(
        connector=connector, headers={"Authorization": f"Bearer {key}"}, timeout=aiohttp.ClientTimeout(total=60)
    )


def body(**fields: Any) -> dict[str, Any]:
    plain = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "temperature": 0, "ignore_eos": True}
    return {**plain, "max_tokens": 20, **fields}


async def whole(client: aiohttp.ClientSession, **fields: Any) -> dict[str, Any]:
    async with client.post("http://engine/v1/chat/completions", json=body(**fields)) as reply:
        assert reply.status == 200, await reply.text()
        return dict(await reply.json())


async def test_life_of_a_process(launch: Any, model: Path, tmp_path: Path) -> None:
    """Key file, real tokens, an adapter, a client that leaves, SIGTERM with a stream open, exit code 0."""
    uds, key_file = tmp_path / "e.sock", tmp_path / "engine.key"
    adapters = str(model.parent / "adapters")
    engine = launch("--model", str(model), "--uds", str(uds), "--key-file", str(key_file), "--adapters-dir", adapters)
    assert engine.wait_ready() == f"unix:{uds}"
    assert key_file.stat().st_mode & 0o777 == 0o600
    async with session(uds, key_file.read_text().strip()) as client:
        base = await whole(client)
        assert base["usage"]["completion_tokens"] == 20
        again = await whole(client)
        assert again["choices"] == base["choices"], "greedy is deterministic"
        assert [_cached(answer) for answer in (base, again)] == [0, 16], "one page of 21 tokens"
        assert (await whole(client, model="pirate"))["choices"] != base["choices"]
        await _leaves_nothing_behind(client)
        await _drains(client, engine)
    assert engine.end() == (0, "")
    assert not uds.exists()


async def test_prefix_reuse_can_be_switched_off(launch: Any, model: Path, tmp_path: Path) -> None:
    uds, key_file = tmp_path / "e.sock", tmp_path / "engine.key"
    engine = launch("--model", str(model), "--uds", str(uds), "--key-file", str(key_file), "--radix", "off")
    engine.wait_ready()
    async with session(uds, key_file.read_text().strip()) as client:
        assert [_cached(await whole(client)) for _ in range(2)] == [0, 0]
        async with client.get("http://engine/metrics") as reply:
            assert "agon_engine_core_prefix_tokens 0\n" in await reply.text()


def _cached(answer: dict[str, Any]) -> int:
    return int(answer["usage"]["prompt_tokens_details"]["cached_tokens"])


async def _leaves_nothing_behind(client: aiohttp.ClientSession) -> None:
    stream = await client.post("http://engine/v1/chat/completions", json=body(stream=True, max_tokens=5000))
    await stream.content.readline()
    stream.close()
    deadline = time.monotonic() + 5
    pages = "?"
    while pages != "0" and time.monotonic() < deadline:
        async with client.get("http://engine/metrics") as reply:
            lines = dict(line.rsplit(" ", 1) for line in (await reply.text()).splitlines() if not line.startswith("#"))
        pages = lines["agon_engine_core_pages_used"]
    assert pages == "0", "a client that leaves gives its pages back"
    assert lines['agon_engine_requests_total{outcome="aborted"}'] == "1"


async def _drains(client: aiohttp.ClientSession, engine: Engine) -> None:
    async with client.post("http://engine/v1/chat/completions", json=body(stream=True, max_tokens=1500)) as stream:
        await stream.content.readline()
        engine.process.send_signal(signal.SIGTERM)
        status = "ok"
        while status == "ok":
            async with client.get("http://engine/health") as reply:
                status = (await reply.json())["status"]
        assert status == "draining"
        async with client.post("http://engine/v1/chat/completions", json=body()) as refused:
            assert refused.status == 503
            assert "Retry-After" in refused.headers
        text = (await stream.read()).decode()
    assert text.endswith("data: [DONE]\n\n"), "the open stream ends as it should"
    last = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")][-1]
    assert last["choices"][0]["finish_reason"] == "length"


def test_a_kill_leaves_no_block_and_a_live_socket_is_not_stolen(launch: Any, model: Path, tmp_path: Path) -> None:
    """kill -9 leaves a stale socket; the next start takes it over; a third start beside it is refused."""
    uds = tmp_path / "e.sock"
    args = ("--model", str(model), "--uds", str(uds), "--key-file", str(tmp_path / "k"))
    first = launch(*args)
    first.wait_ready()
    first.process.kill()
    first.end()
    assert uds.exists()
    second = launch(*args)
    second.wait_ready()
    code, err = launch(*args).end()
    assert code == 2
    assert err.strip() == f"engine: another process is listening on {uds}; stop it or choose another --uds"
    second.process.send_signal(signal.SIGINT)
    assert second.end()[0] == 0


@pytest.mark.parametrize(
    ("args", "env", "says"),
    [
        (["--host", "0.0.0.0"], {}, "set AGON_ENGINE_KEY or AGON_ENGINE_KEY_FILE"),  # noqa: S104
        (["--port", "0"], {"AGON_ENGINE_KEY": "short"}, "at least 16 printable"),
        (["--port", "0", "--adapter", "x"], {}, "must be NAME=DIR"),
        (["--port", "0", "--adapters-dir", "/nowhere"], {}, "is no directory"),
        (["--port", "0", "--adapter", "x=/nowhere"], {}, "nowhere"),
        (["--port", "0", "--pool-mb", "0"], {}, "pool_bytes is 0"),
    ],
)
def test_a_start_that_cannot_work_says_why_in_one_line(
    launch: Any, model: Path, tmp_path: Path, args: list[str], env: dict[str, str], says: str
) -> None:
    engine = launch("--model", str(model), "--key-file", str(tmp_path / "k"), *args, env=env)
    code, err = engine.end(READY_S)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_a_missing_model_says_why(launch: Any, tmp_path: Path) -> None:
    code, err = launch("--model", str(tmp_path), "--port", "0", "--key-file", str(tmp_path / "k")).end(READY_S)
    assert code == 2
    assert "tokenizer.json is missing" in err
