"""A small moderation endpoint with scripted answers, on a real socket."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CATEGORIES = ("harassment", "hate", "illicit", "self-harm", "sexual", "sexual/minors", "violence")
Answer = Callable[[list[str]], tuple[int, dict[str, str], bytes]]


def result(*flagged: str, **scores: float) -> dict[str, Any]:
    """One sound result; `flagged` are categories, `scores` by name with `_` for `/`."""
    numbers = {name: 0.9 if name in flagged else 0.01 for name in (*CATEGORIES, *flagged)}
    numbers |= {name.replace("__", "/"): score for name, score in scores.items()}
    categories = {name: name in flagged for name in numbers}
    return {"flagged": bool(flagged), "categories": categories, "category_scores": numbers}


def answers(*results: Any, **more: Any) -> Answer:
    """200 with these results; without any, a pass for each input."""

    def give(texts: list[str]) -> tuple[int, dict[str, str], bytes]:
        body = {
            "id": "modr-1",
            "model": "omni-moderation-2024-09-26",
            "results": list(results) or [result() for _ in texts],
        }
        return 200, {}, json.dumps(body | more).encode()

    return give


def raw(body: str, status: int = 200, **headers: str) -> Answer:
    return lambda _texts: (status, {name.replace("_", "-"): value for name, value in headers.items()}, body.encode())


def slow(seconds: float) -> Answer:
    def give(texts: list[str]) -> tuple[int, dict[str, str], bytes]:
        time.sleep(seconds)
        return answers()(texts)

    return give


class Endpoint:
    """Plays `script` in order, its last entry for ever; keeps what it was asked."""

    def __init__(self, script: list[Answer]) -> None:
        self.script, self.asked, self.keys = script, [], []
        self.url = ""

    def next(self) -> Answer:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


@contextmanager
def serving(*script: Answer) -> Iterator[Endpoint]:
    endpoint = Endpoint(list(script) or [answers()])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.asked.append(asked)
            endpoint.keys.append(self.headers.get("Authorization"))
            status, headers, body = endpoint.next()(asked["input"])
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # whoever asked has hung up

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}/v1/moderations"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
