"""The queue's command line: one place maps its flags to the options of `make_scheduler`, and says which a policy lacks.

Tests: tests/inference/engine/test_policy.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inference.engine.config import ConfigError
from inference.scheduler.cost import COSTS
from inference.scheduler.lengths import LENGTHS
from inference.scheduler.order import WEIGHTS
from inference.scheduler.protocol import Scheduler, ServiceClass
from inference.scheduler.registry import DEFAULT_POLICY, POLICIES, make_scheduler, options_of

FORESEEING = "oracle"  # nobody tells a real engine how much a reply will say


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of the scheduler. None, where a flag is not given, leaves the policy its default."""

    name: str
    option: str
    read: Callable[[str], Any]
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None


def _weights(text: str) -> dict[ServiceClass, float]:
    """`battle=4,exam=1`: classes that are left out keep their default weight."""
    try:
        given = {ServiceClass(name.strip()): float(value) for name, value in (e.split("=") for e in text.split(","))}
    except ValueError:
        classes = ", ".join(klass.value for klass in ServiceClass)
        raise argparse.ArgumentTypeError(f"{text!r} must be CLASS=NUMBER,... with classes of: {classes}") from None
    return {**WEIGHTS, **given}


FLAGS = (
    Flag("--max-waiting-per-client", "max_waiting_per_client", int, "a pair counts once (default 8)", "N"),
    Flag("--max-waiting", "max_waiting", int, "in all (default 512)", "N"),
    Flag("--max-clients", "max_counters", int, "idle clients that are remembered (default 10000)", "N"),
    Flag("--pair-hold-s", "pair_hold_s", float, "half a pair waits so long for the other (default 0.05)", "S"),
    Flag("--weights", "weights", _weights, "share of each class (default battle=4,exam=1,simulation=1)", "CLASS=N,..."),
    Flag(
        "--lengths", "lengths", str, "how reply lengths are predicted", None, tuple(n for n in LENGTHS if n != FORESEEING)
    ),
    Flag("--cost", "cost", str, "what service costs (default linear: input + 2 x output)", None, tuple(COSTS)),
    Flag("--slack", "slack", float, "how far ahead a warm prefix may go", "TOKENS"),
    Flag("--reserve", "reserve", float, "share of the slack that must be left where a prefix begins (default 0.37)", "N"),
    Flag("--patience", "patience", int, "admissions in a row that may pass over the least served", "N"),
    Flag("--candidates", "candidates", int, "requests whose prefix is looked up per choice", "N"),
    Flag("--cluster-adapters", "max_adapters", int, "once so many run, prefer these (default off)", "N"),
    Flag("--quantum", "quantum", float, "deficit per round (drr, dlpm)", "TOKENS"),
    Flag("--rpm", "per_minute", int, "requests per client and minute (rpm)", "N"),
    Flag("--slo-s", "slo_s", float, "drop who cannot start within so many seconds (default off)", "S"),
    Flag("--slo-margin-s", "slo_margin_s", float, "a first token takes so long after that (default 0.5)", "S"),
)  # fmt: skip


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The group `queue`."""
    queue = parser.add_argument_group("queue")
    names = [name for name in sorted(POLICIES) if FORESEEING not in name]
    queue.add_argument("--scheduler", choices=names, default=DEFAULT_POLICY, help="default %(default)s")
    for flag in FLAGS:
        queue.add_argument(
            flag.name, dest=flag.option, type=flag.read, help=flag.help, metavar=flag.metavar, choices=flag.choices
        )


def scheduler_of(args: argparse.Namespace) -> Scheduler:
    """The scheduler that was asked for. Raises ConfigError, in one line, for an option that it lacks or a wrong value."""
    given = {flag.option: flag for flag in FLAGS if getattr(args, flag.option) is not None}
    lacking = [flag.name for option, flag in given.items() if option not in options_of(args.scheduler)]
    if lacking:
        has = ", ".join(flag.name for flag in FLAGS if flag.option in options_of(args.scheduler))
        raise ConfigError(f"--scheduler {args.scheduler} has no {lacking[0]}; it has: {has}")
    if "slo_margin_s" in given and "slo_s" not in given:
        raise ConfigError("--slo-margin-s says nothing without --slo-s")
    try:
        return make_scheduler(args.scheduler, **{option: getattr(args, option) for option in given})
    except ValueError as error:
        raise ConfigError(f"--scheduler {args.scheduler}: {error}") from None
