"""Simulated voters of known strength, and the battles they vote on. Pure, seeded: the same seed, the same votes.

A voter sees contestants i and j of log strength s and decides by Davidson's tie model (1970): P(i wins) is proportional to
exp(s_i), P(tie) to nu exp((s_i + s_j) / 2). Half-win Bradley-Terry estimates exactly these strengths, so the demo board
has a known right answer.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

# By slug; the gaps are wide enough for 300 battles to tell them apart.
STRENGTH: dict[str, float] = {"smollm2-135m": 0.9, "laconic-135m": 0.3, "socratic-135m": -0.3, "pirate-135m": -0.9}
NU = 0.6
BOTH_BAD_SHARE = 0.35  # of the ties
SEED = 20261123
BATTLES = 300


@dataclass(frozen=True, slots=True)
class Bout:
    """One synthetic battle; `probability` is that of the unordered pair."""

    a: str
    b: str
    prompt: str
    choice: str
    probability: float
    seconds_to_vote: float


def bouts(
    prompts: Sequence[str], strength: Mapping[str, float] | None = None, count: int = BATTLES, seed: int = SEED
) -> list[Bout]:
    """Uniform pairs, shuffled sides, uniform prompts."""
    strength, rng = strength or STRENGTH, random.Random(seed)
    pairs = list(combinations(sorted(strength), 2))
    made = []
    for _ in range(count):
        a, b = rng.sample(rng.choice(pairs), 2)
        choice = vote(rng, strength[a], strength[b])
        made.append(Bout(a, b, rng.choice(prompts), choice, 1 / len(pairs), round(rng.uniform(6, 75), 1)))
    return made


def vote(rng: random.Random, strength_a: float, strength_b: float) -> str:
    """a, b, tie or both_bad."""
    weights = [math.exp(strength_a), math.exp(strength_b), NU * math.exp((strength_a + strength_b) / 2)]
    choice = rng.choices(["a", "b", "tie"], weights)[0]
    return "both_bad" if choice == "tie" and rng.random() < BOTH_BAD_SHARE else choice
