"""The board as JSON, version 2: what a fit stores in BoardSnapshot.board and what pages, API and downloads read.

No Django, no numpy. Models are named by their contestants' ids, and elsewhere in the board by their `place`: the position in
`models`, which is the order of the board. A figure that could not be computed is null, and `why` says the reason under its name;
nothing is made up. `read` also takes boards of version 1, whose newer figures are null with the reason "older_method".

Intervals and ranks are by judge where judges are known (several votes by one person are not independent), else by battle, as
`method.level` says. Those by battle, which the public log can rebuild, are always in `battle`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self

from ranking.board.reasons import Why as Why

VERSION = 2


class State(StrEnum):
    """`too_few`: no two models can be fitted together yet."""

    EMPTY = "empty"
    TOO_FEW = "too_few"
    FITTED = "fitted"


class Level(StrEnum):
    BATTLE = "battle"
    JUDGE = "judge"


class Part:
    """A part of the board: keyword-only fields of plain numbers and text."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Unknown keys (of a newer version) are left out, missing ones take their defaults. Raises TypeError without one."""
        return cls(**{one.name: data[one.name] for one in fields(cls) if one.name in data})  # type: ignore[arg-type]

    @classmethod
    def maybe(cls, data: Mapping[str, Any] | None) -> Self | None:
        return None if data is None else cls.of(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends(Part):
    """Of one model at one level: standard error (sandwich), 95 % bounds pointwise and for all at once (max-t), in points.

    `rank` and `rank_worst`: the places that the joint bounds leave open (Chatbot Arena, equation 1).
    """

    se: float | None
    lower: float | None
    upper: float | None
    joint_lower: float | None
    joint_upper: float | None
    rank: int | None
    rank_worst: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Part):
    """One model's figures, null unless `standing` is "ranked" (counts and win rate aside).

    rank_lower, rank_upper: 95 % interval of its rank over the replicates; p_first: share of replicates in which it is first.
    quantiles: 21 of the replicates' rating, from 0 to 1 in steps of .05. first_rate: share of its battles as model A.
    adjacent: p-value (Holm) of "better than the next one on the board". reweighted: its rating with each vote weighed by one over
    the probability of its draw. drift_p: p-value (Holm) of "as strong in each period". raw_rating: before shrinkage, on boards
    that shrink. effective_judges: judges of equal weight that its interval rests on, where it is by judge.
    """

    model: str
    standing: str
    rank: int | None = None
    rank_worst: int | None = None
    rank_lower: int | None = None
    rank_upper: int | None = None
    p_first: float | None = None
    rating: float | None = None
    raw_rating: float | None = None
    se: float | None = None
    lower: float | None = None
    upper: float | None = None
    joint_lower: float | None = None
    joint_upper: float | None = None
    battle: Ends | None = None
    quantiles: list[float] | None = None
    adjacent: float | None = None
    effective_judges: float | None = None
    reweighted: float | None = None
    drift_p: float | None = None
    first_rate: float | None = None
    votes: int
    wins: int
    losses: int
    ties: int
    both_bad: int | None = None
    win_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Position(Part):
    """Being shown first (model A), in logits, with its error; `share`: A's points per battle of two equal models, 95 % bounds."""

    logit: float
    se: float
    share: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TieModel(Part):
    """`log_loss`: mean over held-out votes, nats; comparable only within `Ties`. `behind` the best one, and that figure's error.
    `why`: the law has no estimate on these votes, and the figures are null."""

    name: str
    log_loss: float | None
    behind: float | None = None
    behind_se: float | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties(Part):
    """Tie models by their held-out log-loss, best first; `share`: ties among all votes ("both bad" included)."""

    models: list[TieModel]
    best: str
    share: float
    folds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Part):
    """The model at `better` is better than the one at `worse` (places): difference in points, its error, p-value, Holm's."""

    better: int
    worse: int
    difference: float
    se: float
    p: float
    p_holm: float
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate(Part):
    """The fewest votes found whose removal makes the model at place `runner_up` overtake the first; `share` of all votes. An
    upper bound: a smaller set may exist. `exact`: the fit without these votes was computed and has the other order.
    """

    votes: int
    share: float
    leader: int
    runner_up: int
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift(Part):
    """Is every model as strong in each of the periods? `p`: Holm's, that none has changed; the models' own are with them.

    Statistic and degrees are those of the model at place `most`, whose p-value is the smallest.
    """

    statistic: float
    df: int
    p: float
    periods: int
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycles(Part):
    """Triads of models that beat each other in a circle: observed, expected under the fitted model, p-value."""

    observed: int
    triads: int
    expected: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleTerm(Part):
    """One covariate's coefficient in logits per root mean square of the difference, with 95 % bounds."""

    name: str
    coefficient: float
    se: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Style(Part):
    """Of a style-controlled board: its covariates, [name, reason] of those left out, and how many votes had style counts."""

    covariates: list[StyleTerm]
    votes: int
    dropped: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sure(Part):
    """Who leads, by confidence sequences that hold at every look: `confirmed` while the leader is surely above everybody else.

    `runner_up`: the one that is hardest to tell from it. Of published boards alone (ISO 8601): `since` it leads, `confirmed_at`
    the first of the boards since then that confirmed it without a break, and `looks`, the number of publications so far.
    """

    leader: int
    runner_up: int
    confirmed: bool
    since: str | None = None
    confirmed_at: str | None = None
    looks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters(Part):
    """Judges (voters), as many of equal weight as the model's interval that has the fewest rests on (`effective_judges`), the
    number of independent votes that would give the same intervals, and how much wider they are."""

    judges: int
    effective_judges: float | None = None
    effective_votes: float
    inflation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrinkage(Part):
    """A thin category is drawn towards the overall board, and in its gauge: empirical Bayes. `spread`: standard deviation of the
    differences, in points; `weight`: the mean share of a model's own difference that its rating keeps, 0 to 1."""

    towards: str
    spread: float
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Board(Part):
    """The whole board. `pairs`: (K, K) lists in the order of `models`; see ranking.board."""

    version: int
    state: str
    method: dict[str, Any]
    models: list[Model]
    pairs: dict[str, Any]
    position: Position | None = None
    ties: Ties | None = None
    claims: list[Claim] | None = None
    certificate: Certificate | None = None
    drift: Drift | None = None
    cycles: Cycles | None = None
    style: Style | None = None
    sure: Sure | None = None
    clusters: Clusters | None = None
    shrinkage: Shrinkage | None = None
    why: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


_KINDS = (Position, Ties, Claim, Certificate, Drift, Cycles, Style, Sure, Clusters, Shrinkage)
_NAMES = ("position", "ties", "claims", "certificate", "drift", "cycles", "style", "sure", "clusters", "shrinkage")
FIGURES: dict[str, type[Part]] = dict(zip(_NAMES, _KINDS, strict=True))  # of the board as a whole: each may be null


def read(stored: Mapping[str, Any]) -> Board:
    """A stored board of version 1 or 2. Raises TypeError or KeyError for anything else."""
    figures = {name: _figure(kind, stored.get(name)) for name, kind in FIGURES.items()}
    reasons = {name: Why.OLDER_METHOD.value for name, figure in figures.items() if figure is None}
    return Board(
        version=stored["version"],
        state=stored["state"],
        method=dict(stored["method"]),
        models=[_model(one) for one in stored["models"]],
        pairs=dict(stored["pairs"]),
        why=reasons | dict(stored.get("why", {})),
        **figures,
    )


def _figure(kind: type[Part], stored: Any) -> Any:
    if isinstance(stored, list):
        return [kind.of(one) for one in stored]
    figure = kind.maybe(stored)
    if isinstance(figure, Ties):
        return replace(figure, models=[TieModel.of(one) for one in stored["models"]])
    if isinstance(figure, Style):
        return replace(figure, covariates=[StyleTerm.of(one) for one in stored["covariates"]])
    return figure


def _model(stored: Mapping[str, Any]) -> Model:
    return replace(Model.of(stored), battle=Ends.maybe(stored.get("battle")))
