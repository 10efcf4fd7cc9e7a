"""N chat completions streamed at once over plain sockets: the same client, prompts and lengths for every server.

While the streams flow the client keeps what comes and nothing more (one epoll, one recv per piece), for it shares the cores
with the server; the events are read afterwards.
"""

from __future__ import annotations

import json
import random
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inference.engine.text import ChatMessage, ChatText
from tests.bench._peers import KEY

PATIENCE_S = 240.0
END = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """One burst: output tokens over the wall time from the first request to the last byte."""

    tok_s: float
    prompt_tokens: set[int]  # as the server counted them
    cached_tokens: int  # of all prompts together
    client_cpu_s: float


class Prompts:
    """Texts of `tokens` tokens, words of one token each; never the same twice."""

    def __init__(self, text: ChatText, tokens: int, seed: int) -> None:
        self._text, self._tokens, self._rng = text, tokens, random.Random(seed)
        pieces = [text.decode([token]) for token in range(text.tokenizer.get_vocab_size())]
        spaced = [piece for piece in pieces if piece.startswith(" ") and piece[1:].isalpha() and piece.isascii()]
        self._words = spaced or [
            piece for piece in pieces if piece.isalpha() and piece.isascii()
        ]  # a byte-level vocabulary
        self._around = len(text.prompt_ids([ChatMessage("user", "")]))

    def next(self) -> str:
        """One more. Raises RuntimeError when the vocabulary has no such words."""
        for _ in range(100):
            chosen = "".join(self._rng.choices(self._words, k=self._tokens)).strip()
            if len(self._text.prompt_ids([ChatMessage("user", chosen)])) == self._tokens + self._around:
                return chosen
        raise RuntimeError(f"no prompt of {self._tokens} tokens found")


def request(prompt: str, output: int) -> bytes:
    """One HTTP request: greedy, exactly `output` tokens, streamed, with usage at the end."""
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": prompt}], "temperature": 0}
    body |= {"max_tokens": output, "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
    data = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    return head.encode() + data


def burst(port: int, prompts: Sequence[str], output: int) -> Load:
    """All prompts at once. Raises RuntimeError when a stream fails, stalls or has not `output` tokens."""
    clients = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) for _ in prompts]
    requests = [request(prompt, output) for prompt in prompts]
    cpu, begin = time.process_time(), time.perf_counter()
    for client, data in zip(clients, requests, strict=True):
        client.sendall(data)
    answers = _read(clients, begin)
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    usages = [_usage(answer) for answer in answers]
    for answer, usage in zip(answers, usages, strict=True):
        if usage.get("completion_tokens") != output:
            raise RuntimeError(f"a stream of {output} tokens ended otherwise: {answer[-500:]!r}")
    cached = sum((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0 for usage in usages)
    lengths = {int(usage["prompt_tokens"]) for usage in usages}
    return Load(len(prompts) * output / took, lengths, cached, cpu)


def _read(clients: Sequence[socket.socket], begin: float) -> list[bytes]:
    """What came for each until it closed."""
    poll, found = select.epoll(), {client.fileno(): list[bytes]() for client in clients}
    by_number = {client.fileno(): client for client in clients}
    for client in clients:
        client.setblocking(False)
        poll.register(client, select.EPOLLIN)
    waiting = len(clients)
    while waiting:
        if time.perf_counter() - begin > PATIENCE_S:
            raise RuntimeError("the streams do not end")
        for number, _ in poll.poll(1.0):
            piece = by_number[number].recv(1 << 18)
            found[number].append(piece)
            if not piece or piece.endswith(END):
                poll.unregister(number)
                waiting -= 1
    for client in clients:
        client.close()
    return [b"".join(found[number]) for number in by_number]


def _usage(answer: bytes) -> dict[str, Any]:
    """The usage object of a streamed answer, chunks put together; empty where there is none."""
    _, _, rest = answer.partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: {")]
    return next((event["usage"] for event in reversed(events) if event.get("usage")), {})
