"""The stub engine is a test instrument: its faults must be what they say, and it must be cheap."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import psutil
import pytest

from tests.stub_engine import SECRET_ACCOUNT, StubEngine


@pytest.fixture(scope="module")
def stub() -> Iterator[StubEngine]:
    with StubEngine(key="k", tick_ms=20) as engine:
        yield engine


def ask(model: str, prompt: str = "hello", **extra: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True, **extra}


async def read(stub: StubEngine, body: dict[str, Any], timeout: float = 5.0) -> tuple[int, str, bool, Any]:
    """(status, raw body, whether the connection broke, headers)."""
    headers = {"Authorization": f"Bearer {stub.key}"}
    raw, broke = b"", False
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
        session.post(f"{stub.url}/v1/chat/completions", json=body, headers=headers) as reply,
    ):
        try:
            async for piece in reply.content.iter_any():
                raw += piece
        except aiohttp.ClientPayloadError:
            broke = True
        return reply.status, raw.decode(errors="replace"), broke, reply.headers


def text_of(raw: str) -> str:
    events = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith("data: {")]
    return "".join(c["delta"].get("content", "") for e in events for c in e.get("choices", []))


def test_words_arrive_once_with_usage(stub: StubEngine) -> None:
    body = ask("stub?n=7&rate=200", stream_options={"include_usage": True})
    status, raw, broke, _ = asyncio.run(read(stub, body))
    assert (status, broke, text_of(raw).split()) == (200, False, [f"w{i}" for i in range(1, 8)])
    assert '"completion_tokens":7' in raw
    assert raw.endswith("data: [DONE]\n\n")


def test_control_object_in_the_prompt_wins(stub: StubEngine) -> None:
    _, raw, _, _ = asyncio.run(
        read(stub, ask("stub-429", 'go {"stub": {"fault": "none", "text": "a b", "rate": 0}} now'))
    )
    assert text_of(raw) == "a b "


@pytest.mark.parametrize(
    ("model", "words"), [("stub?n=9&rate=0&fault=truncate&after=4", 4), ("stub?fault=truncate", 0)]
)
def test_truncate_breaks_the_connection(stub: StubEngine, model: str, words: int) -> None:
    _, raw, broke, _ = asyncio.run(read(stub, ask(model)))
    assert broke
    assert len(text_of(raw).split()) == words


@pytest.mark.parametrize(("fault", "status"), [("429", 429), ("503", 503), ("500", 500), ("html", 502)])
def test_refusals(stub: StubEngine, fault: str, status: int) -> None:
    got, raw, _, headers = asyncio.run(read(stub, ask(f"stub?fault={fault}&retry_after=7")))
    assert got == status
    assert headers.get("Retry-After") == ("7" if fault in {"429", "503"} else None)
    assert (SECRET_ACCOUNT in raw) == (fault != "503")


def test_times_limits_a_fault(stub: StubEngine) -> None:
    body = ask("stub?fault=500&times=1&n=3&rate=0", "once")
    assert [asyncio.run(read(stub, body))[0] for _ in range(2)] == [500, 200]


def test_hang_lasts_until_the_client_leaves(stub: StubEngine) -> None:
    for fault in ("hang", "hang_headers"):
        with pytest.raises(TimeoutError):
            asyncio.run(read(stub, ask(f"stub?fault={fault}"), timeout=0.4))
    time.sleep(0.2)
    assert stub.stats()["active"] == 0


def test_drop_empty_garbage_error_strict(stub: StubEngine) -> None:
    with pytest.raises(aiohttp.ServerDisconnectedError):
        asyncio.run(read(stub, ask("stub-drop")))
    assert text_of(asyncio.run(read(stub, ask("stub-empty")))[1]) == ""
    assert "not sse at all" in asyncio.run(read(stub, ask("stub?fault=garbage&rate=0")))[1]
    assert SECRET_ACCOUNT in asyncio.run(read(stub, ask("stub?fault=error&rate=0")))[1]
    status, raw, _, _ = asyncio.run(read(stub, ask("stub-strict", vllm_xargs={"client": "c"})))
    assert status == 400
    assert "vllm_xargs" in raw
    assert stub.requests()[-1]["body"]["vllm_xargs"] == {"client": "c"}


def whole_events(raw: bytes) -> str:
    return raw[: raw.rfind(b"\n\n") + 2].decode()


async def _held(stub: StubEngine, body: dict[str, Any], words: int) -> tuple[str, str]:
    """What had come when so many words were there and half a second had passed, and all that came after `go`."""
    headers = {"Authorization": f"Bearer {stub.key}"}
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{stub.url}/v1/chat/completions", json=body, headers=headers) as reply,
    ):
        raw = b""

        async def rest() -> None:
            nonlocal raw
            async for piece in reply.content.iter_any():
                raw += piece

        reading = asyncio.create_task(rest())
        while len(text_of(whole_events(raw)).split()) < words or stub.stats()["active"] < 1:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        before = text_of(whole_events(raw))
        stub.go()
        await reading
        return before, text_of(raw.decode())


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("rate", [0, 200])
def test_hold_is_silent_until_go(stub: StubEngine, after: int, rate: int) -> None:
    before, whole = asyncio.run(_held(stub, ask(f"stub?n=6&rate={rate}&hold=1&after={after}"), after))
    assert before.split() == [f"w{n}" for n in range(1, after + 1)]
    assert whole.split() == [f"w{n}" for n in range(1, 7)]


def test_key_and_queue_comments(stub: StubEngine) -> None:
    body = ask("stub?n=2&rate=0&first_delay=0.3&queued=3")
    assert ": queued position=3 eta_s=" in asyncio.run(read(stub, body))[1]
    wrong = StubEngine(key="other")
    wrong.url = stub.url
    assert asyncio.run(read(wrong, body))[0] == 401


async def _many(stub: StubEngine, count: int, seconds: int) -> None:
    body = ask(f"stub?n={20 * seconds}&rate=20")
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {stub.key}"}

    async def one(session: aiohttp.ClientSession) -> None:
        async with session.post(f"{stub.url}/v1/chat/completions", json=body, headers=headers) as reply:
            raw = await reply.read()
        assert len(text_of(raw.decode()).split()) == 20 * seconds

    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(one(session) for _ in range(count)))


def test_many_streams_are_cheap() -> None:
    with StubEngine(key="k") as stub:
        process = psutil.Process(stub.process.pid)
        asyncio.run(_many(stub, 300, 2))
        cpu = sum(process.cpu_times()[:2])
        assert stub.stats()["peak"] == 300
        assert cpu < 4.0, f"300 streams of 2 s cost {cpu:.1f} CPU-s"
