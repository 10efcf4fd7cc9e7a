"""Requests at random times that are fixed beforehand (Poisson arrivals, seeded), whether or not earlier ones were answered.

Each has a connection of its own, as browsers that do not know each other have.

    python -m tests.bench._pages PORT PER_SECOND < requests.json > latencies.json

reads [[method, path, cookie, form], ...] and prints [[milliseconds from the planned moment to the last byte, status], ...].
"""

import asyncio
import json
import random
import sys
import time
from urllib.parse import urlencode

from tests.bench._reader import TOKEN

MOST_OPEN = 512
TIMEOUT_S = 30.0


def request(port: int, method: str, path: str, cookie: str, form: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Cookie: csrftoken={TOKEN}; {cookie}"]
    body = urlencode({**form, "csrfmiddlewaretoken": TOKEN}) if method == "POST" else ""
    if body:
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}", "HX-Request: true"]
    return "\r\n".join([*lines, "Connection: close", "", body]).encode()


async def ask(port: int, due: float, wanted: list, room: asyncio.Semaphore) -> tuple[float, int]:
    await asyncio.sleep(max(0.0, due - time.monotonic()))
    async with room, asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(port, *wanted))
        answer = await reader.read(-1)
        took = (time.monotonic() - due) * 1000
        writer.close()
        return took, int(answer.split(b" ", 2)[1])


async def main(port: int, per_second: float) -> None:
    wanted, room = json.load(sys.stdin), asyncio.Semaphore(MOST_OPEN)
    begin = time.monotonic() + 0.5
    pick, due = random.Random(1), begin
    dues = [due := due + pick.expovariate(per_second) for _ in wanted]
    asked = [ask(port, due, one, room) for due, one in zip(dues, wanted, strict=True)]
    print(json.dumps(await asyncio.gather(*asked)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
