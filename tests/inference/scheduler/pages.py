"""A pool of page numbers that counts owners, as the engine's does, and nothing else."""

from __future__ import annotations


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
