"""The tree under any sequence of calls, against a plain model: a dict from each prefix to its page."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from inference.scheduler.prefix_key import PrefixKey, encode
from inference.scheduler.radix import Match, RadixTree
from tests.inference.scheduler.pages import Pages

KEYS = [PrefixKey("m"), PrefixKey("m", "a"), PrefixKey("m", "", "a")]
TOKENS = st.lists(st.integers(0, 2), max_size=14)
Path = tuple[PrefixKey, tuple[int, ...]]


class Machine(RuleBasedStateMachine):
    """`held` maps a prefix of whole pages to [page, time of last use]; `locks` are the prefixes that requests read."""

    matches: Bundle[tuple[Match, Path]] = Bundle("matches")

    @initialize(page=st.sampled_from([1, 2, 4]))
    def begin(self, page: int) -> None:
        self.page, self.now = page, 0
        self.pages = Pages()
        self.tree = RadixTree(page, self.pages)
        self.held: dict[Path, list[int]] = {}
        self.locks: list[Path] = []

    # -- the model -------------------------------------------------------------------------------------------------

    def prefixes(self, key: PrefixKey, tokens: list[int]) -> list[Path]:
        ends = range(self.page, len(tokens) + 1, self.page)
        return [(key, tuple(tokens[:end])) for end in ends]

    def present(self, key: PrefixKey, tokens: list[int]) -> list[Path]:
        return [path for path in self.prefixes(key, tokens) if path in self.held]

    def touch(self, paths: list[Path]) -> None:
        self.now += 1
        for path in paths:
            self.held[path][1] = self.now

    def locked(self, path: Path) -> bool:
        return any(key == path[0] and tokens[: len(path[1])] == path[1] for key, tokens in self.locks)

    def leaf(self, path: Path) -> bool:
        return not any(p[0] == path[0] and p[1] != path[1] and p[1][: len(path[1])] == path[1] for p in self.held)

    # -- what happens ----------------------------------------------------------------------------------------------

    @rule(key=st.sampled_from(KEYS), tokens=TOKENS, exact=st.none() | st.integers(0, 14))
    def insert(self, key: PrefixKey, tokens: list[int], exact: int | None) -> None:
        pages = self.pages.alloc(len(tokens) // self.page)
        there = self.tree.insert(key, encode(tokens), pages, exact)
        kept = tokens if exact is None else tokens[:exact]
        found = self.present(key, kept)
        assert there == len(found) * self.page
        for path, page in zip(self.prefixes(key, kept), pages, strict=False):
            self.held.setdefault(path, [page, 0])
        self.touch(self.present(key, kept))
        self.pages.release(pages)

    @rule(key=st.sampled_from(KEYS), tokens=TOKENS)
    def probe(self, key: PrefixKey, tokens: list[int]) -> None:
        found = self.present(key, tokens)
        free = [path for path in found if not self.locked(path)]
        assert self.tree.probe(key, encode(tokens)) == (len(found) * self.page, len(free) * self.page)

    @rule(target=matches, key=st.sampled_from(KEYS), tokens=TOKENS)
    def read(self, key: PrefixKey, tokens: list[int]) -> tuple[Match, Path]:
        """Match and lock, as a request does when it is admitted."""
        found = self.tree.match(key, encode(tokens))
        paths = self.present(key, tokens)
        assert found.pages == [self.held[path][0] for path in paths], "these pages, in order, and of no other key"
        assert found.tokens == len(paths) * self.page
        self.touch(paths)
        self.tree.lock(found.node)
        path = (key, tuple(tokens[: found.tokens]))
        self.locks.append(path)
        return found, path

    @rule(read=consumes(matches))
    def unlock(self, read: tuple[Match, Path]) -> None:
        found, path = read
        self.tree.unlock(found.node)
        self.locks.remove(path)

    @rule(tokens=st.integers(0, 30))
    def evict(self, tokens: int) -> None:
        before = len(self.pages.freed)
        evicted = self.tree.evict(tokens)
        freed = self.pages.freed[before:]
        wanted = -(-tokens // self.page)
        for page in freed:
            path = next(path for path, entry in self.held.items() if entry[0] == page)
            free = [p for p in self.held if not self.locked(p) and self.leaf(p)]
            assert path in free, "never what is read, nor a prefix of what stays"
            assert self.held[path][1] == min(self.held[p][1] for p in free), "the least recently used goes first"
            del self.held[path]
        assert evicted == len(freed) * self.page
        assert len(freed) == wanted or all(self.locked(path) for path in self.held)

    @rule(key=st.sampled_from(KEYS))
    def drop(self, key: PrefixKey) -> None:
        gone = {path for path in self.held if path[0] == key and not self.locked(path)}
        assert self.tree.drop(lambda k: k == key) == len(gone) * self.page
        self.held = {path: entry for path, entry in self.held.items() if path not in gone}

    # -- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def totals_are_right(self) -> None:
        read = sum(self.locked(path) for path in self.held) * self.page
        assert (self.tree.total, self.tree.protected) == (len(self.held) * self.page, read)
        assert self.tree.evictable == self.tree.total - self.tree.protected

    @invariant()
    def no_page_is_lost_or_shared(self) -> None:
        """Every page of the tree has one owner, the tree; every other page is free, once; no two prefixes have one page."""
        mine = [entry[0] for entry in self.held.values()]
        assert len(mine) == len(set(mine))
        assert self.pages.owners == dict.fromkeys(mine, 1)

    @invariant()
    def bookkeeping_is_bounded(self) -> None:
        assert len(self.tree._heap) <= self.tree.nodes <= len(self.held)

    def teardown(self) -> None:
        """When the last reader is gone, everything can be freed."""
        if not hasattr(self, "tree"):
            return
        for path in self.locks:
            self.tree.unlock(self.tree.match(path[0], encode(path[1])).node)
        self.tree.evict(10_000)
        assert (self.tree.total, self.tree.nodes, self.pages.owners) == (0, 0, {})


TestRadix = Machine.TestCase
TestRadix.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
