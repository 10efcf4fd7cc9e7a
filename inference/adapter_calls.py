"""Loading and unloading adapters of an engine of ours (or vLLM's, which has the same endpoints) over HTTP. No Django.

Tests: tests/arena/test_adapters.py, against the engine itself.
"""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from inference.client import Client, redact
from inference.target import Target

MOST_S = 90.0  # the engine reads and checks all values before it answers
MAX_ANSWER = 4 << 20


class AdapterRefused(Exception):
    """The engine did not do it, or was not reached; the message says why. `status` is its answer's, None for none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


async def load(target: Target, name: str, folder: str = "", replace: bool = False) -> None:
    """Serve the PEFT directory `folder` of the engine's --adapters-dir (default: the name) as `name`. AdapterRefused."""
    body: dict[str, Any] = {"lora_name": name, "load_inplace": replace}
    await _call(target, "POST", "/load_lora_adapter", body | ({"lora_path": folder} if folder else {}))


async def unload(target: Target, name: str) -> None:
    """Refuse new requests for `name`; accepted ones finish. AdapterRefused, with status 404 when there is none."""
    await _call(target, "POST", "/unload_lora_adapter", {"lora_name": name})


async def served(target: Target) -> dict[str, str | None]:
    """What the endpoint serves: name -> the base model's name for adapters, None for base models. AdapterRefused."""
    raw = await _call(target, "GET", "/models")
    try:
        return {card["id"]: card.get("parent") for card in json.loads(raw)["data"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AdapterRefused("its list of models cannot be read") from None


async def _call(target: Target, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    headers = {"Authorization": f"Bearer {target.key}"} if target.key else {}
    timeout = aiohttp.ClientTimeout(total=MOST_S, connect=target.timeouts.connect_s)
    async with Client() as client:
        try:
            async with client.session(target).request(
                method, f"{target.url}{path}", json=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                said = await response.content.read(MAX_ANSWER)
                if response.status != 200:
                    raise AdapterRefused(_reason(said, target.key), response.status)
                return said
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise AdapterRefused(f"no answer: {redact(str(error) or type(error).__name__, target.key)}") from None


def _reason(said: bytes, key: str) -> str:
    """OpenAI's error message, or the text itself."""
    try:
        text = str(json.loads(said)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        text = said.decode(errors="replace")
    return redact(text, key)
