"""RadixAttention's tree (SGLang, section 3): which pages of keys and values belong to which prefix of tokens.

Kept: an edge is a span of tokens, a node holds their pages; a match walks and splits; requests lock the path they read;
leaves without references are evicted, the least recently used first; a key isolates trees (SGLang's `extra_key`).
Different: an edge is bytes, so a page is one dictionary step and the rest of an edge one comparison of memory; pages are
shared with their pool by owners, so a page that is still read survives its eviction from the tree; a leaf gives up its
last pages first and only as many as are wanted; time is a counter of matches, so runs repeat exactly.

Every node but the root holds at least one page, and the heap at most one entry per node: what the tree needs beside the
pages is bounded by their number, and `nbytes` says how much it is. One thread calls everything here.
Tests: tests/inference/scheduler/test_radix.py (SGLang's own list), test_radix_properties.py (against a plain dict).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple, Protocol

from inference.scheduler.prefix_key import TOKEN_BYTES, PrefixKey
from inference.scheduler.radix_events import EventLog

NODE_BYTES = 560  # a node with its containers, its entry in its parent and in the heap (measured, CPython 3.11)
PAGE_BYTES = 8  # a page's entry in its node


class Owners(Protocol):
    """Who counts the owners of pages: the engine's pool, or a simulator's."""

    def share(self, pages: list[int]) -> None:
        """The tree owns `pages` too, from now on."""

    def release(self, pages: list[int]) -> None:
        """The tree owns `pages` no longer."""


class ReferenceUnderflow(RuntimeError):
    """A node was unlocked more often than locked, or locked after it had left the tree."""


@dataclass(slots=True, eq=False)
class Node:
    """A span of tokens (`text`, whole pages) after those of `parent`. Opaque to callers: they lock and unlock it.

    `refs` counts the locks on this node and below, -1 once it has left the tree; `used` is when it was matched last.
    """

    key: PrefixKey
    text: bytes
    pages: list[int]
    parent: Node | None
    refs: int = 0
    used: int = 0
    queued: bool = False
    children: dict[object, Node] = field(default_factory=dict)
    hashes: list[bytes] = field(default_factory=list)


class Match(NamedTuple):
    """The longest prefix that is there: its pages in order, and the node to lock before anything else may evict it."""

    node: Node
    pages: list[int]
    tokens: int


class Probe(NamedTuple):
    """Length of the longest prefix that is there, and how much of it is evictable now; tokens."""

    tokens: int
    evictable: int


class RadixTree:
    """See the module. `text` is always `prefix_key.encode(tokens)`; what is over a whole page is ignored."""

    def __init__(self, page_tokens: int, owners: Owners, enabled: bool = True, events: EventLog | None = None) -> None:
        """`enabled` False: nothing is ever kept, so nothing is ever found. ValueError for a page without tokens."""
        if page_tokens < 1:
            raise ValueError(f"page_tokens is {page_tokens}; it must be at least 1")
        self.page_tokens, self.enabled = page_tokens, enabled
        self._page = page_tokens * TOKEN_BYTES
        self._owners, self._events = owners, events
        self._root = Node(PrefixKey(""), b"", [], None)
        self._heap: list[tuple[int, int, Node]] = []
        self._clock = self._serial = 0
        self.version = 0  # changes whenever a `probe` may answer differently
        self.nodes = 0
        self.total = self.protected = self.evicted = 0  # tokens; evicted since the start

    @property
    def evictable(self) -> int:
        """Tokens in the tree that no running request reads."""
        return self.total - self.protected

    @property
    def nbytes(self) -> int:
        """Memory of the tree itself, beside the pages."""
        return self.nodes * NODE_BYTES + self.total // self.page_tokens * (PAGE_BYTES + self._page)

    # -- finding ---------------------------------------------------------------------------------------------------

    def probe(self, key: PrefixKey, text: bytes) -> Probe:
        """How much of `text` is there. Leaves everything as it is, the order of eviction too."""
        tokens = evictable = 0
        for node, size in self._walk(key, text):
            tokens += size // TOKEN_BYTES
            evictable += 0 if node.refs else size // TOKEN_BYTES
        return Probe(tokens, evictable)

    def match(self, key: PrefixKey, text: bytes) -> Match:
        """The longest prefix of `text` that is there, now the most recently used."""
        self._clock += 1
        node, pages = self._root, list[int]()
        for child, size in self._walk(key, text):
            node = child if size == len(child.text) else self._split(child, size)
            node.used = self._clock
            pages += node.pages
        return Match(node, pages, len(pages) * self.page_tokens)

    def _walk(self, key: PrefixKey, text: bytes) -> Iterator[tuple[Node, int]]:
        """The nodes along `text`, and how many bytes of each agree; only the last may agree in part."""
        end, page, at = len(text) - len(text) % self._page, self._page, 0
        children: dict[object, Node] = self._root.children
        while at < end:
            first = text[at : at + page]
            node = children.get(first if at else (key, first))
            if node is None:
                return
            size = _agreeing(node.text, text, at, end, page)
            whole = size == len(node.text)  # asked before whoever reads this splits the node
            yield node, size
            if not whole:
                return
            children, at = node.children, at + size

    def _slot(self, node: Node) -> object:
        """The name of `node` among its parent's children: its first page, and at the top its key."""
        first = node.text[: self._page]
        return (node.key, first) if node.parent is self._root else first

    def _split(self, node: Node, size: int) -> Node:
        """Cut `node` after `size` bytes; the new upper part is returned. Locks on `node` go on holding all of it."""
        cut = size // self._page
        upper = Node(node.key, node.text[:size], node.pages[:cut], node.parent, node.refs, node.used)
        upper.hashes, node.hashes = node.hashes[:cut], node.hashes[cut:]
        self._parent(node).children[self._slot(node)] = upper
        node.text, node.pages, node.parent = node.text[size:], node.pages[cut:], upper
        upper.children[self._slot(node)] = node
        self.nodes += 1
        return upper

    @staticmethod
    def _parent(node: Node) -> Node:
        assert node.parent is not None
        return node.parent

    # -- keeping ---------------------------------------------------------------------------------------------------

    def insert(self, key: PrefixKey, text: bytes, pages: list[int], exact: int | None = None) -> int:
        """Keep `pages`, one per whole page of `text`; how many leading tokens were there already, under other pages or these.

        The tree shares the pages that it keeps, which are those after the tokens that were there. `exact` is how many
        leading tokens were computed without a sparse step (None: all): what was computed after one is different, and is
        never kept. ValueError when `pages` are too few.
        """
        size = len(text) if exact is None else min(len(text), exact * TOKEN_BYTES)
        count = size // self._page
        if len(pages) < count:
            raise ValueError(f"{len(pages)} pages were given for {count} pages of tokens")
        if not self.enabled:
            return 0
        found = self.match(key, text[: count * self._page])
        there = len(found.pages)
        if there < count:
            self._grow(found.node, key, text[there * self._page : count * self._page], pages[there:count])
        return found.tokens

    def _grow(self, parent: Node, key: PrefixKey, text: bytes, pages: list[int]) -> None:
        self._owners.share(pages)
        node = Node(key, text, pages, parent, used=self._clock)
        parent.children[self._slot(node)] = node
        if self._events is not None:
            before = parent.hashes[-1] if parent.hashes else None
            node.hashes = self._events.stored(key, before, text, self._page)
        self.nodes += 1
        self.total += len(pages) * self.page_tokens
        self.version += 1
        self._queue(node)

    def lock(self, node: Node) -> None:
        """One more request reads the path down to `node`: nothing of it is evicted. ReferenceUnderflow for what has left."""
        if node.refs < 0:
            raise ReferenceUnderflow("the prefix has left the tree: match again")
        while node.parent is not None:
            if not node.refs:
                self.protected += len(node.pages) * self.page_tokens
                self.version += 1
            node.refs += 1
            node = node.parent

    def unlock(self, node: Node) -> None:
        """One request less reads the path down to `node`. ReferenceUnderflow when nobody has locked it."""
        if node.parent is not None and node.refs < 1:
            raise ReferenceUnderflow("the prefix is not locked")
        lowest = node
        while node.parent is not None:
            node.refs -= 1
            if not node.refs:
                self.protected -= len(node.pages) * self.page_tokens
                self.version += 1
            node = node.parent
        self._queue(lowest)

    # -- forgetting ------------------------------------------------------------------------------------------------

    def evict(self, tokens: int) -> int:
        """Give up at least `tokens`, as far as they are evictable, from the least recently used leaf on; how many it was."""
        pages: list[int] = []
        wanted = -(-tokens // self.page_tokens)
        while len(pages) < wanted and self._heap:
            used, _, node = heappop(self._heap)
            node.queued = False
            if node.refs or node.children:  # locked, grown or gone since: it comes back when it is a free leaf again
                continue
            if node.used == used:
                pages += self._trim(node, wanted - len(pages))
            self._queue(node)
        if pages:
            self.version += 1
            self.evicted += len(pages) * self.page_tokens
            self._owners.release(pages)
        return len(pages) * self.page_tokens

    def _trim(self, node: Node, pages: int) -> list[int]:
        """Take up to `pages` pages from the end of a free leaf, the last first; without any it leaves the tree."""
        keep = max(0, len(node.pages) - pages)
        taken = node.pages[keep:]
        taken.reverse()
        self.total -= len(taken) * self.page_tokens
        if self._events is not None:
            self._events.removed(node.hashes[keep:])
        if keep:
            node.text, node.pages = node.text[: keep * self._page], node.pages[:keep]
            node.hashes = node.hashes[:keep]
        else:
            parent = self._parent(node)
            del parent.children[self._slot(node)]
            node.refs = -1
            self.nodes -= 1
            self._queue(parent)
        return taken

    def _queue(self, node: Node) -> None:
        """A free leaf may be evicted: one entry in the heap, under the time of its last match."""
        if not node.queued and not node.refs and not node.children and node.parent is not None:
            node.queued = True
            self._serial += 1
            heappush(self._heap, (node.used, self._serial, node))

    def drop(self, wanted: Callable[[PrefixKey], bool] = lambda _: True) -> int:
        """Forget every prefix whose key is `wanted`, but for what is locked; how many tokens it was."""
        pages: list[int] = []
        line = [node for node in self._root.children.values() if wanted(node.key)]
        for node in line:  # grows while it is walked: children stand behind their parents
            line += node.children.values()
        for node in reversed(line):
            if not node.refs and not node.children:
                pages += self._trim(node, len(node.pages))
        self._heap = [entry for entry in self._heap if entry[2].refs >= 0]
        heapify(self._heap)
        self.version += 1
        self._owners.release(pages)
        return len(pages) * self.page_tokens


def _agreeing(edge: bytes, text: bytes, at: int, end: int, page: int) -> int:
    """Bytes, in whole pages, in which `edge` agrees with text[at:end]; the first page is known to."""
    size = min(len(edge), end - at)
    if text.startswith(edge[:size], at):
        return size
    low, high = 1, size // page  # agree in `low` pages, not in `high`
    while high - low > 1:
        middle = (low + high) // 2
        if text.startswith(edge[low * page : middle * page], at + low * page):
            low = middle
        else:
            high = middle
    return low * page
