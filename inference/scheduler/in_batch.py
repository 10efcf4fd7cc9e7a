"""In-batch prefix de-duplication (SGLang, section 3 and its scheduler): of requests that begin together, the first computes.

Kept: a request whose own hit is small waits while another is about to compute a prefix that both share, and then finds
it in the cache. Different: SGLang puts the later request back into the queue when its hit is at most 32 tokens and the
shared prefix at least 32; here it has been admitted, keeps its place, and only its first step is put off, so the order of
admission stays the policy's alone. "Small" means: no longer than what the first has itself, so that it computes the very
pages that the second lacks and waiting costs the second nothing. A request waits only for earlier ones, and the earliest
never waits, so the batch always moves.
Tests: tests/inference/scheduler/test_in_batch.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from inference.scheduler.prefix_key import TOKEN_BYTES, PrefixKey


class Leader(NamedTuple):
    """Whom a request waits for, and until how many tokens of it are computed. `done`: they are, or it has left."""

    id: str
    shared: int
    done: bool


@dataclass(slots=True, eq=False)
class _Prompt:
    """A prompt that is being computed: `have` tokens of it are. `leader` is set while its first step is put off.

    `past` are the leaders that it had: what they computed it has found, or will never find.
    """

    key: PrefixKey
    text: bytes
    have: int
    leader: str | None = None
    shared: int = 0
    past: set[str] = field(default_factory=set)


class InBatch:
    """The prompts in the batch that are not wholly computed, in order of admission."""

    def __init__(self, page_tokens: int) -> None:
        self.page_tokens = page_tokens
        self._page = page_tokens * TOKEN_BYTES
        self._prompts: dict[str, _Prompt] = {}

    def __len__(self) -> int:
        return len(self._prompts)

    def begin(self, name: str, key: PrefixKey, text: bytes, have: int, follows: bool = True) -> int:
        """A request was admitted with `have` of its tokens cached; how many of them it need not compute if it waits.

        With `follows` False it never waits, but others may wait for it.
        """
        prompt = _Prompt(key, text, have)
        if follows:
            self._follow(name, prompt)
        self._prompts[name] = prompt
        return max(have, prompt.shared)

    def again(self, name: str, have: int) -> None:
        """The leader of `name` is done, and `have` of its tokens are cached now: compute, or wait for somebody else."""
        prompt = self._prompts[name]
        if prompt.leader is not None:
            prompt.past.add(prompt.leader)
        prompt.have, prompt.leader, prompt.shared = have, None, 0
        self._follow(name, prompt)

    def _follow(self, name: str, prompt: _Prompt) -> None:
        """Find the earlier prompt that shares most; it may have computed that already, and not published it yet."""
        for other_name, other in self._prompts.items():
            if other_name == name:
                return
            if other.key != prompt.key or other.have < prompt.have or other_name in prompt.past:
                continue
            shared = self._shared(prompt, other)
            if shared > prompt.shared:
                prompt.leader, prompt.shared = other_name, shared

    def _shared(self, prompt: _Prompt, other: _Prompt) -> int:
        """Tokens, in whole pages, that both begin with; 0 when `prompt` has them all, and its last token never counts."""
        page, low = self._page, prompt.have * TOKEN_BYTES // self._page
        high = (min(len(prompt.text) - TOKEN_BYTES, len(other.text))) // page + 1
        if high <= low + 1 or not other.text.startswith(prompt.text[: (low + 1) * page]):
            return 0
        low += 1
        while high - low > 1:  # they agree in `low` pages, not in `high`
            middle = (low + high) // 2
            if other.text.startswith(prompt.text[low * page : middle * page], low * page):
                low = middle
            else:
                high = middle
        return low * self.page_tokens

    def leader(self, name: str) -> Leader | None:
        """Whom `name` waits for; None when it may compute. When that one is done, match again and call `again`."""
        prompt = self._prompts.get(name)
        if prompt is None or prompt.leader is None:
            return None
        first = self._prompts.get(prompt.leader)
        return Leader(prompt.leader, prompt.shared, first is None or first.have >= prompt.shared)

    def advance(self, name: str, have: int) -> None:
        """`have` tokens of `name` are computed now. Nothing for one that is not here."""
        prompt = self._prompts.get(name)
        if prompt is not None:
            prompt.have = have

    def end(self, name: str) -> bool:
        """The prompt of `name` is computed, or it left the batch; whether it was here."""
        return self._prompts.pop(name, None) is not None
