"""One side of a turn in the worker: text comes in from the engine, frames go out at the common cadence."""

from typing import Any

from arena.generation.pacing import Supply
from arena.markdown import BlockStream
from arena.models.battles import FinishReason
from arena.moderation.scan import Match, ReplyScan
from arena.turns import Outcome, SideBrief
from inference.events import Queued


class SideRun:
    """Collects a side's text and turns it into frames: closed Markdown blocks as HTML, the open tail as text."""

    def __init__(self, brief: SideBrief) -> None:
        self.brief = brief
        self.side = brief.side
        self.outcome = Outcome(attempt=brief.attempt)
        self.text: list[str] = []
        self.waiting = ""  # received, not yet released to the browser
        self.markdown = BlockStream()
        self.scan = ReplyScan()  # of this attempt: a new one is judged anew
        self.blocks: list[str] = []
        self.length = 0
        self.ended = False  # no more text will come
        self.closed = False  # the last block has been rendered
        self.told = False  # the browser knows how the side ended
        self.stopped = False
        self.reading = False  # its stream is open
        self.queued: Queued | None = None  # its place in the queue, while it waits

    def receive(self, text: str) -> None:
        self.text.append(text)
        self.waiting += text
        self.length += len(text)
        self._judge(self.scan.feed(text))

    def end_of_text(self) -> None:
        """No more text will come, for whatever reason: judge what has not been judged yet."""
        self._judge(self.scan.finish())

    def _judge(self, match: Match | None) -> None:
        """From a match on nothing of this side is shown; the text stays for the moderator."""
        if match is not None:
            self.outcome.finish_reason, self.outcome.cut = FinishReason.BLOCKED, match
            self.waiting, self.blocks, self.markdown, self.closed = "", [], BlockStream(), True

    @property
    def blocked(self) -> bool:
        return self.outcome.cut is not None

    @property
    def has_text(self) -> bool:
        return self.length > 0

    @property
    def attempt(self) -> int:
        return self.outcome.attempt

    @property
    def quiet(self) -> bool:
        """Whether nothing can be released or told: no text waits, and no end."""
        return not self.waiting and (self.told or not self.ended)

    @property
    def supply(self) -> Supply:
        return Supply(len(self.waiting), self.ended, self.stopped)

    def frame(self, size: int) -> dict[str, Any] | None:
        """The next `size` characters, or None. With the last ones of a side that has ended, its last block is closed."""
        text, self.waiting = self.waiting[:size], self.waiting[size:]
        last = self.ended and not self.waiting and not self.closed
        if not text and not last:
            return None
        if not last and self.markdown.lengthen(text):
            return {"n": self.attempt, "add": text}
        before, closed = self.markdown.tail, self.markdown.feed(text)
        if last:
            self.closed = True
            closed += [block] if (block := self.markdown.finish()) else []
        self.blocks += closed
        tail = self.markdown.tail
        if not text and not closed:
            return None
        if closed or tail != before + text:
            return {"n": self.attempt, "blocks": closed, "tail": tail}
        return {"n": self.attempt, "add": text}

    def whole(self) -> dict[str, Any]:
        """Everything released so far, as one frame: published again after Valkey was lost."""
        return {"n": self.attempt, "blocks": self.blocks, "tail": self.markdown.tail}

    def final(self) -> Outcome:
        """The outcome with its text and rendered HTML. Call when the last frame is out."""
        self.outcome.text = "".join(self.text)
        self.outcome.html = "".join(self.blocks)
        return self.outcome

    @property
    def end_state(self) -> str:
        """How the side ended, in the words of the stream."""
        if self.outcome.error:
            return "failed"
        return {"stopped": "stopped", "early": "early", "blocked": "blocked"}.get(self.outcome.finish_reason, "done")
