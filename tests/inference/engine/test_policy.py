"""The queue's flags: each reaches the scheduler, and one that the policy lacks is refused in one line that names it."""

from __future__ import annotations

import argparse

import pytest

from inference.engine import policy
from inference.engine.__main__ import main, parser
from inference.engine.config import ConfigError
from inference.scheduler.cost import profiled
from inference.scheduler.lengths import Credible, Predicted
from inference.scheduler.protocol import ServiceClass
from inference.scheduler.registry import POLICIES, options_of
from inference.scheduler.room import WaitingRoom
from inference.scheduler.vtc_locality import VtcLocality


def made(*flags: str) -> WaitingRoom:
    parser = argparse.ArgumentParser(exit_on_error=False)
    policy.add_flags(parser)
    scheduler = policy.scheduler_of(parser.parse_args(flags))
    assert isinstance(scheduler, WaitingRoom)
    return scheduler


def test_the_default_is_vtc_with_slack_locality_and_predicted_lengths() -> None:
    room = made()
    assert isinstance(room.order, VtcLocality)
    assert isinstance(room.order._lengths, Credible)
    assert (room.max_waiting_per_client, room.max_waiting, room._halves.hold_s) == (8, 512, 0.05)
    assert room._abort is None
    assert room.order._prices == {ServiceClass.BATTLE: 1, ServiceClass.EXAM: 4, ServiceClass.SIMULATION: 4}


def test_no_flag_of_the_engine_is_taken_for_one_of_the_queue() -> None:
    """Two flags that share a destination: the bound on registered adapters once switched clustering on."""
    actions = parser()._actions
    assert len({action.dest for action in actions}) == len(actions)
    for name in ("fcfs", "vtc_locality"):
        scheduler = policy.scheduler_of(parser().parse_args(["--model", "m", "--scheduler", name]))
        assert isinstance(scheduler, WaitingRoom) and getattr(scheduler.order, "max_adapters", None) is None


def test_every_flag_of_the_frame_reaches_it() -> None:
    room = made(
        *("--scheduler", "fcfs", "--max-waiting-per-client", "3", "--max-waiting", "9", "--max-clients", "7"),
        *("--pair-hold-s", "0.01", "--slo-s", "6", "--slo-margin-s", "1"),
    )
    assert (room.max_waiting_per_client, room.max_waiting, room.order.max_counters) == (3, 9, 7)
    assert room._halves.hold_s == 0.01
    assert room._abort is not None
    assert (room._abort.slo_s, room._abort.margin_s) == (6, 1)


def test_every_flag_of_a_policy_reaches_it() -> None:
    order = made(
        *(
            "--slack",
            "99",
            "--reserve",
            "0.5",
            "--patience",
            "5",
            "--candidates",
            "6",
            "--cluster-adapters",
            "2",
            "--lengths",
            "predicted",
        ),
        *("--cost", "profiled", "--weights", "exam=2,battle=2"),
    ).order
    assert isinstance(order, VtcLocality)
    assert (order.slack, order.reserve, order.patience, order.candidates, order.max_adapters) == (99, 0.5, 5, 6, 2)
    assert isinstance(order._lengths, Predicted)
    assert order._cost is profiled
    assert order._prices == {ServiceClass.BATTLE: 1, ServiceClass.EXAM: 1, ServiceClass.SIMULATION: 2}
    assert made("--scheduler", "rpm", "--rpm", "4").order.per_minute == 4  # type: ignore[attr-defined]
    assert made("--scheduler", "drr", "--quantum", "40").order.quantum == 40  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--scheduler fcfs --slack 10", "fcfs has no --slack; it has: --max-waiting-per-client"),
        ("--scheduler vtc --rpm 10", "vtc has no --rpm; it has: "),
        ("--scheduler rpm --lengths none", "rpm has no --lengths; it has: .*--rpm"),
        ("--slo-margin-s 1", "without --slo-s"),
        ("--slo-s 1 --slo-margin-s 2", "below the objective"),
        ("--slack -1", "slack is at least 0"),
        ("--weights battle=0", "positive weight"),
        ("--max-waiting 0", "must be positive"),
    ],
)
def test_what_a_policy_lacks_or_cannot_take_is_refused(flags: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refusal:
        made(*flags.split())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "flags", ["--weights battle", "--weights visitor=3", "--lengths oracle", "--scheduler vtc_oracle"]
)
def test_what_no_policy_takes_is_no_flag(flags: str) -> None:
    with pytest.raises(argparse.ArgumentError):
        made(*flags.split())


def test_the_engine_says_it_in_one_line_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "none", "--port", "0", "--scheduler", "lpm", "--slack", "1"]) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("engine: --scheduler lpm has no --slack") and "\n" not in told


def test_every_option_of_every_policy_has_a_flag_or_a_reason() -> None:
    """`pool_tokens` only gives drr its default quantum; weights of input and output are a cost; lpm and vtc are the papers'."""
    elsewhere = {"input_weight", "output_weight", "pool_tokens", "charge_cached", "fcfs_beyond"}
    flags = {flag.option for flag in policy.FLAGS}
    assert {option for name in POLICIES for option in options_of(name)} == flags | elsewhere
