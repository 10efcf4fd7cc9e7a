"""Simulated voters of known strength, and the battles they vote on. Pure, seeded: the same seed, the same votes.

A voter sees contestants i and j of log strength s. With p = 1 / (1 + exp(s_j - s_i)), the voter calls a tie with
probability t = TIES min(p, 1 - p), prefers i with probability p - t/2 and j with 1 - p - t/2. The expected points, a tie being
half a win, are then p exactly, so the Bradley-Terry board has a known right answer: these strengths.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

# By slug; the gaps are wide enough for 300 battles to tell them apart.
STRENGTH: dict[str, float] = {"smollm2-135m": 0.9, "laconic-135m": 0.3, "socratic-135m": -0.3, "pirate-135m": -0.9}
TIES = 0.5
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
    """Uniform pairs, shuffled sides, uniform prompts. The votes do not depend on how many prompts there are."""
    strength, rng, asking = strength or STRENGTH, random.Random(seed), random.Random(seed + 1)
    pairs = list(combinations(sorted(strength), 2))
    made = []
    for _ in range(count):
        a, b = rng.sample(rng.choice(pairs), 2)
        choice = vote(rng, strength[a], strength[b])
        made.append(Bout(a, b, asking.choice(prompts), choice, 1 / len(pairs), round(rng.uniform(6, 75), 1)))
    return made


def vote(rng: random.Random, strength_a: float, strength_b: float) -> str:
    """a, b, tie or both_bad."""
    chance = 1 / (1 + math.exp(strength_b - strength_a))
    tie = TIES * min(chance, 1 - chance)
    choice = rng.choices(["a", "b", "tie"], [chance - tie / 2, 1 - chance - tie / 2, tie])[0]
    return "both_bad" if choice == "tie" and rng.random() < BOTH_BAD_SHARE else choice
