"""The browsers of the web benchmark, in one process: N battles opened over real forms, N event streams read at once.

While the streams flow it does nothing but note what came when (one epoll, one recv and one append per piece); the events are
looked at afterwards. Its CPU is told by the benchmark, for it shares the machine with what is measured.

    python -m tests.bench._reader PORT STREAMS WORDS PROMPT REPORT

prints `opened` when all streams are connected, waits for them to end, and writes its facts as JSON into REPORT.
"""

import http.client
import json
import select
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from urllib.parse import urlencode
from uuid import uuid4

from tests.bench._recorded import Facts, Recording

TOKEN = "benchbenchbenchbenchbenchbenchbe"  # a CSRF cookie is whatever the browser brings twice
SENDERS = 4
PATIENCE_S = 240.0


def start(port: int, prompt: str) -> tuple[str, str]:
    """A new visitor's first battle: (its path, the visitor's cookie)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    form = {"prompt": prompt, "key": str(uuid4()), "agree_terms": "on", "csrfmiddlewaretoken": TOKEN}
    headers = {"Cookie": f"csrftoken={TOKEN}", "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/battles/", urlencode(form), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 303:
        raise RuntimeError(f"a battle was refused: {answer.status}")
    cookies = SimpleCookie("; ".join(answer.headers.get_all("Set-Cookie") or []))
    return answer.headers["Location"], f"agon_visitor={cookies['agon_visitor'].value}"


def connect(port: int, path: str, cookie: str) -> socket.socket:
    """An open event stream, its request sent."""
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    lines = [f"GET {path}turns/1/stream HTTP/1.1", "Host: 127.0.0.1", f"Cookie: {cookie}", "Accept: text/event-stream"]
    client.sendall("\r\n".join([*lines, "", ""]).encode())
    client.setblocking(False)
    return client


def read_all(clients: dict[int, socket.socket], recordings: dict[int, Recording]) -> None:
    """Until every stream has ended or the patience is out."""
    poll = select.epoll()
    for number in clients:
        poll.register(number, select.EPOLLIN)
    deadline, clock = time.monotonic() + PATIENCE_S, time.monotonic
    while clients and clock() < deadline:
        for number, _ in poll.poll(1.0):
            try:
                piece = clients[number].recv(1 << 18)
            except ConnectionError:
                piece = b""
            if piece:
                recordings[number].add(piece, clock())
            if not piece or piece.endswith(b"0\r\n\r\n"):
                poll.unregister(number)
                clients.pop(number).close()


def report(facts: dict[str, Facts], words: int) -> dict[str, object]:
    """What the benchmark wants to know; the window is when all streams flow."""
    turns = [turn for turn in facts.values() if all(turn.frames.values())]
    begin, end = max(turn.begun for turn in turns), min(turn.first_end or turn.begun for turn in turns)
    return {
        "streams": len(turns),
        "window": [begin, end],
        "frames_per_s": [turn.rate(begin, end) for turn in turns] if end > begin else [],
        "overhead_s": [turn.overhead_s for turn in turns],
        "unequal": len(facts) - sum(turn.equal(words) for turn in turns),
        "reordered": sum(turn.reordered for turn in turns),
        "ids": {path: turn.ids for path, turn in facts.items()},
    }


def main(port: int, streams: int, words: int, prompt: str, target: str) -> None:
    with ThreadPoolExecutor(SENDERS) as senders:
        battles = list(senders.map(lambda _: start(port, prompt), range(streams)))
    opened = [(path, cookie, connect(port, path, cookie)) for path, cookie in battles]
    clients = {client.fileno(): client for _, _, client in opened}
    recordings = {number: Recording() for number in clients}
    paths = {client.fileno(): path for path, _, client in opened}
    print("opened", flush=True)
    read_all(clients, recordings)
    print("read", flush=True)
    facts = {paths[number]: Facts.of(recording) for number, recording in recordings.items()}
    result = report(facts, words) | {"cookies": {path: cookie for path, cookie, _ in opened}}
    with open(target, "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5])
