"""One reply on its way out: step outputs become text, log-probabilities and usage in OpenAI's shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from inference.engine.detokenize import Detokenizer, StopStrings
from inference.engine.sequence import FinishReason, StepOutput, TokenLogprob
from inference.engine.text import ChatText


@dataclass(slots=True)
class Delta:
    """What one or more steps add to a reply. `finish` None means that more follows."""

    text: str = ""
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish: FinishReason | None = None
    error: str | None = None


class Reply:
    """Text of one generation: decoded as it comes, cut at stop strings, counted.

    After `finish` is out, `hit_stop_string` says whether the engine has to be told to stop.
    """

    def __init__(self, text: ChatText, stops: Sequence[str], stop_token_ids: Sequence[int], prompt_tokens: int) -> None:
        self._text = text
        self._detokenizer = Detokenizer(text.decode)
        self._stops = StopStrings(stops)
        self._stop_ids = frozenset(stop_token_ids)
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = self.cached_tokens = 0
        self.prompt_logprobs: list[dict[str, Any] | None] | None = None
        self.hit_stop_string = False

    def feed(self, outputs: Sequence[StepOutput]) -> Delta:
        """The delta of `outputs`, in order; what comes after the end is dropped."""
        delta = Delta()
        for output in outputs:
            if delta.finish is None:
                self._feed_one(output, delta)
        return delta

    def _feed_one(self, output: StepOutput, delta: Delta) -> None:
        if output.prompt_logprobs is not None:
            self.prompt_logprobs = [self._prompt_entry(entry) for entry in output.prompt_logprobs]
        self.completion_tokens += len(output.token_ids)
        self.cached_tokens += output.cached_tokens
        visible = [i for i in output.token_ids if i not in self._stop_ids]
        for entry in output.logprobs or ():
            if entry.token_id not in self._stop_ids:
                delta.logprobs.append(self._token_entry(entry))
        piece, stopped = self._stops.push(self._detokenizer.push(visible))
        if output.finish_reason is not None and not stopped:
            tail, stopped = self._stops.push(self._detokenizer.flush())
            piece += tail if stopped else tail + self._stops.flush()
        delta.text += piece
        delta.finish, delta.error = output.finish_reason, output.error
        if stopped:
            self.hit_stop_string = output.finish_reason is None
            delta.finish, delta.error = "stop", None

    def usage(self) -> dict[str, Any]:
        """OpenAI's usage object; the token that ended the reply counts. Cached tokens are among the prompt's."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }

    def _token_entry(self, entry: TokenLogprob) -> dict[str, Any]:
        top = [self._candidate(token_id, logprob) for token_id, logprob in entry.top]
        return {**self._candidate(entry.token_id, entry.logprob), "top_logprobs": top}

    def _candidate(self, token_id: int, logprob: float) -> dict[str, Any]:
        token = self._text.token_text(token_id)
        return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

    def _prompt_entry(self, entry: TokenLogprob | None) -> dict[str, Any] | None:
        """vLLM's shape: {token id: {logprob, rank, decoded_token}}, the prompt's own token first."""
        if entry is None:
            return None
        found = {str(entry.token_id): self._ranked(entry.token_id, entry.logprob, entry.rank)}
        for rank, (token_id, logprob) in enumerate(entry.top, 1):
            found.setdefault(str(token_id), self._ranked(token_id, logprob, rank))
        return found

    def _ranked(self, token_id: int, logprob: float, rank: int) -> dict[str, Any]:
        return {"logprob": logprob, "rank": rank, "decoded_token": self._text.token_text(token_id)}
