"""S15: floods of one prompt are one cluster, however it is varied, and have only so many votes on a pair."""

import numpy as np
import pytest

from arena.moderation.detectors.fingerprints import fingerprints
from ranking.detectors import duplicates
from ranking.detectors.history import Ballots

POEM = "Write a short poem about the sea and the ships that sail on it in winter"
OTHERS = (
    "Explain how a transformer model attends to the tokens in its context",
    "Which three inventions of the last century changed daily life most, and why?",
    "Translate the following sentence into French: the cat sat on the mat all day long",
)


def codes(*texts: str) -> list[int]:
    found = [fingerprints(text) for text in texts]
    return duplicates.clusters([one.exact for one in found], [one.simhash for one in found]).tolist()


def test_the_same_prompt_varied_is_one_cluster() -> None:
    varied = (POEM, POEM.upper() + "!", POEM + " please", POEM + " 4711", POEM.replace("winter", "summer"))
    assert codes(*varied) == [0] * 5


def test_other_prompts_are_others() -> None:
    assert codes(POEM, *OTHERS, POEM) == [0, 1, 2, 3, 0]
    assert codes("hi", "hi there", "hello") == [0, 1, 2]
    assert codes("😀", "😎", "😀") == [0, 1, 0], "texts without words share a simhash, and are not alike for that"


def test_a_message_that_nobody_has_looked_at_belongs_nowhere() -> None:
    assert duplicates.clusters(["", "x", ""], [0, 5, 0]).tolist() == [-1, 0, -1]


def test_a_chain_of_small_changes_ties_no_strangers() -> None:
    steps = [(1 << 8 * n) - 1 for n in range(1, 8)]  # each 8 bits from the last
    assert len(set(duplicates.clusters([str(n) for n in range(7)], steps))) >= 3


def test_only_the_first_votes_of_a_cluster_on_a_pair_count() -> None:
    ballots = Ballots.of([0, 1, 0, 0, 2, 0], [1, 0, 1, 2, 0, 1], [0, 1, 0, 0, 0, 0])
    cluster = np.array([7, 7, 7, 7, -1, 8])
    assert duplicates.excess(ballots, cluster, 2).tolist() == [False, False, True, False, False, False]


def test_only_so_many_of_the_latest_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST", 2)
    apart = [0x00FF00FF00FF00FF, 0x7F00FF00FF00FF00, 0x0F0F0F0F0F0F0F0F, 0x00FF00FF00FF00FE]
    assert duplicates.clusters(["a", "b", "c", "d"], apart).tolist() == [0, 1, 2, 3]
    assert duplicates.clusters(["a", "b", "d", "a"], [apart[0], apart[1], apart[3], apart[0]]).tolist() == [0, 1, 0, 0]
