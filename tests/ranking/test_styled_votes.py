"""What style control reads: the counted votes of an origin, each once, with the style of both answers."""

import json
from collections import Counter
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.models import Contestant, VoteEvent
from ranking import counts, importing, styled_votes
from ranking.estimators import style
from ranking.estimators.style_rows import FEATURES, Rows, contrast, gather
from ranking.imports.row import STYLE
from ranking.models import PairCount, VoteStyle
from tests.ranking import real_votes, rows

pytestmark = pytest.mark.django_db


def dressed(event: VoteEvent, *sizes: int) -> VoteEvent:
    VoteStyle.objects.create(event=event, **dict(zip(STYLE, sizes or (9, 4, 3, 1, 0, 0, 5, 1), strict=True)))
    return event


def read(models: list[Contestant], origin: str = "live", **how: object) -> Rows:
    return gather(
        [one.name for one in models], FEATURES, styled_votes.chunks(origin, [one.pk for one in models], **how)
    )  # type: ignore[arg-type]


def test_a_vote_comes_with_sides_outcome_contrasts_and_judge() -> None:
    models = rows.contestants(3)
    for n, choice in enumerate(("a", "b", "tie", "both_bad")):
        dressed(
            rows.cast(models[n % 3], models[(n + 1) % 3], choice, judge=["", "j1", "j1", ""][n]), n, 4, 3, 1, 0, 0, 5, 1
        )
    counts.absorb()
    (chunk,) = styled_votes.chunks("live", [one.pk for one in models])
    order = np.argsort(np.asarray(chunk.features)[:, 0])
    assert list(np.asarray(chunk.a)[order]) == [0, 1, 2, 0] and list(np.asarray(chunk.b)[order]) == [1, 2, 0, 1]
    assert list(np.asarray(chunk.outcome)[order]) == [0, 1, 2, 3]
    expected = [float(contrast(a, b)) for a, b in ((2, 4), (3, 1), (0, 0), (5, 1))]
    assert np.asarray(chunk.features)[order][2] == pytest.approx(expected)
    judge = np.asarray(chunk.judge)[order]
    assert judge[1] == judge[2] >= 0 and judge[0] == judge[3] == -1


def test_votes_without_style_or_outside_the_models_are_left_out() -> None:
    models = rows.contestants(3)
    dressed(rows.cast(models[0], models[1], "a"))
    dressed(rows.cast(models[0], models[2], "a"))
    dressed(rows.cast(models[0], models[1], "a", origin="demo"))
    rows.cast(models[0], models[1], "b")
    counts.absorb()
    assert read(models[:2]).total == 1 and read(models).total == 2
    assert read(rows.contestants(2)).total == 0


def test_exclusions_that_are_not_public_yet_can_be_looked_past() -> None:
    a, b = rows.contestants(2)
    flagged, plain = dressed(rows.cast(a, b, "a")), dressed(rows.cast(a, b, "b"))
    rows.follow(flagged, "flag")
    counts.absorb()
    assert read([a, b]).half_points.tolist() == [0]
    assert sorted(read([a, b], also=[flagged.pk]).half_points.tolist()) == [0, 2]
    assert read([a, b], without=[plain.pk]).half_points.tolist() == []


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "tie", "both_bad"]), st.booleans(),
            st.lists(st.sampled_from(["code", "english"]), unique=True),
            st.lists(st.sampled_from(["void", "flag", "unflag", "recategorise"]), max_size=4),
        ),
        max_size=6,
    ),
    st.sampled_from(["", "code", "math"]),
)  # fmt: skip
def test_the_votes_read_are_the_votes_counted(plans: list, category: str) -> None:
    """The rule of ranking/contributions.py a third time, in this module's SQL."""
    models = rows.contestants(3)
    origin = f"import:{models[0].slug}"
    for n, (choice, ranked, categories, later) in enumerate(plans):
        cast = dressed(
            rows.cast(models[n % 3], models[(n + 1) % 3], choice, origin, ranked=ranked, categories=categories)
        )
        for kind in later:
            rows.follow(cast, kind, categories=["math"][: len(later) - 1])
    counts.absorb()
    got: Counter[tuple[UUID, UUID, str]] = Counter()
    for chunk in styled_votes.chunks(origin, [one.pk for one in models], category):
        for a, b, outcome in zip(*map(np.asarray, (chunk.a, chunk.b, chunk.outcome)), strict=True):
            got[models[a].pk, models[b].pk, ("first", "second", "tie", "both_bad")[outcome]] += 1
    expected: Counter[tuple[UUID, UUID, str]] = Counter()
    for cell in PairCount.objects.filter(origin=origin, category=category, count__gt=0):
        turned = {"first": "second", "second": "first"}.get(cell.outcome, cell.outcome)
        pair = (
            (cell.first_id, cell.second_id, cell.outcome)
            if cell.first_was_a
            else (cell.second_id, cell.first_id, turned)
        )
        expected[pair] += cell.count
    assert got == expected


def test_real_votes_are_read_in_chunks_and_fitted_as_the_reference_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arena.voiding.app.send_task", lambda *_, **__: None)
    monkeypatch.setattr(styled_votes, "CHUNK", 1000)
    made = importing.import_votes(real_votes.file("llmfao_crowd.csv"))
    models = list(Contestant.objects.filter(origin=made.origin).order_by("name"))
    sizes = [len(np.asarray(chunk.a)) for chunk in styled_votes.chunks(made.origin, [one.pk for one in models])]
    assert sizes == [1000] * 8 + [931]
    found = read(models, made.origin)
    assert (found.total, len(np.unique(found.judge))) == (8931, 124)
    fitted = style.fit(found)
    reference = json.loads(real_votes.file("reference_arena_rank_0.1.1.json").read_text())["llmfao_crowd"]["style"][
        "reg=0.0"
    ]
    # The reference divides by a + b where we divide by a + b + 1, and subtracts the mean: close, not equal.
    ratings = dict(zip(reference["competitors"], reference["ratings"], strict=True))
    ours = 1000 + 173.718 * fitted.theta
    assert np.corrcoef(ours, [ratings[one.name] for one in models])[0, 1] > 0.999
    assert np.asarray(fitted.beta) == pytest.approx(reference["coeffs"], abs=0.03)
