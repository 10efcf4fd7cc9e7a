"""Token-id workloads with shared prefixes, after the programs of SGLang's evaluation (section 6).

Every text is a list of random token ids, so two texts share a prefix exactly where the program says so. A replay takes the
replies that stand here; a run on a model puts in what the model said, at the same lengths. Lengths are uniform between the
two bounds given, but for chat_arena's, which are lognormal with the medians and means of the arena trace that VTC published.

| workload | programs | a program |
|---|---|---|
| five_shot | 57 preambles of 300-1200, 20 questions each | preamble + question of 40-160, 1 token of reply (MMLU) |
| hellaswag | 1 preamble of 20 x 70-110, 200 questions | preamble + question of 60-110, then 4 endings of 15-40, 1 token each |
| tree | 40 questions of 60-200 after 120 shared | 4 levels, each state continued twice: 15-30 in, 100-250 of thought |
| chat_short | 48 conversations, 6 at a time, a salt each | 4 turns of 256-512 in, 4-8 out |
| chat_long | 48 conversations, 6 at a time, a salt each | 4 turns of 256-512 in, 256-512 out |
| chat_arena | 96 conversations, 6 at a time, a salt each | 4 turns: in median 40, mean 136, out median 211, mean 256 |
| judge | 40 articles of 300-900 after 180 shared | 6 dimensions at once (30-60 in, 60-150 out), then a verdict on all six |
| json | 60 documents of 150-600 after 300 shared | 8 fields one after the other: 4-10 of key, 2-24 of value |
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SEED = 7
VOCAB = 49_152
ACTIVE = 6  # conversations at a time: the longest of chat_long has 4,096 tokens, the usual one 3,072
ARENA_IN, ARENA_OUT = (40, 136, 1021), (211, 256, 977)  # median, mean and largest, tokens
DIMENSIONS, FIELDS, TURNS, LEVELS, BRANCHES, CHOICES = 6, 8, 4, 4, 2, 4


Part = list[int] | str  # tokens, or the id of the call whose reply stands here
Parts = tuple[Part, ...]


@dataclass(slots=True)
class Call:
    """One generation. It is asked when the calls named in `after` have ended."""

    id: str
    parts: Parts
    reply: list[int]
    after: tuple[str, ...] = ()
    salt: str = "job"

    def prompt(self, replies: Mapping[str, list[int]]) -> list[int]:
        """Its prompt, once the replies that stand in it are known."""
        return [token for part in self.parts for token in (replies[part] if isinstance(part, str) else part)]


@dataclass(slots=True)
class Maker:
    """Random texts, and the calls made so far in depth-first order. `share` < 1 makes fewer programs, at least one."""

    share: float = 1.0
    vocab: int = VOCAB
    rng: random.Random = field(default_factory=lambda: random.Random(SEED))
    calls: list[Call] = field(default_factory=list)

    def text(self, low: int, high: int | None = None) -> list[int]:
        return self.rng.choices(range(self.vocab), k=self.rng.randint(low, high or low))

    def lognormal(self, median: float, mean: float, largest: int) -> list[int]:
        length = self.rng.lognormvariate(math.log(median), math.sqrt(2 * math.log(mean / median)))
        return self.text(max(1, min(largest, round(length))))

    def count(self, programs: int) -> range:
        return range(max(1, round(programs * self.share)))

    def call(self, parts: Parts, reply: list[int], after: tuple[Call, ...] = (), salt: str = "job") -> Call:
        made = Call(str(len(self.calls)), parts, reply, tuple(call.id for call in after), salt)
        self.calls.append(made)
        return made


Text = Callable[[Maker], list[int]]


def between(low: int, high: int) -> Text:
    return lambda make: make.text(low, high)


def like(median: float, mean: float, largest: int) -> Text:
    return lambda make: make.lognormal(median, mean, largest)


def five_shot(make: Maker) -> None:
    for _ in make.count(57):
        preamble = make.text(300, 1200)
        for _ in range(20):
            make.call((preamble, make.text(40, 160)), make.text(1))


def hellaswag(make: Maker) -> None:
    preamble = [token for _ in range(20) for token in make.text(70, 110)]
    for _ in make.count(200):
        question = make.text(60, 110)
        for _ in range(CHOICES):
            make.call((preamble, question, make.text(15, 40)), make.text(1))


def tree(make: Maker) -> None:
    instruction = make.text(120)

    def think(state: Parts, parent: tuple[Call, ...], level: int) -> None:
        for _ in range(BRANCHES if level < LEVELS else 0):
            call = make.call((*state, make.text(15, 30)), make.text(100, 250), parent)
            think((*call.parts, call.id), (call,), level + 1)

    for _ in make.count(40):
        think((instruction, make.text(60, 200)), (), 0)


def chat(make: Maker, conversations: int, own: Text, reply: Text) -> None:
    ends: list[Call] = []
    for visitor in make.count(conversations):
        said: Parts = ()
        before = (ends[-ACTIVE],) if visitor >= ACTIVE else ()
        for _ in range(TURNS):
            call = make.call((*said, own(make)), reply(make), before, f"visitor-{visitor}")
            said, before = (*call.parts, call.id), (call,)
        ends += before


def judge(make: Maker) -> None:
    rubric = make.text(180)
    for _ in make.count(40):
        article = (rubric, make.text(300, 900))
        views = [make.call((*article, make.text(30, 60)), make.text(60, 150)) for _ in range(DIMENSIONS)]
        read: Parts = tuple(part for view in views for part in (view.parts[-1], view.id))
        make.call((*article, *read, make.text(20)), make.text(20, 60), tuple(views))


def json_fields(make: Maker) -> None:
    schema = make.text(300)
    for _ in make.count(60):
        state: Parts = (schema, make.text(150, 600))
        before: tuple[Call, ...] = ()
        for _ in range(FIELDS):
            call = make.call((*state, make.text(4, 10)), make.text(2, 24), before)
            state, before = (*call.parts, call.id), (call,)


WORKLOADS: dict[str, Callable[[Maker], None]] = {
    "five_shot": five_shot,
    "hellaswag": hellaswag,
    "tree": tree,
    "chat_short": lambda make: chat(make, 48, between(256, 512), between(4, 8)),
    "chat_long": lambda make: chat(make, 48, between(256, 512), between(256, 512)),
    "chat_arena": lambda make: chat(make, 96, like(*ARENA_IN), like(*ARENA_OUT)),
    "judge": judge,
    "json": json_fields,
}


def workload(name: str, share: float = 1.0, vocab: int = VOCAB) -> list[Call]:
    """The calls of one workload, depth first."""
    make = Maker(share, vocab)
    WORKLOADS[name](make)
    return make.calls
