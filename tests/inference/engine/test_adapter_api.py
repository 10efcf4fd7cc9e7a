"""Load and unload over HTTP on the real core: vLLM's words, drained users, and an engine that no garbage takes down."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inference.engine import peft
from inference.engine.chat import ChatLimits
from inference.engine.config import EngineConfig
from inference.engine.core import EngineCore
from inference.engine.text import ChatText
from inference.scheduler.protocol import Scheduler
from tests.inference.engine.serving import Answer, Client, serving, until
from tests.inference.engine.tiny import make_adapter, make_model
from tests.inference.engine.tiny_text import VOCAB, make_text

LIMITS = ChatLimits(context=512)
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "tiny"
    make_model(path, vocab_size=VOCAB, max_position_embeddings=512)
    return make_text(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_adapter(tmp_path / "adapters" / "pirate", seed=1)
    return tmp_path / "adapters"


def build(model: Path) -> Any:
    def made(scheduler: Scheduler, text: ChatText) -> EngineCore:
        return EngineCore(EngineConfig(model, threads=1, pool_bytes=4 << 20, page_tokens=4), scheduler)

    return made


@pytest.fixture
async def engine(model: Path, root: Path, tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(model, tmp_path / "e.sock", core=build(model), adapters_dir=root, limits=LIMITS) as client:
        yield client


async def load(engine: Client, name: str, **fields: Any) -> Answer:
    return await engine.post({"lora_name": name, **fields}, LOAD)


async def names(engine: Client) -> list[str]:
    return [card["id"] for card in json.loads((await engine.get("/v1/models")).raw)["data"]]


async def test_load_use_unload(engine: Client, root: Path) -> None:
    base = (await engine.ask("hi", max_tokens=8)).text
    assert (await engine.ask("hi", model="pirate")).status == 404
    answer = await load(engine, "pirate", lora_path=str(root / "pirate"))
    assert (answer.status, answer.raw) == (200, "Success: LoRA adapter 'pirate' added successfully.")
    assert await names(engine) == ["tiny", "pirate"]
    spoken = (await engine.ask("hi", model="pirate", max_tokens=8)).text
    assert spoken != base
    answer = await load(engine, "pirate")
    assert (answer.status, answer.error["param"]) == (400, "lora_name")
    assert "already been loaded" in answer.error["message"]
    make_adapter(root / "pirate", seed=2)
    assert (await load(engine, "pirate", load_inplace=True)).status == 200
    assert (await engine.ask("hi", model="pirate", max_tokens=8)).text not in (base, spoken)
    answer = await engine.post({"lora_name": "pirate", "lora_int_id": None}, UNLOAD)
    assert (answer.status, answer.raw) == (200, "Success: LoRA adapter 'pirate' removed successfully.")
    assert await names(engine) == ["tiny"]
    assert (await engine.ask("hi", model="pirate")).error["code"] == "model_not_found"
    assert (await engine.post({"lora_name": "pirate"}, UNLOAD)).status == 404


async def test_unloading_drains(engine: Client) -> None:
    await load(engine, "pirate")
    whole = (await engine.ask("hi", model="pirate", max_tokens=200, ignore_eos=True)).text
    running = asyncio.create_task(engine.ask("hi", model="pirate", max_tokens=200, ignore_eos=True))
    await until(lambda: engine.core._batch.running)
    assert (await engine.post({"lora_name": "pirate"}, UNLOAD)).status == 200
    assert not running.done()
    assert (await engine.ask("hi", model="pirate")).status == 404
    assert (await running).text == whole
    stats = await engine.app.runner.call(engine.core.stats)
    assert (stats["adapters"], stats["pages_adapter"], stats["adapter_cache_bytes"]) == (0, 0, 0)


async def test_the_key_is_wanted_and_the_fields_are_checked(engine: Client) -> None:
    body = json.dumps({"lora_name": "pirate"})
    for path in (LOAD, UNLOAD):
        answer = await engine.post(None, path, data=body, headers={"Authorization": "Bearer wrong"})
        assert answer.status == 401
        assert (await engine.get(path)).status == 405
        assert (await engine.post({}, path)).error["param"] == "lora_name"
        assert (await engine.post([], path)).status == 400
        assert (await engine.post({"lora_name": 3}, path)).status == 400
        assert (await engine.post({"lora_name": "a", "base_model": "b"}, path)).error["param"] == "base_model"
        assert (await engine.post(None, path, data=b"x" * 20_000)).status == 413
    assert (await load(engine, "tiny", load_inplace=True)).error["message"] == "'tiny' is the base model's name"
    assert (await engine.post({"lora_name": "tiny"}, UNLOAD)).status == 404
    assert await names(engine) == ["tiny"]


async def test_without_a_folder_both_are_off(model: Path, tmp_path: Path) -> None:
    async with serving(model, tmp_path / "e.sock", core=build(model)) as engine:
        for path in (LOAD, UNLOAD):
            answer = await engine.post({"lora_name": "x"}, path)
            assert (answer.status, answer.error["code"]) == (403, "adapters_off")


GARBAGE = [
    "missing",
    "truncated",
    "shapes",
    "rank",
    "values",
    "pickle",
    "link",
    "pipe",
    "sparse",
    "path",
    "name",
    "bytes",
]


def spoil(root: Path, kind: str) -> dict[str, Any]:
    """Make a bad adapter; the fields that ask for it."""
    path = make_adapter(root / "bad", seed=3)
    file, config = path / peft.TENSORS, path / peft.CONFIG
    if kind in ("missing", "path", "name"):
        shutil.rmtree(path)
    elif kind == "truncated":
        os.truncate(file, 5000)
    elif kind == "shapes":
        make_adapter(path, seed=3, rank=4, r=8)
    elif kind == "rank":
        config.write_text(config.read_text().replace('"r": 4', '"r": 1000000'))
    elif kind == "values":
        file.write_bytes(file.read_bytes()[:-4] + b"\xff\xff\xff\x7f")
    elif kind == "pickle":
        file.rename(path / "adapter_model.bin")
    elif kind == "link":
        file.unlink()
        file.symlink_to("/dev/urandom")
    elif kind == "pipe":
        file.unlink()
        os.mkfifo(file)
    elif kind == "sparse":
        os.truncate(file, 1 << 42)
    elif kind == "bytes":
        file.write_bytes(random.Random(1).randbytes(100_000))
    fields = {"path": {"lora_name": "bad", "lora_path": "../../etc"}, "name": {"lora_name": "../bad"}}
    return fields.get(kind, {"lora_name": "bad"})


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_is_refused_while_others_are_served(engine: Client, root: Path, kind: str) -> None:
    await load(engine, "pirate")
    before = asyncio.create_task(engine.ask("hi", model="pirate", max_tokens=100, ignore_eos=True))
    answer = await engine.post(spoil(root, kind), LOAD)
    missing = kind in ("missing", "pickle")
    assert answer.status == (404 if missing else 400), answer.raw
    assert answer.error["code"] == ("not_found" if missing else "invalid_adapter")
    assert kind != "pickle" or "never pickles" in answer.error["message"]
    assert (await engine.ask("hi", model="bad")).status == 404
    assert (await before).finish == "length"
    await engine.app.adapter_api.look()  # the watch over the folder meets the same garbage
    assert "pirate" in await names(engine)
    stats = await engine.app.runner.call(engine.core.stats)
    assert stats["adapter_cache_bytes"] <= engine.core.config.adapter_cache_bytes
    if "bad" in await names(engine):  # its header is sound: the values are read by the first request
        assert kind == "values"
        failed = await engine.ask("hi", model="bad")
        assert (failed.status, failed.error["code"]) == (500, "engine_error")
        assert "not finite" in failed.error["message"]
        assert (await engine.ask("hi", model="bad")).status == 400
    assert (await engine.ask("hi", model="pirate", max_tokens=3)).status == 200
    assert json.loads((await engine.get("/health")).raw)["status"] == "ok"


async def test_the_folder_is_watched(model: Path, root: Path, tmp_path: Path) -> None:
    scanned = {"adapters_dir": root, "adapters_scan_s": 0.05, "limits": LIMITS}
    async with serving(model, tmp_path / "e.sock", core=build(model), **scanned) as engine:
        served = engine.app.served.models
        await until(lambda: "pirate" in served)
        make_adapter(root / "poet", seed=2)
        await until(lambda: "poet" in served)
        first = (await engine.ask("hi", model="poet", max_tokens=8)).text
        make_adapter(tmp_path / "other", seed=7)
        for file in (peft.CONFIG, peft.TENSORS):
            os.replace(tmp_path / "other" / file, root / "poet" / file)
        async with asyncio.timeout(10):
            while (await engine.ask("hi", model="poet", max_tokens=8)).text == first:
                await asyncio.sleep(0.05)
        shutil.rmtree(root / "poet")
        await until(lambda: "poet" not in served)
        await engine.post({"lora_name": "pirate"}, UNLOAD)
        await asyncio.sleep(0.3)
        assert "pirate" not in served, "what an operator has unloaded stays unloaded"
        assert (await load(engine, "pirate")).status == 200
        assert (await engine.ask("hi", model="pirate", max_tokens=3)).status == 200


async def test_loads_and_unloads_under_fire(engine: Client, root: Path) -> None:
    """Requests race loads and unloads of the names they ask for: each is answered by one version or is a 404."""
    for i in range(6):
        make_adapter(root / f"a{i}", seed=i, rank=1 + i)
        assert (await engine.post({"lora_name": f"a{i}"}, LOAD)).status == 200
    rng = random.Random(5)
    ends: list[int] = []

    async def asks() -> None:
        for _ in range(15):
            answer = await engine.ask("hi", model=f"a{rng.randrange(6)}", max_tokens=rng.randint(1, 10))
            ends.append(answer.status)

    async def changes() -> None:
        for _ in range(30):
            name = f"a{rng.randrange(6)}"
            body = {"lora_name": name} | ({"load_inplace": True} if rng.random() < 0.3 else {})
            answer = await (engine.post(body, LOAD) if rng.random() < 0.6 else engine.post({"lora_name": name}, UNLOAD))
            assert answer.status in (200, 400, 404), answer.raw

    await asyncio.gather(asks(), asks(), asks(), changes(), changes())
    assert set(ends) <= {200, 404} and 200 in ends
    await until(lambda: not engine.app.runner.open)
    for name in await names(engine):
        if name != "tiny":
            await engine.post({"lora_name": name}, UNLOAD)
    await until(lambda: not engine.core.has_work())
    stats = await engine.app.runner.call(engine.core.stats)
    assert (stats["adapters"], stats["pages_used"], stats["pages_adapter"], stats["adapter_cache_bytes"]) == (
        0,
        0,
        0,
        0,
    )
    assert engine.app.runner.failed_steps == 0
