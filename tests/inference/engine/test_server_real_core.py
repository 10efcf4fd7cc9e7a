"""The server on the real core: a random two-layer model under a storm of clients, and the demo model."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inference.engine.config import EngineConfig
from inference.engine.core import EngineCore
from inference.engine.text import ChatText
from inference.scheduler.protocol import Scheduler
from tests.inference.engine.serving import Client, serving, until
from tests.inference.engine.tiny import make_adapter, make_model
from tests.inference.engine.tiny_text import VOCAB, make_text

PAGES_OF_TINY = 200 * 1024  # bytes: 50 pages of 4 tokens, so that sequences are preempted


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "tiny"
    make_model(path, vocab_size=VOCAB, max_position_embeddings=512)
    return make_text(path)


def core(directory: Path, adapters: dict[str, Path], **settings: Any) -> Callable[[Scheduler, ChatText], EngineCore]:
    def build(scheduler: Scheduler, text: ChatText) -> EngineCore:
        made = EngineCore(EngineConfig(directory, threads=1, **settings), scheduler)
        for name, path in adapters.items():
            made.load_adapter(name, path)
        return made

    return build


async def one_client(engine: Client, rng: random.Random, name: int) -> str:
    """Ask, and now and then leave before the end; returns what became of it."""
    xargs = {"client": f"c{name % 7}", "group": f"g{name % 3}", "class": rng.choice(["battle", "exam"])}
    if rng.random() < 0.4:
        xargs |= {"pair": f"turn{name // 2}", "pair_size": 2}
    fields: dict[str, Any] = {"ignore_eos": rng.random() < 0.5, "max_tokens": rng.randint(1, 60), "vllm_xargs": xargs}
    fields |= {"stream": rng.random() < 0.7, "model": rng.choice(["tiny", "pirate"]), "seed": name, "temperature": 0.8}
    fields |= {"stop": "7"} if rng.random() < 0.2 else {}
    await asyncio.sleep(rng.random() * 0.5)
    try:
        async with asyncio.timeout(rng.random() * 0.3 if rng.random() < 0.3 else 60):
            answer = await engine.ask("x" * rng.randint(1, 80), **fields)
    except TimeoutError:
        return "left"
    if answer.status == 503:
        assert answer.error["code"] in {"queue_full", "shed"}
        return "refused"
    assert answer.status == 200, answer.raw
    if not fields["stream"]:
        assert json.loads(answer.raw)["choices"][0]["finish_reason"] in {"stop", "length"}
    elif "[DONE]" not in answer.raw:
        assert answer.error["code"] == "shed"
        return "refused"
    return "answered"


@pytest.mark.parametrize("seed", [1, 2])
async def test_after_a_storm_nothing_is_left(tiny: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    adapters = {"pirate": make_adapter(tmp_path / "pirate", seed=1, rank=4)}
    build = core(tiny, adapters, pool_bytes=PAGES_OF_TINY, page_tokens=4, max_running=6, max_context=190)
    scheduling = {"max_waiting_per_client": 4, "max_waiting": 20}
    async with serving(tiny, tmp_path / "e.sock", core=build, adapters=("pirate",), **scheduling) as engine:
        rngs = [random.Random(rng.random()) for _ in range(120)]
        ends = await asyncio.gather(*(one_client(engine, r, i) for i, r in enumerate(rngs)))
        assert ends.count("answered") > 20
        assert ends.count("left") > 0
        await until(lambda: not engine.app.runner.open)
        stats = await engine.app.runner.call(engine.core.stats)
        assert (stats["running"], stats["waiting"], stats["pages_used"]) == (0, 0, 0)
        assert stats["preemptions_total"] > 0, "memory was short, as meant"
        assert engine.core.scheduler.waiting() == 0
        assert engine.app.runner.failed_steps == 0
        assert (await engine.get("/health")).status == 200


@pytest.mark.demo_model
async def test_the_demo_model_answers(demo_model: Path, tmp_path: Path) -> None:
    """Streamed and whole answers are one text, log-probabilities are of its tokens, stop strings and seeds hold."""
    build = core(demo_model, {}, max_context=512)
    async with serving(demo_model, tmp_path / "e.sock", core=build) as engine:
        engine.session._timeout = aiohttp.ClientTimeout(total=120)
        question = "What is the capital of France?"
        streamed = await engine.ask(question, max_tokens=12, logprobs=True, top_logprobs=2)
        whole = json.loads((await engine.ask(question, max_tokens=12, stream=False)).raw)["choices"][0]
        assert "Paris" in streamed.text
        assert whole["message"]["content"] == streamed.text
        content = [x for e in streamed.events for c in e["choices"] if c["logprobs"] for x in c["logprobs"]["content"]]
        assert "".join(entry["token"] for entry in content) == streamed.text
        assert all(entry["top_logprobs"][0]["token"] == entry["token"] for entry in content), "greedy"
        cut = await engine.ask(question, max_tokens=12, stop=["ari"])
        assert cut.text == streamed.text[: streamed.text.index("ari")]
        drawn = [(await engine.ask(question, max_tokens=8, temperature=1.0, seed=3)).text for _ in range(2)]
        assert drawn[0] == drawn[1]
