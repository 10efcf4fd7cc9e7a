"""The whole board: the ranked group's figures, the others' labels, and what is said of the board as a whole."""

from typing import Any

import numpy as np

from ranking import method
from ranking.board import board_format, figures
from ranking.board.board_format import Level, Model, State
from ranking.board.counting import Table
from ranking.board.inputs import Inputs
from ranking.board.ranked import Ranked, rank
from ranking.board.reasons import Interval
from ranking.estimators import claims, ranks
from ranking.estimators.bradley_terry import to_rating
from ranking.estimators.connectivity import Group, Standing, ranked_group


def build(inputs: Inputs) -> dict[str, Any]:
    """The board as JSON; `state` is empty, too_few (no two models can be fitted together) or fitted."""
    table, group = Table.of(inputs.tally), ranked_group(inputs.tally.pairs())
    ranked = rank(inputs, group)
    models = _models(table, group, ranked)
    made = board_format.Board(
        version=method.VERSION,
        state=State.FITTED if ranked else State.TOO_FEW if models else State.EMPTY,
        method=_method(inputs, ranked),
        models=models,
        pairs=table.of_pairs([model.model for model in models]),
        **figures.of(ranked),
    )
    return made.as_json()


def _method(inputs: Inputs, ranked: Ranked | None) -> dict[str, Any]:
    controlled, shrunk = inputs.rows is not None, bool(ranked and ranked.shrunk)
    return {
        "model": "Bradley-Terry, maximum likelihood" + (" with the style of both answers" if controlled else ""),
        "ties": "half a win for each; both bad counts as a tie",
        "centre": method.CENTRE,
        "scale": method.SCALE,
        "gauge": "mean of the overall board's ranked models" if shrunk else "mean of the ranked models",
        "interval": ranked.shown.interval if ranked else Interval.LAW if controlled else Interval.PERCENTILE,
        "joint": "max-t over the sandwich covariance",
        "level": ranked.shown.level if ranked else Level.BATTLE,
        "confidence": method.CONFIDENCE,
        "replicates": inputs.replicates,
        "helped_replicates": ranked.shown.helped if ranked else 0,
    }


def _models(table: Table, group: Group, ranked: Ranked | None) -> list[Model]:
    """In the order of the board; models without a rating last, by name; those without a vote (none with style) are left out."""
    order = [ranked.members[i] for i in ranked.order] if ranked else []
    voted = {i for i, battles in enumerate(table.battles.sum(axis=1)) if battles}
    rest = sorted(voted - set(order), key=table.models.__getitem__)
    told = _ranked_figures(ranked) if ranked else []
    ranks_of = [(i, Standing.RANKED, more) for i, more in zip(order, told, strict=True)]
    others: list[tuple[int, Standing, dict[str, Any]]] = [(i, _unranked(group.standing[i]), {}) for i in rest]
    return [
        Model(model=table.models[i], standing=str(standing), **table.of_model(i), **more)
        for i, standing, more in ranks_of + others
    ]


def _unranked(standing: Standing) -> Standing:
    """A model without a rating: one that the group's own votes could rank, on a board without a fit, is not connected."""
    return Standing.DISCONNECTED if standing is Standing.RANKED else standing


def _ranked_figures(ranked: Ranked) -> list[dict[str, Any]]:
    """Of each model of the group, in the order of the board."""
    shown, thetas, effective = ranked.shown, ranked.shown.thetas, ranked.shown.covariance.effective
    rank_lower, rank_upper = ranks.intervals(thetas)
    first, quantiles, adjacent = ranks.p_first(thetas), shown.quantiles(), _adjacent(ranked)
    made = []
    for place, i in enumerate(ranked.order):
        ends = shown.ends(i)
        made.append(
            {
                **{name: getattr(ends, name) for name in ends.__dataclass_fields__},
                "rating": float(to_rating(ranked.theta[i])),
                "rank_lower": int(rank_lower[i]),
                "rank_upper": int(rank_upper[i]),
                "p_first": float(first[i]),
                "effective_judges": None if effective is None else float(effective[i]),
                "battle": ranked.battle.ends(i),
                "quantiles": [round(float(value), 2) for value in quantiles[:, i]],
                "adjacent": adjacent[place],
                **{name: values[i] for name, values in ranked.beside.items()},
            }
        )
    return made


def _adjacent(ranked: Ranked) -> list[float | None]:
    """Holm's p-value of each model against the next one on the board; None for the last."""
    order = np.array(ranked.order)
    tested = claims.of_pairs(ranked.theta, ranked.shown.covariance, order[:-1], order[1:])
    return [*(float(p) for p in tested.adjusted), None]
