"""The adapters that requests may name: thousands registered by name, each with the versions that are still in use.

Registering reads a few kilobytes of each (peft.inspect); the values stay on disk until a request needs them. Loading a name
again, or unloading it, leaves accepted requests with the version they were accepted with.
Tests: tests/inference/engine/test_adapters.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path

import torch

from inference.engine import peft
from inference.engine.config import EngineConfig
from inference.engine.host_cache import HostCache
from inference.engine.lora import LoraRows, row_map
from inference.engine.pager import CopyThread, Job, Pager
from inference.engine.pages import PagePool
from inference.engine.residency import Adapter, Residency
from inference.engine.sequence import AdapterError, RequestError, UnknownAdapter
from inference.engine.weights import ModelConfig
from inference.scheduler.protocol import Scheduler

SHOWN = 20  # names in a message


class Adapters:
    """See the module; `config` has the bounds, `dtype` is that of the rows in the pool (None: each file's own).

    All but `inspect` and `warm` belong to the engine's thread.
    """

    def __init__(
        self,
        model: ModelConfig,
        pool: PagePool,
        config: EngineConfig,
        dtype: torch.dtype | None,
        pager: Pager | None = None,
    ) -> None:
        self._model, self._pool = model, pool
        self._limit, self._max_rank, self._dtype = config.max_adapters, config.max_adapter_rank, dtype
        self.cache = HostCache(config.adapter_cache_bytes)
        self._copies = CopyThread(model, pool, self.cache)
        self.residency = Residency(pool, pager or self._copies)
        self._named: dict[str, Adapter] = {}
        self._of: dict[str, Adapter] = {}  # accepted request -> its version
        self._broken: dict[str, tuple[peft.Signature, str]] = {}  # name -> the file that could not be read, and why
        self._serial = count(1)
        self.nbytes = self.failures = 0
        self.gone: Callable[[str], None] = lambda key: None  # told the `key` of a version when it serves nobody new

    # -- registering -----------------------------------------------------------------------------------------------

    def inspect(self, path: Path, root: Path | None = None) -> peft.Spec:
        """What the PEFT directory `path` (inside `root`) holds. AdapterError when it does not fit. Any thread."""
        spec = peft.inspect(path, self._model, self._max_rank, self._dtype, root)
        layout = row_map(self._model, spec.shape, self._pool.layout.page_bytes)
        if layout.pages >= self._pool.capacity:
            raise AdapterError(
                f"{path} takes {layout.pages} of the pool's {self._pool.capacity} pages and leaves none for a request; "
                "raise pool_bytes"
            )
        if layout.nbytes > self.cache.max_bytes:
            raise AdapterError(
                f"{path} needs {layout.nbytes} bytes, more than the host cache holds ({self.cache.max_bytes})"
            )
        return spec

    def warm(self, spec: peft.Spec) -> Adapter:
        """A version made of `spec`, all of its values read and checked, its image in the host cache. Any thread."""
        adapter = self._version("", spec)
        self._copies.warm(Job(adapter.key, spec, adapter.layout, ()))
        return adapter

    def register(self, name: str, made: Adapter | peft.Spec, replace: bool = False) -> None:
        """Serve `made` under `name`. AdapterError: the name is empty or taken (unless `replace`), or there are too many."""
        adapter = made if isinstance(made, Adapter) else self._version(name, made)
        if refusal := self._refusal(name, replace):
            self.cache.drop(adapter.key)
            raise AdapterError(refusal)
        if name in self._named:
            self.unload(name)
        adapter.name = name
        self._named[name] = adapter
        self.nbytes += adapter.layout.nbytes

    def _refusal(self, name: str, replace: bool) -> str:
        if not name or (name in self._named and not replace):
            return f"adapter name {name!r} is empty or taken; unload the other first"
        if name not in self._named and len(self._named) >= self._limit:
            return f"{self._limit} adapters are loaded, which is max_adapters; unload one first"
        return ""

    def _version(self, name: str, spec: peft.Spec) -> Adapter:
        layout = row_map(self._model, spec.shape, self._pool.layout.page_bytes)
        return Adapter(name, f"adapter-{next(self._serial)}", spec, layout)

    def unload(self, name: str) -> None:
        """Forget `name`; requests already accepted finish with it. AdapterError when unknown."""
        adapter = self._named.pop(name, None)
        if adapter is None:
            raise AdapterError(f"no adapter {name!r} is loaded")
        self._broken.pop(name, None)
        self.nbytes -= adapter.layout.nbytes
        if adapter.users and adapter.rows is None:
            try:
                adapter.descriptor = peft.hold(adapter.spec)
            except AdapterError:  # gone already: its users will hear of it when they start
                pass
        self.residency.retire(adapter)
        self.gone(adapter.key)
        self._forget_if_unused(adapter)

    def names(self) -> list[str]:
        """Registered adapters, sorted."""
        return sorted(self._named)

    def spec(self, name: str) -> peft.Spec | None:
        """What is registered under `name` now."""
        adapter = self._named.get(name)
        return None if adapter is None else adapter.spec

    # -- requests --------------------------------------------------------------------------------------------------

    def find(self, name: str, beside: int = 0) -> Adapter:
        """The present version of `name`, which must fit the pool beside `beside` pages.

        UnknownAdapter; RequestError when it can never fit, or its file could not be read last time.
        """
        adapter = self._named.get(name)
        if adapter is None:
            shown = ", ".join(self.names()[:SHOWN]) or "none"
            more = f" and {len(self._named) - SHOWN} more" if len(self._named) > SHOWN else ""
            raise UnknownAdapter(f"no adapter {name!r} is loaded; loaded are: {shown}{more}")
        found_as, why = self._broken.get(name, (None, ""))
        if found_as is not None and peft.signature(adapter.spec.file) == found_as:
            raise RequestError(f"adapter {name!r} cannot be used: {why}")
        if beside + adapter.layout.pages > self._pool.capacity:
            raise RequestError(
                f"the prompt and max_tokens take {beside} pages and adapter {name!r} {adapter.layout.pages}; the pool has "
                f"{self._pool.capacity}: shorten the prompt or lower max_tokens"
            )
        return adapter

    def claim(self, seq_id: str, adapter: Adapter) -> None:
        """An accepted request uses this version until `release`."""
        adapter.users.add(seq_id)
        self._of[seq_id] = adapter

    def release(self, seq_id: str) -> None:
        """The request has ended; harmless for one without adapter."""
        adapter = self._of.pop(seq_id, None)
        if adapter is not None:
            adapter.users.discard(seq_id)
            self.residency.unpin(adapter, seq_id)
            self._forget_if_unused(adapter)

    def _forget_if_unused(self, adapter: Adapter) -> None:
        if adapter.retired and not adapter.users:
            self.cache.drop(adapter.key)
            self.gone(adapter.key)
            if adapter.descriptor is not None:
                os.close(adapter.descriptor)
                adapter.descriptor = None

    # -- running ones ----------------------------------------------------------------------------------------------

    def wanted_pages(self, seq_ids: Iterable[str]) -> int:
        """Pages that the adapters of these requests take from `pool.available` when they are admitted."""
        return self.residency.wanted(self._of[i] for i in seq_ids if i in self._of)

    def pin(self, seq_id: str) -> None:
        """The request runs."""
        if seq_id in self._of:
            self.residency.pin(self._of[seq_id], seq_id)

    def unpin(self, seq_id: str) -> None:
        """The request was preempted."""
        if seq_id in self._of:
            self.residency.unpin(self._of[seq_id], seq_id)

    def ready(self, seq_id: str) -> bool:
        """May this running request be computed, its adapter being in the pool?"""
        return seq_id not in self._of or self.residency.ready(self._of[seq_id])

    def rows(self, seq_id: str) -> LoraRows | None:
        """The adapter of a request that is `ready`; None for the base model."""
        return self._of[seq_id].rows if seq_id in self._of else None

    def key(self, seq_id: str) -> str:
        """Unique per version of an adapter, "" for the base model: what KV of one may be reused under."""
        return self._of[seq_id].key if seq_id in self._of else ""

    def prefetch_next(self, scheduler: Scheduler, most: int, promised: int) -> None:
        """Bring in adapters of the `most` requests that will run next, beside `promised` pages."""
        if self._of and most:
            ids = (request.id for request in scheduler.upcoming(most))
            self.residency.prefetch((self._of[i] for i in ids if i in self._of), promised)

    def poll(self) -> list[tuple[str, str]]:
        """Take over finished copies; (request, reason) of those whose adapter could not be read."""
        failed: list[tuple[str, str]] = []
        for adapter, reason in self.residency.poll():
            self.failures += 1
            found_as = peft.signature(adapter.spec.file)
            if found_as is not None and not adapter.retired:
                self._broken[adapter.name] = found_as, reason
            failed += [
                (seq_id, f"adapter {adapter.name!r} cannot be used: {reason}") for seq_id in sorted(adapter.users)
            ]
        return failed

    def held_pages(self) -> list[Sequence[int]]:
        """The page lists of all adapters that hold some, for `PagePool.leaks`."""
        versions = {a.key: a for a in (*self._named.values(), *self._of.values(), *self.residency.loading())}
        return [adapter.pages for adapter in versions.values()]

    def stats(self) -> dict[str, int]:
        """Gauges and counters."""
        cache = self.cache
        return {
            "adapters": len(self._named),
            "adapter_bytes": self.nbytes,
            "adapter_cache_bytes": cache.nbytes,
            "adapter_cache_hits_total": cache.hits,
            "adapter_cache_misses_total": cache.misses,
            "adapter_failures_total": self.failures,
            "adapter_copied_bytes_total": self._copies.copied_bytes,
            **self.residency.stats(),
        }
