"""`make bench NAME=web`: how many people one machine serves, with the real web process, worker-generate, PostgreSQL and Valkey.

The engine is the stub in a process of its own; prompt gate, response scan and Markdown are on. N visitors open a battle each
over the real form and read both sides over one SSE (suffixes _100 and _500); when all are connected the stub lets go, and
every side begins within JITTER_S. Each answer is WORDS words of seeded Markdown, one delta per word, at RATE words per second
give or take SPREAD, so that both sides of a battle differ in speed. Keys, per run of N:

- frames_per_s_per_side_min: while all streams flow (`window_s`), of the side with the fewest.
- p95_overhead_ms: first frame with the later side's text, after the stub wrote that side's first token (its clock is in the
  token; one machine, one monotonic clock). It includes the cadence of 50 ms.
- lost_frames: entries of the turn's Valkey stream that the reader did not get (but for the last one, where the end was told from
  PostgreSQL), plus battles whose final text is not, to the letter, what the stub sent. reordered_frames: ids that go back.
- cpu_s_*: CPU seconds per ten seconds of that window, of each process; cpu_s_web and cpu_s_worker are those of the largest run.

frames_per_s_per_side_idle is one battle alone, at IDLE_RATE. Then, one after the other: idle_sockets WebSockets on /live/ with
the web process's PSS; votes at 50/s on the battles that were streamed, each by its own visitor, as htmx sends them; the
leaderboard at 50/s with a visitor's cookie, and the board of an import of 60 models (leaderboard_wide_*). All open loop (seeded
Poisson arrivals), from the planned moment to the last byte.
The first BUSY votes come at once, while worker-batch enriches the answers that have all just ended (vote_busy_*); the others
when it is done.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from django.db import connections  # noqa: E402

from arena.models import Reply, Turn  # noqa: E402
from arena.streams import events  # noqa: E402
from inference.models import EngineEndpoint  # noqa: E402
from tests.bench import _wide_board  # noqa: E402
from tests.bench._children import Cpu, child, say  # noqa: E402
from tests.bench.start import pss_mb  # noqa: E402
from tests.stack import ENGINE_KEY, Stack  # noqa: E402

WORDS, RATE, SPREAD, JITTER_S, IDLE_RATE = 256, 18.0, 0.15, 1.0, 45.0
STREAMS, SOCKETS, PER_SECOND, REQUESTS = (100, 500), 5000, 50.0, 500
BUSY = 100
WARM = 4  # a new process compiles its templates at the first requests
SETTLE_S = 25.0  # idle sockets are weighed after a round of pings
PROCESSES = ("web", "worker-generate", "worker-generate-2", "valkey", "postgres", "engine")
LIMITS = {
    **dict.fromkeys(("AGON_LIMIT_PREFIX_BURST", "AGON_LIMIT_PREFIX_PER_MINUTE"), "1000000"),
    "AGON_STREAM_DONE_TTL_S": "1800",  # finished streams are compared with what their readers got
    "AGON_LIVE_SOCKETS": "6000",
    "AGON_VALKEY_MAXMEMORY": "1gb",
}
LARGE = {
    "AGON_WEB_PROCESSES": "2",
    "AGON_GENERATE_PROCESSES": "2",
}  # docs/operating.md, Scale: for hundreds of battles at a time


def call_stub(stack: Stack, path: str, method: str = "GET") -> dict[str, int]:
    """The stub's own side door, on its socket."""
    import asyncio

    import aiohttp

    async def ask() -> dict[str, int]:
        connector = aiohttp.UnixConnector(str(stack.var / "run" / "engine.sock"))
        headers = {"Authorization": f"Bearer {ENGINE_KEY}"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as client:
            async with client.request(method, f"http://stub/stub/{path}") as answer:
                return await answer.json()

    return asyncio.run(ask())


def streamed(stack: Stack, count: int, rate: float, words: int) -> dict:
    """`count` battles from the form to their last word; what the readers saw, with `cpu`."""
    asked = {
        "n": words,
        "rate": rate,
        "prose": 1,
        "spread": SPREAD if count > 1 else 0.0,
        "hold": 1,
        "jitter": JITTER_S,
    }
    target = Path(tempfile.mkstemp(dir=stack.folder, suffix=".json")[1])
    with child("_reader", stack.port, count, words, json.dumps({"stub": asked}), target) as reader:
        say(reader, "opened")
        deadline = time.monotonic() + 120
        while (open_now := call_stub(stack, "stats")["active"]) < 2 * count:
            if time.monotonic() > deadline:
                sys.exit(
                    f"only {open_now} of {2 * count} answers were asked for:\n{stack.log('worker-generate')[-2000:]}"
                )
            time.sleep(0.2)
        time.sleep(1)
        cpu = Cpu({name: stack.pid(name) for name in PROCESSES if name in stack.rows} | {"reader": reader.pid})
        call_stub(stack, "go", "POST")
        say(reader, "read")
        cpu.over.set()
        reader.wait()
    result = json.loads(target.read_text())
    return result | {"cpu": cpu.per_ten_seconds(*result["window"])}


def missing(stack: Stack, ids: dict[str, list[str]]) -> int:
    """Entries of the turns' streams that their readers did not get."""
    battles = {path.split("/")[2]: set(got) for path, got in ids.items()}
    lost = 0
    with stack.orm(), stack.valkey() as valkey:
        for battle, turn in Turn.objects.filter(battle__in=battles).values_list("battle_id", "id"):
            entries = [
                (entry.decode(), fields[events.FIELD.encode()]) for entry, fields in valkey.xrange(events.key(turn))
            ]
            gone = [told for entry, told in entries if entry not in battles[str(battle)]]
            lost += sum(not events.is_done(told) for told in gone)
        connections.close_all()
    return lost


def figures(stack: Stack, seen: dict, count: int) -> dict[str, object]:
    """The keys of one run."""
    rates, overheads = sorted(seen["frames_per_s"]), sorted(seen["overhead_s"])
    begin, end = seen["window"]
    keys: dict[str, object] = {
        "streams": seen["streams"],
        "frames_per_s_per_side_min": round(rates[0], 2) if rates else None,
        "frames_per_s_per_side_median": round(rates[len(rates) // 2], 2) if rates else None,
        "p50_overhead_ms": round(1000 * overheads[len(overheads) // 2], 1),
        "p95_overhead_ms": percentile([1000 * one for one in overheads], 0.95),
        "lost_frames": missing(stack, seen["ids"]) + seen["unequal"],
        "reordered_frames": seen["reordered"],
        "window_s": round(end - begin, 2),
        **{f"cpu_s_{name.replace('-', '_')}": spent for name, spent in seen["cpu"].items()},
    }
    return {f"{key}_{count}": value for key, value in keys.items()}


def percentile(values: list[float], share: float) -> float:
    """The smallest value that is not below `share` of all."""
    ranked = sorted(values)
    return round(ranked[min(len(ranked) - 1, int(share * len(ranked)))], 1)


def sockets(stack: Stack, count: int, settle_s: float) -> dict[str, object]:
    before = pss_mb(stack.pid("web"))
    with child("_sockets", stack.port, count, stdin=subprocess.PIPE) as browsers:
        say(browsers, "open")
        time.sleep(settle_s)
        weight = pss_mb(stack.pid("web"))
        assert browsers.stdin is not None
        browsers.stdin.close()
        alive = int(say(browsers, "alive"))
    return {"idle_sockets": alive, "sockets_rss_mb": weight, "web_rss_mb_before_sockets": before}


def asked(stack: Stack, wanted: list[list]) -> list[tuple[float, int]]:
    """(milliseconds, status) of requests at PER_SECOND."""
    with child("_pages", stack.port, PER_SECOND, stdin=subprocess.PIPE) as browsers:
        return json.loads(browsers.communicate(json.dumps(wanted))[0])


def pages(stack: Stack, name: str, wanted: list[list], status: int) -> dict[str, object]:
    """p50 and p99 of requests at PER_SECOND, after WARM that are not counted; every one must answer with `status`."""
    asked(stack, wanted[:WARM])
    cpu = Cpu({one: stack.pid(one) for one in ("web", "postgres")})
    begin = time.monotonic()
    answers = asked(stack, wanted[WARM:])
    cpu.over.set()
    wrong = [got for _, got in answers if got != status]
    if wrong:
        sys.exit(f"{name}: {len(wrong)} answers were not {status}: {sorted(set(wrong))}")
    took = [milliseconds for milliseconds, _ in answers]
    spent = {f"{name}_cpu_s_{one}": value for one, value in cpu.per_ten_seconds(begin, time.monotonic()).items()}
    keys = {f"{name}_p50_ms": percentile(took, 0.5), f"{name}_p99_ms": percentile(took, 0.99)}
    return {**keys, f"{name}_requests": len(took), **spent}


def enriched(stack: Stack, paths: Iterable[str]) -> None:
    """Wait until worker-batch has looked at every answer of these battles."""
    answers = Reply.objects.filter(turn__battle__in=[path.split("/")[2] for path in paths])
    deadline = time.monotonic() + 120
    with stack.orm():
        while answers.filter(message__enrichment=None).exists():
            if time.monotonic() > deadline:
                sys.exit(f"answers were not enriched:\n{stack.log('worker-batch')[-2000:]}")
            time.sleep(0.5)
        connections.close_all()


def with_what() -> list[str]:
    return ["gate", *(["scan"] if find_spec("arena.moderation.scan") else []), "markdown"]


def measure(options: argparse.Namespace) -> dict[str, object]:
    result: dict[str, object] = {"with": with_what(), "words": options.words, "words_per_s": options.rate}
    cookies: dict[str, str] = {}
    with Stack(env=LIMITS | ({} if options.smoke else LARGE)) as stack:
        with stack.orm():
            EngineEndpoint.objects.update(first_token_timeout_s=600)  # held until all have come
        for count in (1, *options.streams):
            seen = streamed(stack, count, options.rate if count > 1 else IDLE_RATE, options.words)
            if count == 1:
                result["frames_per_s_per_side_idle"] = round(seen["frames_per_s"][0], 2)
                result["overhead_idle_ms"] = round(1000 * seen["overhead_s"][0], 1)
            else:
                result |= figures(stack, seen, count)
                result |= {"cpu_s_web": seen["cpu"].get("web"), "cpu_s_worker": seen["cpu"].get("worker-generate")}
            cookies |= seen["cookies"]
            print(result, file=sys.stderr, flush=True)
        votes = [["POST", f"{path}vote/", cookie, {"choice": "a", "turn": "1"}] for path, cookie in cookies.items()]
        boards = [["GET", "/leaderboard", cookie, {}] for cookie in cookies.values()]
        if options.busy:
            result |= pages(stack, "vote_busy", votes[: options.busy], 200)
        enriched(stack, cookies)
        result |= pages(stack, "vote", votes[options.busy :][: options.requests], 200)
        result |= pages(stack, "leaderboard", boards[: options.requests], 200)
        wide = _wide_board.made(stack)
        boards = [["GET", wide, cookie, {}] for _get, _path, cookie, _form in boards]
        result |= pages(stack, "leaderboard_wide", boards[: options.requests], 200)
        print(result, file=sys.stderr, flush=True)
        result |= sockets(stack, options.sockets, options.settle)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=lambda text: [int(part) for part in text.split(",")], default=STREAMS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--words", type=int, default=WORDS)
    parser.add_argument("--sockets", type=int, default=SOCKETS)
    parser.add_argument("--busy", type=int, default=BUSY)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--settle", type=float, default=SETTLE_S)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        options.streams, options.words, options.sockets, options.settle, options.busy = [4], 24, 20, 0.2, 0
    try:
        result = measure(options)
    finally:
        shutil.rmtree(os.environ["AGON_TEST_VAR"], ignore_errors=True)
    if options.smoke:
        for count in STREAMS:
            for key in ("streams", "frames_per_s_per_side_min", "p95_overhead_ms", "lost_frames", "reordered_frames"):
                result[f"{key}_{count}"] = None
                result[f"why_{key}_{count}"] = "not measured in a smoke run"
    print(json.dumps(result))


if __name__ == "__main__":
    main()
