"""POST /v1/load_lora_adapter and /v1/unload_lora_adapter (vLLM's names and fields), and the watch over --adapters-dir.

Reading and checking happens in a worker thread, one adapter at a time; the engine thread only takes over the result. Unlike
vLLM's, the endpoints are safe to leave on: they want the engine's key and read nothing outside --adapters-dir.
Tests: tests/inference/engine/test_adapter_api.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from inference.engine.asgi import Http
from inference.engine.errors import ApiError, bad_request, unavailable
from inference.engine.requests import Reader
from inference.engine.runner import Runner
from inference.engine.sequence import AdapterError, AdapterMissing

if TYPE_CHECKING:  # torch takes seconds to import; the command line checks its options first
    from inference.engine.adapter_folder import AdapterFolder
    from inference.engine.peft import Spec
    from inference.engine.residency import Adapter

LOAD_TIMEOUT_S = 60.0
BODY_BYTES = 16_384
FIELDS = {"load": {"lora_name", "lora_path", "load_inplace"}, "unload": {"lora_name", "lora_int_id"}}

log = logging.getLogger(__name__)


class Store(Protocol):
    """What is needed of inference.engine.adapters.Adapters."""

    def inspect(self, path: Path, root: Path | None = None) -> Spec: ...
    def warm(self, spec: Spec) -> Adapter: ...
    def register(self, name: str, made: Adapter | Spec, replace: bool = False) -> None: ...
    def unload(self, name: str) -> None: ...


class Served:
    """What this engine offers: the base model's name and its adapters', which come and go."""

    def __init__(self, base: str, adapters: tuple[str, ...] = ()) -> None:
        self.base = base
        self.models: dict[str, str | None] = {base: None, **{name: name for name in adapters}}

    @property
    def adapters(self) -> list[str]:
        """Names of the adapters, sorted."""
        return sorted(name for name, adapter in self.models.items() if adapter is not None)


class AdapterApi:
    """See the module. Without a folder, both endpoints say that they are off. `scan_s` 0 = look at the folder no more."""

    def __init__(
        self, runner: Runner, served: Served, store: Store | None, folder: AdapterFolder | None, scan_s: float
    ) -> None:
        self._runner, self._served, self._store, self._folder = runner, served, store, folder
        self._scan_s = scan_s
        self._one_at_a_time = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None

    def routes(self) -> dict[str, tuple[str, Callable[[Http], Awaitable[None]]]]:
        """Path -> (method, handler)."""
        return {"/v1/load_lora_adapter": ("POST", self.load), "/v1/unload_lora_adapter": ("POST", self.unload)}

    async def load(self, http: Http) -> None:
        """`lora_name`, `lora_path` (in the folder; default: the name), `load_inplace` (replace one of that name)."""
        store, folder = self._on()
        read = await self._body(http, "load")
        name, path, replace = _name(read), read.text("lora_path"), bool(read.boolean("load_inplace"))
        async with self._one_at_a_time:
            if name == self._served.base:
                raise bad_request(f"{name!r} is the base model's name", "lora_name")
            if name in self._served.models and not replace:
                message = f"the adapter {name!r} has already been loaded; set `load_inplace` to replace it"
                raise bad_request(message, "lora_name")
            try:
                made = await asyncio.to_thread(lambda: store.warm(folder.inspect(name, path)))
                await self._in_engine(lambda: store.register(name, made, replace))
            except AdapterMissing as error:
                raise ApiError(404, str(error), "lora_path", "not_found") from None
            except AdapterError as error:
                raise ApiError(400, str(error), "lora_path", "invalid_adapter") from None
            self._served.models[name] = name
            folder.loaded(name)
        log.info("adapter %s was loaded", name)
        await http.answer(200, f"Success: LoRA adapter '{name}' added successfully.".encode(), "text/plain")

    async def unload(self, http: Http) -> None:
        """`lora_name`: new requests get 404 from now on, accepted ones finish."""
        store, _ = self._on()
        name = _name(await self._body(http, "unload"))
        async with self._one_at_a_time:
            if self._served.models.get(name) is None:
                raise ApiError(404, f"the adapter {name!r} cannot be found", "lora_name", "not_found")
            await self._drop(store, name)
        log.info("adapter %s was unloaded", name)
        await http.answer(200, f"Success: LoRA adapter '{name}' removed successfully.".encode(), "text/plain")

    def _on(self) -> tuple[Store, AdapterFolder]:
        if self._store is None or self._folder is None:
            raise ApiError(
                403, "adapters come from a folder: start the engine with --adapters-dir", code="adapters_off"
            )
        return self._store, self._folder

    async def _body(self, http: Http, verb: str) -> Reader:
        raw = await http.json(BODY_BYTES)
        if not isinstance(raw, dict):
            raise bad_request("the body must be a JSON object")
        if unknown := sorted(set(raw) - FIELDS[verb]):
            raise bad_request(f"unknown field `{unknown[0][:64]}`", unknown[0][:64])
        return Reader(raw)

    async def _in_engine(self, function: Callable[[], None]) -> None:
        try:
            await asyncio.wait_for(self._runner.call(function), LOAD_TIMEOUT_S)
        except TimeoutError:
            raise unavailable("the engine is in a long step; ask again", 5.0, "busy") from None

    async def _drop(self, store: Store, name: str) -> None:
        del self._served.models[name]
        await self._in_engine(lambda: store.unload(name))

    # -- the folder ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch the folder."""
        if self._folder is not None and self._scan_s > 0:
            self._watch = asyncio.create_task(self._keep_looking())

    def stop(self) -> None:
        """Watch it no more."""
        if self._watch is not None:
            self._watch.cancel()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._scan_s)
            try:
                await self.look()
            except Exception:  # the next look may do better; requests do not depend on it
                log.exception("the adapters' folder could not be looked at")

    async def look(self) -> None:
        """Serve what has appeared or changed in the folder, and no longer what has gone from it."""
        store, folder = self._on()
        async with self._one_at_a_time:
            changes = await asyncio.to_thread(folder.scan)
            for name, spec in changes.found.items():
                try:
                    await self._in_engine(lambda name=name, spec=spec: store.register(name, spec, replace=True))  # type: ignore[misc]
                except AdapterError as error:
                    log.warning("adapter %s is not served: %s", name, error)
                    continue
                self._served.models[name] = name
                log.info("adapter %s was found", name)
            for name in changes.gone:
                if self._served.models.get(name) is not None:
                    await self._drop(store, name)
                    log.info("adapter %s has gone", name)


def _name(read: Reader) -> str:
    name = read.text("lora_name")
    if not name:
        raise bad_request("`lora_name` is required", "lora_name")
    return name
