"""All rules together, over a stretch of votes: who is suspected of what, and which votes that takes out. Pure, no Django.

Order: haste and floods of a prompt (rules about single votes), then each voter, then groups of young voters who share an
address prefix or a prompt, then all young voters together (`swarm`, over windows of days), last the influence cap. A vote is
taken out once, by the first rule that finds it. The watch job (`ranking/guard/watch.py`), the rigging tests and `manage.py
replay_rigging` call this function.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ranking.detectors import duplicates, haste, influence, sequential, swarm
from ranking.detectors.history import Ballots, History
from ranking.estimators.tally import Bools, Floats, Ints

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """N votes in the order in which they were cast; codes of -1 = unknown. `fresh`: not looked at before.

    `counted`: not taken out yet. Only a voter's own record still holds those that are.
    """

    ballots: Ballots
    voter: Ints
    prefix: Ints
    prompt: Ints
    at: Floats  # seconds
    risk: Floats
    fresh: Bools
    counted: Bools

    def __len__(self) -> int:
        return len(self.ballots)


@dataclass(frozen=True, slots=True)
class Rules:
    """The bounds; docs/abuse.md says what each does."""

    alpha: float = sequential.ALPHA
    group_alpha: float = 0.01
    swarm_alpha: float = swarm.ALPHA
    heterogeneity: float = swarm.HETEROGENEITY
    windows: tuple[float, ...] = (1.0, 7.0, 28.0)  # days
    young: int = 20  # votes: below, a voter is judged together with others
    least: int = 4  # votes before anything is judged
    known: int = 300  # battles of a model before its ballots are judged
    history: int = 1000  # battles of the average model before anything is judged by them
    duplicates: int = 10
    share: float = 0.02
    prefix_share: float = 0.05
    share_least: int = 50


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """`rows`: positions of the votes to take out. `kind` and `code`: voter, prefix, prompt, window (days) or ""."""

    detector: str
    rows: Ints
    kind: str = ""
    code: int = -1
    way: str = ""
    model: int = -1
    statistic: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """`out`: (N,) what earlier rules have taken out, filled in as they go; `share`: of decided battles that A wins."""

    history: History
    votes: Votes
    rules: Rules
    out: Bools
    now: float
    share: float

    @property
    def young(self) -> Bools:
        """Votes of voters with few votes; nobody known counts as young."""
        voter = self.votes.voter
        total = np.bincount(voter[voter >= 0], minlength=int(voter.max(initial=0)) + 1)
        return np.asarray((voter < 0) | (total[np.maximum(voter, 0)] < self.rules.young))


def examine(history: History, votes: Votes, rules: Rules, now: float, first_share: float = 0.5) -> list[Finding]:
    """Findings about what `fresh` votes have a part in. `history` holds all counted votes, these among them."""
    case, found = _Case(history, votes, rules, ~votes.counted, now, first_share), []
    steps: list[Callable[[_Case], Iterator[Finding]]] = [_haste, _duplicates]
    if history.battles.sum() >= rules.history * max(1, history.size):
        steps += [_voters, _groups, _swarms]
    for step in [*steps, _caps]:
        for finding in step(case):
            if not case.out[finding.rows].all():
                found.append(finding)
                case.out[finding.rows] = True
    return found


def _haste(case: _Case) -> Iterator[Finding]:
    rows = np.flatnonzero((case.votes.risk >= haste.LIMIT) & case.votes.fresh)
    yield Finding("haste", rows, statistic=float(case.votes.risk[rows].max(initial=0)))


def _duplicates(case: _Case) -> Iterator[Finding]:
    prompt = np.where(case.out, -1, case.votes.prompt)
    beyond = duplicates.excess(case.votes.ballots, prompt, case.rules.duplicates)
    for code in np.unique(prompt[beyond]):
        rows = np.flatnonzero(beyond & (prompt == code))
        yield Finding("duplicate", rows, "prompt", int(code), statistic=float((prompt == code).sum()))


def _voters(case: _Case) -> Iterator[Finding]:
    votes = case.votes
    for code, rows in _subjects(votes.voter, votes.fresh, np.ones(len(votes), bool), case.rules.least):
        others = case.history.without(votes.ballots.take(rows[votes.counted[rows]]))
        ballots = votes.ballots.take(rows)
        verdict = sequential.judge(others, _judged(others, ballots, case.rules), case.rules.alpha, case.share)
        if verdict.flagged:
            yield _finding(verdict, rows, "voter", code)


def _groups(case: _Case) -> Iterator[Finding]:
    votes, young = case.votes, case.young
    for kind, codes in (("prefix", votes.prefix), ("prompt", votes.prompt)):
        for code, rows in _subjects(codes, votes.fresh, young & ~case.out, 2 * case.rules.least):
            if len(np.unique(votes.voter[rows])) < 2:
                continue
            others = case.history.without(votes.ballots.take(rows))
            ballots = _judged(others, votes.ballots.take(rows), case.rules)
            verdict = sequential.judge(others, ballots, case.rules.group_alpha, case.share)
            if verdict.flagged:
                yield _finding(verdict, rows, kind, code)


def _swarms(case: _Case) -> Iterator[Finding]:
    rules, young = case.rules, case.young
    for days in rules.windows:
        inside = ~case.out & (case.votes.at > case.now - days * DAY_S)
        rows = np.flatnonzero(young & inside)
        ballots, regular = case.votes.ballots.take(rows), case.votes.ballots.take(~young & inside)
        others = case.history.without(ballots.then(regular))
        alpha = rules.swarm_alpha / len(rules.windows)
        judged = (_judged(others, ballots, rules), _judged(others, regular, rules))
        _taken, campaigns = swarm.quarantine(others, *judged, alpha, rules.heterogeneity)
        for campaign in campaigns:
            its = rows[(ballots.a == campaign.model) | (ballots.b == campaign.model)]
            way = "promote" if campaign.z > 0 else "demote"
            yield Finding("swarm", its, "window", int(days), way, campaign.model, campaign.z)


def _caps(case: _Case) -> Iterator[Finding]:
    votes, rules = case.votes, case.rules
    kept = np.flatnonzero(~case.out)
    ballots, battles = votes.ballots.take(kept), case.history.battles.sum(axis=1)
    for kind, codes, share in (("voter", votes.voter, rules.share), ("prefix", votes.prefix, rules.prefix_share)):
        capped = kept[influence.excess(ballots, codes[kept], battles, share, rules.share_least)]
        for code in np.unique(codes[capped]):
            yield Finding("cap", capped[codes[capped] == code], kind, int(code), statistic=share)


def told_enough(history: History, ballots: Ballots, rules: Rules) -> Bools:
    """(N,) which ballots are between models that others have told enough about; a new model is nobody's campaign."""
    enough = history.battles.sum(axis=1) >= rules.known
    return np.asarray(enough[ballots.a] & enough[ballots.b])


def _judged(history: History, ballots: Ballots, rules: Rules) -> Ballots:
    return ballots.take(told_enough(history, ballots, rules))


def _subjects(codes: Ints, fresh: Bools, among: Bools, least: int) -> Iterator[tuple[int, Ints]]:
    """(code, positions of its votes `among`) of each subject with a fresh vote and at least so many votes."""
    rows = np.flatnonzero((codes >= 0) & among)
    rows = rows[np.argsort(codes[rows], kind="stable")]
    parts = np.split(rows, np.flatnonzero(np.diff(codes[rows])) + 1) if len(rows) else []
    for part in parts:
        if len(part) >= least and fresh[part].any():
            yield int(codes[part[0]]), part


def _finding(verdict: sequential.Verdict, rows: Ints, kind: str, code: int) -> Finding:
    return Finding(verdict.detector, rows, kind, code, verdict.way, verdict.model, verdict.statistic)
