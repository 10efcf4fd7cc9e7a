"""The prefix cache of one engine: the radix tree over the page pool, and what each sequence reads of it.

A running sequence owns every page in its table, those of the tree too, and locks the tree's path down to the last of
them. Its full pages enter the tree when its prompt is computed and when it leaves the batch; where the tree has the same
prefix already, the sequence changes over to the tree's pages and gives its own back. Only whole pages are shared, so
nobody ever writes to a page that another reads. The last token is always computed: its scores are wanted.
Tests: tests/inference/engine/test_prefix.py, test_prefix_exactness.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inference.engine.sequence import Sequence
from inference.scheduler.in_batch import InBatch
from inference.scheduler.prefix_key import TOKEN_BYTES, PrefixKey, encode, salt_of
from inference.scheduler.radix import Node, Owners, Probe, RadixTree

NOTHING = Probe(0, 0)


@dataclass(slots=True, eq=False)
class Reuse:
    """A sequence's side of the cache. `text` are its tokens, encoded as far as they were needed; `node` is locked."""

    key: PrefixKey
    text: bytes = b""
    node: Node | None = None
    probe: Probe = NOTHING
    version: int = -1


class PrefixCache:
    """See the module. `model` names the base model; `enabled` False computes every token, always."""

    def __init__(self, page_tokens: int, pool: Owners, model: str, enabled: bool = True) -> None:
        self.page_tokens, self.enabled = page_tokens, enabled
        self.tree = RadixTree(page_tokens, pool, enabled)
        self._pool, self._model = pool, model
        self._in_batch = InBatch(page_tokens)
        self.cached_tokens = self.deferrals = 0

    # -- before admission ------------------------------------------------------------------------------------------

    def attach(self, seq: Sequence, adapter: str = "") -> None:
        """`seq` was accepted: under which key it reads and writes. `adapter` names the version of its adapter."""
        seq.reuse = Reuse(PrefixKey(self._model, adapter, salt_of(seq.request)))

    def probe(self, seq: Sequence) -> Probe:
        """How many tokens of a waiting sequence need not be computed, and how many of these are evictable now."""
        if not self._reads(seq):
            return NOTHING
        reuse = _reuse(seq)
        if reuse.version != self.tree.version:
            reuse.probe, reuse.version = self.tree.probe(reuse.key, self._text(seq, len(seq) - 1)), self.tree.version
        return reuse.probe

    def _reads(self, seq: Sequence) -> bool:
        """Scores of the prompt are made while it is computed, so a sequence that wants them computes all of it."""
        return self.enabled and (seq.params.prompt_logprobs is None or bool(seq.output_ids))

    @staticmethod
    def _text(seq: Sequence, count: int) -> bytes:
        """The first `count` tokens, encoded."""
        reuse = _reuse(seq)
        have = len(reuse.text) // TOKEN_BYTES
        if have < count:
            reuse.text += encode(seq.tokens(have, count))
        return reuse.text[: count * TOKEN_BYTES]

    # -- in the batch ----------------------------------------------------------------------------------------------

    def start(self, seq: Sequence) -> int:
        """`seq` was admitted: give it the cached pages; how many of its tokens are left to compute.

        Tokens that an earlier sequence of the batch is about to compute for both count as cached.
        """
        if not self.enabled:
            return len(seq)
        reads = self._reads(seq)
        if reads:
            self._take(seq)
        text = self._text(seq, len(seq))
        spared = self._in_batch.begin(seq.id, _reuse(seq).key, text, seq.num_computed, follows=reads)
        self.deferrals += spared > seq.num_computed
        return len(seq) - spared

    def _take(self, seq: Sequence) -> None:
        """Lock and own the longest cached prefix. What `seq` has of it is locked, so it is a part of what is found."""
        reuse = _reuse(seq)
        found = self.tree.match(reuse.key, self._text(seq, len(seq) - 1))
        more = found.pages[len(seq.pages) :]
        self._lock(reuse, found.node)
        self._pool.share(more)
        seq.pages += more
        if not seq.preemptions:
            self.cached_tokens += found.tokens - seq.num_computed
            seq.cached_tokens = found.tokens
        seq.num_computed = found.tokens

    def _lock(self, reuse: Reuse, node: Node) -> None:
        self.tree.lock(node)
        if reuse.node is not None:
            self.tree.unlock(reuse.node)
        reuse.node = node

    def ready(self, seq: Sequence, running: Mapping[str, Sequence]) -> bool:
        """May `seq` compute now? False while an earlier sequence computes what both begin with."""
        while (leader := self._in_batch.leader(seq.id)) is not None:
            if not leader.done:
                return False
            if leader.id in running:
                self._publish(running[leader.id])
            self._take(seq)
            self._in_batch.again(seq.id, seq.num_computed)
        return True

    def computed(self, seq: Sequence) -> None:
        """More tokens of `seq` are computed."""
        self._in_batch.advance(seq.id, seq.num_computed)

    def sampled(self, seq: Sequence) -> None:
        """`seq` got a token, so its scores were sound: after the first one its prompt is for others to read."""
        if self._in_batch.end(seq.id):
            self._publish(seq)

    def _publish(self, seq: Sequence) -> None:
        """Put the full pages of `seq` into the tree, and let it read the tree's copy of them."""
        reuse = _reuse(seq)
        text = self._keep(seq)
        found = self.tree.match(reuse.key, text)
        own = seq.pages[: len(found.pages)]
        if found.pages != own:
            self._pool.share(found.pages)
            self._pool.release(own)
            seq.pages[: len(own)] = found.pages
        self._lock(reuse, found.node)

    def _keep(self, seq: Sequence) -> bytes:
        """Insert what `seq` has computed exactly, in whole pages; these tokens, encoded."""
        exact = seq.num_computed if seq.exact is None else min(seq.num_computed, seq.exact)
        text = self._text(seq, exact - exact % self.page_tokens)
        self.tree.insert(_reuse(seq).key, text, seq.pages)
        return text

    def release(self, seq: Sequence, keep: bool = True) -> None:
        """`seq` leaves the batch and owns no page any more; what it computed stays cached if `keep`."""
        self._in_batch.end(seq.id)
        if self.enabled and keep:
            self._keep(seq)
        reuse = _reuse(seq)
        if reuse.node is not None:
            self.tree.unlock(reuse.node)
            reuse.node = None
        self._pool.release(seq.pages)
        seq.pages, seq.num_computed = [], 0

    # -- memory ----------------------------------------------------------------------------------------------------

    @property
    def reclaimable(self) -> int:
        """Pages that nobody reads: free as soon as they are wanted."""
        return self.tree.evictable // self.page_tokens

    def reclaim(self, pages: int) -> int:
        """Free up to `pages` pages, the least recently used first; how many it was."""
        return self.tree.evict(pages * self.page_tokens) // self.page_tokens

    def forget(self, adapter: str) -> None:
        """That version of an adapter is gone: what it computed is not read again, also if another takes its name."""
        self.tree.drop(lambda key: key.adapter == adapter)

    def stats(self, prompt_tokens: int) -> dict[str, float]:
        """Figures for /metrics; `prompt_tokens` are those of all admitted prompts."""
        return {
            "pages_cached": self.reclaimable,
            "prefix_tokens": self.tree.total,
            "prefix_nodes": self.tree.nodes,
            "prefix_bytes": self.tree.nbytes,
            "prefix_hit_rate": self.cached_tokens / prompt_tokens if prompt_tokens else 0.0,
            "cached_tokens_total": self.cached_tokens,
            "evicted_tokens_total": self.tree.evicted,
            "prefix_deferrals_total": self.deferrals,
        }


def _reuse(seq: Sequence) -> Reuse:
    assert seq.reuse is not None, "attach comes first"
    return seq.reuse
