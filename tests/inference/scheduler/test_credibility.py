"""Reply lengths by credibility: the limits that the formula promises, and the sums against the formula written out."""

from __future__ import annotations

import random
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scheduler.credibility import PRIOR, Credibility


def taught(replies: list[tuple[str, int]], **options: float) -> Credibility:
    c = Credibility(**options)  # type: ignore[arg-type]
    for key, length in replies:
        c.ended(key, length)
    return c


def test_before_the_first_reply_the_prior_is_expected() -> None:
    assert Credibility().expected("a") == PRIOR
    assert Credibility(prior=40.0).expected("a") == 40.0


def test_clients_whose_replies_are_alike_get_their_own_mean() -> None:
    c = taught([("short", 64), ("long", 256)] * 2)
    assert (c.expected("short"), c.expected("long")) == (64.0, 256.0)


def test_a_newcomer_gets_the_mean_of_all() -> None:
    c = taught([("a", 100), ("a", 100), ("b", 300), ("b", 300)], prior=200.0, memory=1e9)
    assert c.expected("new") == pytest.approx(200.0)


def test_noise_without_differences_between_clients_is_averaged_away() -> None:
    rng = random.Random(1)
    replies = [(rng.choice("abcd"), rng.choice([10, 390])) for _ in range(400)]
    c = taught(replies, prior=200.0, memory=1e9)
    overall = fmean(length for _, length in replies)
    for client in "abcd":
        own = fmean(length for name, length in replies if name == client)
        assert abs(c.expected(client) - overall) <= abs(own - overall) / 2 + 1


def test_the_more_a_client_was_seen_the_more_its_own_mean_counts() -> None:
    rng = random.Random(2)
    c = taught([(name, round(rng.gauss(mean, 80))) for _ in range(50) for name, mean in (("a", 100), ("b", 500))])
    overall = c.expected("nobody")
    seen = []
    for _ in range(10):
        c.ended("new", 900)
        seen.append(c.expected("new"))
    assert overall < seen[0]
    assert all(earlier < later for earlier, later in pairwise(seen))
    assert seen[-1] < 900


def test_old_replies_are_forgotten() -> None:
    c = taught([("a", 500), ("b", 500)] * 200 + [("a", 50), ("b", 50)] * 60, memory=20.0)
    assert c.expected("a") < 80


def test_the_longest_unseen_clients_are_forgotten_first() -> None:
    c = taught([("a", 10), ("a", 10), ("b", 90), ("b", 90), ("c", 90), ("c", 90)], most=2, prior=90.0)
    assert c.expected("b") == c.expected("c") == 90.0
    assert c.expected("a") == pytest.approx(90.0), "a newcomer again, and gone from the mean of all"


@pytest.mark.parametrize("options", [{"memory": 1.0}, {"prior": -1.0}, {"most": 0}])
def test_nonsense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Credibility(**options)  # type: ignore[arg-type]


_replies = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 1000)), min_size=2, max_size=60)


@given(_replies)
@settings(max_examples=200, deadline=None)
def test_the_running_sums_are_the_formula_written_out(replies: list[tuple[str, int]]) -> None:
    c = taught(replies, memory=1e12, prior=100.0)
    of = {name: [length for who, length in replies if who == name] for name in {who for who, _ in replies}}
    total, count = sum(map(sum, of.values())), len(replies)
    overall = (total + 100.0) / (count + 1)
    assert c.expected("nobody") == pytest.approx(overall)
    if count == len(of):
        expected = dict.fromkeys(of, overall)
    else:
        within = sum((x - fmean(xs)) ** 2 for xs in of.values() for x in xs) / (count - len(of))
        spread = sum(len(xs) * (fmean(xs) - total / count) ** 2 for xs in of.values()) - (len(of) - 1) * within
        weight = count - sum(len(xs) ** 2 for xs in of.values()) / count
        if within == 0:
            expected = {name: fmean(xs) for name, xs in of.items()}
        elif spread <= 1e-6 * within or weight <= 0:
            return  # on the edge between the two cases rounding decides
        else:
            noise = within * weight / spread
            expected = {n: (len(xs) * fmean(xs) + noise * overall) / (len(xs) + noise) for n, xs in of.items()}
    assert {name: c.expected(name) for name in of} == pytest.approx(expected, rel=1e-4)


@given(_replies, st.floats(2, 50))
@settings(max_examples=200, deadline=None)
def test_what_is_expected_lies_within_what_was_seen(replies: list[tuple[str, int]], memory: float) -> None:
    c = taught(replies, memory=memory, prior=100.0)
    lengths = [length for _, length in replies] + [100]
    for key in "abcdx":
        assert min(lengths) - 1e-6 <= c.expected(key) <= max(lengths) + 1e-6
