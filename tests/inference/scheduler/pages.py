"""A pool of page numbers that counts owners, as the engine's does, and nothing else; and a prefix tree over it."""

from __future__ import annotations

from inference.scheduler.prefix_key import PrefixKey, encode
from inference.scheduler.radix import RadixTree

KEY = PrefixKey("model")


class Pages:
    """`owners` maps a page to how many own it. Freed pages stand in `freed`, in the order in which they came back."""

    def __init__(self) -> None:
        self.owners: dict[int, int] = {}
        self.freed: list[int] = []
        self._next = 1

    def alloc(self, count: int) -> list[int]:
        pages = list(range(self._next, self._next + count))
        self._next += count
        self.owners |= dict.fromkeys(pages, 1)
        return pages

    def share(self, pages: list[int]) -> None:
        for page in pages:
            assert self.owners.get(page), f"page {page} is owned by nobody"
            self.owners[page] += 1

    def release(self, pages: list[int]) -> None:
        for page in pages:
            assert self.owners.get(page), f"page {page} is freed twice"
            self.owners[page] -= 1
            if not self.owners[page]:
                del self.owners[page]
                self.freed.append(page)


class Cache:
    """A tree with its pages, spoken to in token ids."""

    def __init__(self, page: int = 1, **options) -> None:
        self.page, self.pages = page, Pages()
        self.tree = RadixTree(page, self.pages, **options)

    def insert(self, tokens: list[int], key: PrefixKey = KEY, exact: int | None = None) -> tuple[int, list[int]]:
        """As a request does at its end: keep the pages, then give them back; (tokens there already, the pages)."""
        pages = self.pages.alloc(len(tokens) // self.page)
        there = self.tree.insert(key, encode(tokens), pages, exact)
        self.pages.release(pages)
        return there, pages

    def match(self, tokens: list[int], key: PrefixKey = KEY):
        return self.tree.match(key, encode(tokens))

    def length(self, tokens: list[int], key: PrefixKey = KEY) -> int:
        return self.tree.probe(key, encode(tokens)).tokens
