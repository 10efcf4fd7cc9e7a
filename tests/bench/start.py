"""`make bench NAME=start`: how soon the arena is ready, and what its processes weigh.

- cold_ready_s: wall time of `manage.py up` on an empty var/ (initdb, migrations, demo seed) to its "Ready" line.
- warm_ready_s, first_token_s: the same on the data that the cold start left, best of `--runs` starts; the first token is the
  first event with text of a battle sent as soon as it is ready, counted from the start of `up`.
- *_rss_mb: PSS summed with children (worker_batch includes worker-long), after one battle to the vote and one fit.
- open_turns, open_turns_rss_mb: turns that one worker-generate holds open at once with the stub engine (both sides
  streaming), and its PSS while it does.
`--smoke` runs a stack with the stub engine and a handful of turns.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import aiohttp
import django
import psutil

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from arena.battle_check import PROMPT, Forms, play  # noqa: E402
from arena.embedded import paths  # noqa: E402
from tests.stack import ENGINE_KEY, Stack  # noqa: E402
from tests.up import Up  # noqa: E402

OPEN_TURNS = 600
SMOKE_TURNS = 5
SENDERS = 8  # browsers that send at once while the turns are opened
SLOW = json.dumps({"stub": {"n": 400, "rate": 1}})  # an answer that stays open for minutes
PATIENCE_S = 300.0
KEYS = {
    "web_rss_mb": ["web"],
    "worker_generate_rss_mb": ["worker-generate"],
    "worker_batch_rss_mb": ["worker-batch", "worker-long"],
    "engine_rss_mb": ["engine"],
}


def pss_mb(pid: int) -> float:
    """Proportional set size of a process and its children."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return round(sum(member.memory_full_info().pss for member in family) / 2**20, 1)


def one_start(var: Path, with_battle: bool) -> tuple[float, float | None]:
    """(seconds to "Ready", seconds to the first token)."""
    begun = time.monotonic()
    with Up(var) as up:
        up.wait_for(r"Ready in .*http", patience_s=PATIENCE_S)
        ready = time.monotonic() - begun
        if not with_battle:
            return ready, None
        outcome = play(up.url)
        if not outcome.passed or outcome.first_token_s is None:
            sys.exit(f"the battle failed: {outcome}")
        return ready, outcome.sent_at + outcome.first_token_s - begun


def start_times(runs: int) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="agon-bench-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        cold, _ = one_start(folder / "var", with_battle=False)
        warm = [one_start(folder / "var", with_battle=True) for _ in range(runs)]
    finally:
        shutil.rmtree(folder)
    return {
        "cold_ready_s": round(cold, 2),
        "warm_ready_s": round(min(ready for ready, _ in warm), 2),
        "first_token_s": round(min(token for _, token in warm if token is not None), 2),
    }


def memory(engine: str, prompt: str) -> dict[str, float]:
    """After one battle and one fit by the worker."""
    from ranking.models import BoardSnapshot

    with Stack(engine=engine) as stack, stack.orm():
        outcome = play(stack.url, prompt)
        if not outcome.passed:
            sys.exit(f"the battle failed: {outcome}")
        before = BoardSnapshot.objects.count()
        with stack.environment():
            call = [sys.executable, "-m", "celery", "-A", "arena", "call", "ranking.tasks.refit", "--queue", "rank"]
            env = {**os.environ, "DJANGO_SETTINGS_MODULE": "arena.settings"}
            subprocess.run(call, cwd=paths.PROJECT, env=env, check=True, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while BoardSnapshot.objects.count() == before and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(1)
        return {key: round(sum(pss_mb(stack.pid(name)) for name in names), 1) for key, names in KEYS.items()}


async def send_one(site: str, busy: asyncio.Semaphore) -> None:
    """A visitor of its own who starts a slow battle and leaves the page."""
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address without a name
    async with busy, aiohttp.ClientSession(base_url=site, cookie_jar=jar) as browser:
        async with browser.get("/") as page:
            form = next(form for form in Forms(await page.text()).found if "prompt" in form.fields)
        data = {**form.fields, "prompt": SLOW, "agree_terms": "1", "key": str(uuid.uuid4())}
        async with browser.post(form.action, data=data, headers={"Referer": f"{site}/"}) as answer:
            if answer.status != 200:
                raise RuntimeError(f"a battle was refused: {answer.status}")


async def streams(stack: Stack) -> int:
    """Answers that the stub engine is streaming now."""
    headers = {"Authorization": f"Bearer {ENGINE_KEY}"}
    connector = aiohttp.UnixConnector(str(stack.var / "run" / "engine.sock"))
    async with aiohttp.ClientSession(connector=connector, headers=headers) as client:
        async with client.get("http://stub/stub/stats") as answer:
            return int((await answer.json())["active"])


def open_turns(count: int) -> dict[str, float]:
    """Open `count` turns in one worker and weigh it."""
    limits = {"AGON_LIMIT_PREFIX_BURST": "100000", "AGON_LIMIT_PREFIX_PER_MINUTE": "100000"}
    with Stack(env=limits) as stack:

        async def send_all() -> int:
            busy = asyncio.Semaphore(SENDERS)
            await asyncio.gather(*(send_one(stack.url, busy) for _ in range(count)))
            deadline = time.monotonic() + 120
            while (streaming := await streams(stack)) < 2 * count and time.monotonic() < deadline:
                await asyncio.sleep(0.5)
            await asyncio.sleep(2)
            return streaming

        streaming = asyncio.run(send_all())
        return {"open_turns": streaming // 2, "open_turns_rss_mb": pss_mb(stack.pid("worker-generate"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--open-turns", type=int, default=OPEN_TURNS)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    result: dict[str, object] = {}
    try:
        if options.smoke:
            result |= dict.fromkeys(("cold_ready_s", "warm_ready_s", "first_token_s"))
            result |= {f"why_{key}": "not measured in a smoke run" for key in list(result)}
            result |= memory("stub", json.dumps({"stub": {"n": 5, "rate": 0}})) | open_turns(SMOKE_TURNS)
        else:
            for part in (
                lambda: start_times(options.runs),
                lambda: memory("real", PROMPT),
                lambda: open_turns(options.open_turns),
            ):
                result |= part()
                print(result, file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(os.environ["AGON_TEST_VAR"], ignore_errors=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
