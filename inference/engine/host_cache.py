"""The host's copies of adapters: packed as their pages will hold them, within a bound on bytes, least recently used out.

The pool's pages are filled from here by one memory copy; a miss costs reading, checking and packing the file. An adapter
that is read for the first time goes to the pool alone: with thousands of them most never come back. Used by the copy thread
and, when an adapter is loaded or unloaded, by others.
Tests: tests/inference/engine/test_host_cache.py.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from torch import Tensor

REMEMBERED = 65_536  # keys of misses


class HostCache:
    """Images (nbytes,) uint8 by adapter key; `max_bytes` bounds their sum."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.nbytes = self.hits = self.misses = self.evictions = 0
        self._images: OrderedDict[str, Tensor] = OrderedDict()
        self._missed: OrderedDict[str, bool] = OrderedDict()  # key -> more than once
        self._lock = threading.Lock()

    def get(self, key: str) -> Tensor | None:
        """The image of that key, if it is still here."""
        with self._lock:
            image = self._images.get(key)
            if image is None:
                self.misses += 1
                self._missed[key] = key in self._missed
                if len(self._missed) > REMEMBERED:
                    self._missed.popitem(last=False)
                return None
            self.hits += 1
            self._images.move_to_end(key)
            return image

    def returning(self, key: str) -> bool:
        """Has this key been missed more than once, so that it is worth keeping?"""
        with self._lock:
            return self._missed.get(key, False)

    def put(self, key: str, image: Tensor) -> None:
        """Keep `image`, at the price of those not used for longest; one that is larger than the bound is not kept."""
        self.drop(key)
        if image.nbytes > self.max_bytes:
            return
        with self._lock:
            while self.nbytes + image.nbytes > self.max_bytes:
                self.nbytes -= self._images.popitem(last=False)[1].nbytes
                self.evictions += 1
            self._images[key] = image
            self.nbytes += image.nbytes

    def drop(self, key: str) -> None:
        """Forget a key; unknown ones are no error."""
        with self._lock:
            self._missed.pop(key, None)
            image = self._images.pop(key, None)
            if image is not None:
                self.nbytes -= image.nbytes

    def __len__(self) -> int:
        return len(self._images)
