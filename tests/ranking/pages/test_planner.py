"""The operators' planner: its answers are those of the pure function, and nobody else sees the page."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.http import QueryDict
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from arena import clock
from inference.models import Spend
from ranking.pages import planner, planner_page
from ranking.pages.planner import Curve, Question, needed
from tests import factories
from tests.ranking import rows
from tests.ranking.publishing import publish, text

falling = st.lists(st.floats(1e-6, 0.5), min_size=3, max_size=21).map(lambda values: sorted(values, reverse=True))


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    user = User.objects.create_user("ops", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_ops"))
    client.force_login(user)
    return client


@given(falling, st.floats(1e-6, 0.6))
def test_more_votes_are_needed_for_less_variance_and_the_curves_points_are_met(
    values: list[float], want: float
) -> None:
    curve = Curve.of(0.55, values)
    found = curve.votes_for(want)
    if want >= 0.55:
        assert found == 0
    elif want < values[-1]:
        assert found is None
    else:
        after = next(i for i, value in enumerate(values) if value <= want)
        assert found is not None and found <= curve.votes[after] + 1
        assert after == 0 or found >= curve.votes[after - 1]


@given(st.floats(0.01, 2.0), st.sampled_from([0.9, 0.95, 0.99]), st.sampled_from([0.5, 0.8, 0.9]))
def test_surer_more_powerful_and_more_tests_cost_votes(difference: float, confidence: float, power: float) -> None:
    curve = Curve.of(4.0, [400.0 / (100 * 2.0**k + 100) for k in range(21)])
    base = needed(difference, curve, confidence, power)
    assert base is not None
    for dearer in (
        needed(difference, curve, confidence + 0.005, power),
        needed(difference, curve, confidence, power + 0.05),
        needed(difference, curve, confidence, power, comparisons=9),
        needed(difference * 0.9, curve, confidence, power),
    ):
        assert dearer is None or dearer >= base


def test_no_difference_is_never_found_and_nonsense_is_refused() -> None:
    curve = Curve.of(1.0, [0.5, 0.25])
    assert needed(0.0, curve, 0.95, 0.8) is None
    for confidence, power in ((1.0, 0.8), (0.95, 0.0)):
        with pytest.raises(ValueError, match="probabilities"):
            needed(1.0, curve, confidence, power)


def test_an_odd_question_is_taken_as_the_default() -> None:
    asked = QueryDict("confidence=100&power=x&least=-5&pair=99&together=yes")
    assert Question.of(asked, pairs=3) == Question()
    assert Question.of(QueryDict("confidence=99&power=50&least=20&pair=2&together=1"), 3) == Question(
        "99", "50", "20", True, 2
    )


def test_only_operators_see_the_planner(client: Client, operator: Client) -> None:
    assert "Nothing to plan with yet" in text(operator, "/ops/planner")
    assert Client().get("/ops/planner").status_code == 404
    plain = Client()
    plain.force_login(User.objects.create_user("plain", is_staff=True))
    assert plain.get("/ops/planner").status_code == 404


def test_the_page_answers_for_each_pair_with_days_and_cost(operator: Client) -> None:
    models = publish((60, 40), (55, 45))
    Spend.objects.create(endpoint=factories.endpoint(), day=clock.now().date(), cost="10.2")
    Spend.objects.create(endpoint=factories.endpoint(), day=clock.now().date() - timedelta(days=8), cost="999")
    context = operator.get("/ops/planner?power=90").context
    assert context["pace"].votes_a_day == pytest.approx(204 / 7) and context["pace"].cost == pytest.approx(0.05)
    board = planner_page.newest()
    assert board and board.planning and len(context["lines"]) == 2
    for line, stored in zip(context["lines"], board.planning, strict=True):
        uniform, drawn, focused = line.needs
        expected = needed(stored["difference"], Curve.of(stored["now"], stored["uniform"]), 0.95, 0.9)
        assert drawn is None and uniform.votes == expected and focused.votes < uniform.votes
        assert uniform.days == pytest.approx(uniform.votes / (204 / 7))
        assert uniform.cost == pytest.approx(uniform.votes * 0.05)
        assert line.plan.points == pytest.approx(line.better.rating - line.worse.rating, rel=1e-3)
    one = operator.get("/ops/planner?pair=1").context["lines"]
    assert [line.better.name for line in one] == [models[1].name]


def test_a_pair_that_is_told_apart_needs_no_more(operator: Client) -> None:
    publish((600, 100))
    assert text(operator, "/ops/planner").count("enough now") == 2  # every pair equally often, and only this pair


def test_an_unpublished_or_empty_board_plans_nothing(operator: Client) -> None:
    publish((3, 0))
    assert "Nothing to plan with yet" in text(operator, "/ops/planner")


def test_votes_of_the_sampler_in_force_are_planned_for(operator: Client) -> None:
    ring = sorted(factories.ring(3), key=lambda one: one.pk)
    publish((60, 40), (55, 45), models=ring)
    board = planner_page.newest()
    assert board and board.planning and all(one["drawn"] for one in board.planning)
    for one in board.planning:  # every pair weighs the same, so it is the uniform allocation
        assert one["drawn"] == pytest.approx(one["uniform"], rel=1e-3)
    assert rows.stored("live") and planner.plans(board, Question())[0].votes["drawn"]
