"""What each predictor expects of a request, and that a wrong guess costs nobody anything in the end."""

from __future__ import annotations

import pytest

from inference.scheduler.counters import Counters
from inference.scheduler.credibility import PRIOR
from inference.scheduler.lengths import LENGTHS, NEWEST, NEWEST_OF_ALL, Lengths
from inference.scheduler.protocol import OUTPUT_LEN
from tests.inference.scheduler.driving import admit, arrive, request, room


def taught(name: str, *replies: tuple[str, int]) -> tuple[Lengths, Counters]:
    lengths, tree = LENGTHS[name](), Counters()
    for client, length in replies:
        lengths.was(tree.of(request(client)), length)
    return lengths, tree


def expected(name: str, client: str, *replies: tuple[str, int], max_output: int = 0) -> float:
    lengths, tree = taught(name, *replies)
    r = request(client, max_output=max_output)
    return lengths.expected(r, tree.of(r))


def test_plain_vtc_expects_nothing() -> None:
    assert expected("none", "a", ("a", 300)) == 0


def test_the_moving_mean_weighs_the_newest_reply_a_fifth() -> None:
    assert expected("predicted", "a", ("a", 100), ("a", 200)) == pytest.approx(100 + NEWEST * 100)


def test_a_newcomer_is_expected_to_say_what_all_say() -> None:
    assert expected("predicted", "new", ("a", 100), ("b", 200)) == pytest.approx(100 + NEWEST_OF_ALL * 100)
    assert expected("predicted", "new") == 0


def test_credibility_knows_a_client_by_its_name_in_whatever_network() -> None:
    lengths, tree = taught("credibility", *[("a", 64), ("b", 256)] * 3)
    elsewhere = request("b", "net")
    assert lengths.expected(elsewhere, tree.of(elsewhere)) == 256
    assert expected("credibility", "a") == PRIOR


@pytest.mark.parametrize("name", ["predicted", "credibility"])
def test_nothing_beyond_what_a_request_may_say_is_expected(name: str) -> None:
    assert expected(name, "a", *[("a", 300), ("b", 10)] * 3, max_output=16) == 16


def test_the_oracle_wants_to_be_told() -> None:
    lengths, tree = taught("oracle")
    r = request("a", meta={OUTPUT_LEN: 7})
    assert lengths.expected(r, tree.of(r)) == 7
    with pytest.raises(KeyError):
        lengths.expected(request("a"), tree.of(r))
    with pytest.raises(TypeError, match="whole number"):
        lengths.expected(request("a", meta={OUTPUT_LEN: "7"}), tree.of(r))


@pytest.mark.parametrize("said", [3, 40, 400])
@pytest.mark.parametrize("name", ["vtc_predicted", "vtc_credibility", "vtc_locality_credibility"])
def test_a_wrong_guess_is_settled_at_the_end(name: str, said: int) -> None:
    s = room(name)
    for length in (40, said):
        r = request("a", input_len=10, max_output=500)
        arrive(s, r)
        admit(s)
        for _ in range(length):
            s.decoded(r, 1)
        s.finished(r)
    found = s.order.counters("a")
    assert found is not None
    assert found[0] == pytest.approx(2 * 10 + 2 * (40 + said))


@pytest.mark.parametrize("said", [0, 6, 20])
def test_a_newcomer_starts_level_with_what_the_least_one_has_received(said: int) -> None:
    """Not with what it has paid in advance: a flood's refunds would leave the newcomer behind the flood."""
    s = room("vtc_credibility")
    first, waits = request("flood", input_len=10), request("flood", input_len=10)
    arrive(s, first, waits)
    admit(s, slots=1)
    s.decoded(first, said)
    arrive(s, request("new", input_len=10))
    assert s.order.counters("new") == (10 + 2 * said,) * 2


def flooded(name: str, said: int) -> list[str]:
    """One place at a time. A flood has one running, charged for 40 tokens; a visitor comes; then that one says `said`."""
    s = room(name)
    for _ in range(3):
        r = request("flood", "crowd", input_len=10, max_output=500)
        arrive(s, r)
        admit(s)
        for _ in range(40):
            s.decoded(r, 1)
        s.finished(r)
    running = request("flood", "crowd", input_len=10, max_output=500)
    arrive(s, running, *(request("flood", "crowd", input_len=10, max_output=500) for _ in range(20)))
    assert admit(s) == (running,)
    arrive(s, *(request("visitor", "home", input_len=10, max_output=500) for _ in range(2)))
    for _ in range(said):
        s.decoded(running, 1)
    s.finished(running)
    order = []
    while unit := admit(s):
        order.append(unit[0].client)
        for _ in range(said):
            s.decoded(unit[0], 1)
        s.finished(unit[0])
    return order


@pytest.mark.parametrize("said", [1, 20, 40, 60])
@pytest.mark.parametrize("name", ["vtc_predicted", "vtc_credibility", "vtc_locality_credibility"])
def test_a_visitor_is_not_passed_by_a_flood_whose_replies_end_early(name: str, said: int) -> None:
    """It comes level with what the flood has received, so what the flood gets back moves it no further than that."""
    order = flooded(name, said)
    assert order[0] == "visitor"
    assert order.index("visitor", 1) <= 2
