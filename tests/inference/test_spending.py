"""Spending: sums per endpoint and UTC day, exact under concurrency, and the daily cap that keeps a model out of the draw."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena import battles, pairing, turns
from arena.errors import Refused
from arena.models import Battle, Side
from arena.turns import Outcome
from inference import spending
from inference.models import Deployment, EngineEndpoint, Spend
from inference.spending import Use
from inference.targets import read_targets
from tests import factories

pytestmark = pytest.mark.django_db
EVENING = datetime(2026, 11, 25, 23, 59, 59, tzinfo=UTC)
NIGHT = datetime(2026, 11, 26, 0, 0, 0, tzinfo=UTC)


def deployment(
    name: str = "vendor", model: str = "m", price_in: str = "1", price_out: str = "2", **endpoint: object
) -> Deployment:
    """Prices are per million tokens."""
    where = factories.endpoint(name, **endpoint)
    return Deployment.objects.create(
        model=model, endpoint=where, upstream_name=model, price_in=price_in or None, price_out=price_out or None
    )


def spent(name: str = "vendor", day: date | None = None) -> Spend:
    return Spend.objects.get(endpoint=name, day=day or spending.today())


# --- sums -----------------------------------------------------------------------------------------------------------------


def test_each_answer_is_added() -> None:
    one = deployment()
    spending.charge(one.pk, 1_000_000, 500_000)
    spending.charge(one.pk, 100, 0, estimated=True)
    row = spent()
    assert (row.requests, row.tokens_in, row.tokens_out, row.estimated) == (2, 1_000_100, 500_000, 1)
    assert row.cost == Decimal("2.0001")


def test_deployments_of_one_endpoint_share_its_row_each_at_its_price() -> None:
    cheap, dear = deployment(), deployment(model="big", price_in="10", price_out="30")
    spending.charge_all([Use(cheap.pk, 1000, 1000), Use(dear.pk, 1000, 1000)])
    assert (spent().requests, spent().cost) == (2, Decimal("0.043"))


def test_a_missing_price_costs_nothing_and_a_gone_deployment_is_skipped() -> None:
    free = deployment("free", price_in="", price_out="")
    spending.charge(free.pk, 10**9, 10**9)
    spending.charge(uuid4(), 5, 5)
    assert (spent("free").cost, Spend.objects.count()) == (0, 1)


def test_small_answers_are_rounded_up_not_away() -> None:
    one = deployment(price_in="0.1", price_out="0.1")
    for _ in range(3):
        spending.charge(one.pk, 1, 1)
    assert spent().cost == Decimal("0.000003")


def test_a_sum_that_the_column_cannot_hold_stops_at_its_end_and_stores_the_answer() -> None:
    """Prices in small currencies, or an endpoint that tells nonsense: an error here would lose what the model wrote."""
    one = deployment(price_out="999999.9999", daily_cap="99999999.99")
    for _ in range(2):
        spending.charge(one.pk, 0, 2**31 - 1)
    assert (spent().cost, spent().requests) == (spending.MOST, 2)
    assert spending.over_cap() == {"vendor"}


def test_a_day_ends_at_midnight_utc() -> None:
    one = deployment(daily_cap="2")
    spending.charge(one.pk, 2_000_000, 0, EVENING)
    spending.charge(one.pk, 1_000_000, 0, NIGHT)
    assert spent(day=date(2026, 11, 25)).cost == 2 and spent(day=date(2026, 11, 26)).cost == 1
    assert spending.over_cap(EVENING) == {"vendor"} and spending.over_cap(NIGHT) == set()
    assert spending.today(datetime.fromisoformat("2026-11-26T00:30:00+02:00")) == date(2026, 11, 25)


@pytest.mark.django_db(transaction=True)
def test_many_answers_at_once_lose_nothing() -> None:
    """Sixteen threads, each with both endpoints in one transaction, named in opposite orders: no deadlock, exact sums."""
    one, two = deployment("one"), deployment("two")

    def work(n: int) -> None:
        uses = [Use(one.pk, 3, 5), Use(two.pk, 7, 11)]
        try:
            for _ in range(10):
                with transaction.atomic():
                    spending.charge_all(uses if n % 2 else uses[::-1])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert [(spent(name).requests, spent(name).tokens_in, spent(name).tokens_out) for name in ("one", "two")] == [
        (160, 480, 800),
        (160, 1120, 1760),
    ]
    assert spent("one").cost == 160 * Decimal("0.000013")


# --- the cap --------------------------------------------------------------------------------------------------------------


def test_an_endpoint_at_its_cap_is_no_target_until_tomorrow(monkeypatch: pytest.MonkeyPatch) -> None:
    capped, other = deployment(daily_cap="1"), deployment("other", model="n")
    monkeypatch.setattr(timezone, "now", lambda: EVENING)
    spending.charge(capped.pk, 999_999, 0)
    assert {target.model for target in read_targets()} == {"m", "n"}
    spending.charge(capped.pk, 1, 0)
    assert [target.model for target in read_targets()] == ["n"]
    monkeypatch.setattr(timezone, "now", lambda: NIGHT)
    assert {target.model for target in read_targets()} == {"m", "n"}
    assert other.pk


def test_a_cap_of_zero_is_used_up_from_the_start_and_none_never() -> None:
    deployment("off", daily_cap="0")
    free = deployment("free", model="n")
    spending.charge(free.pk, 10**9, 10**9)
    assert spending.over_cap() == {"off"}


def test_targets_are_still_read_in_one_query(django_assert_num_queries) -> None:
    for n in range(5):
        deployment(f"e{n}", model=f"m{n}", daily_cap="1")
    with django_assert_num_queries(1):
        read_targets()


def ring(*caps: str | None) -> list[UUID]:
    """Contestants, each served by an endpoint of its own with this cap."""
    made = []
    for n, cap in enumerate(caps):
        contestant = factories.contestant(model=f"m{n}")
        Deployment.objects.filter(model=f"m{n}").update(endpoint=factories.endpoint(f"e{n}", daily_cap=cap), price_in=1)
        made.append(contestant.pk)
    return made


def test_a_capped_model_is_not_drawn_unless_another_deployment_serves_it() -> None:
    first, second, third = ring("1", None, None)
    use = Use(Deployment.objects.get(model="m0").pk, 1_000_000, 0)
    spending.charge_all([use])
    assert {one.contestant_id for one in pairing.in_the_ring()} == {second, third}
    Deployment.objects.create(model="m0", endpoint=factories.endpoint("spare"), upstream_name="m0")
    assert {one.contestant_id for one in pairing.in_the_ring()} == {first, second, third}


def test_when_nobody_is_left_the_person_reads_why() -> None:
    ring("0", None)
    with pytest.raises(Refused, match="spends in a day.*midnight UTC") as refused:
        factories.started()
    assert (refused.value.status, refused.value.code) == (503, "spent")
    assert not Battle.objects.exists()
    EngineEndpoint.objects.update(daily_cap=None, enabled=False)
    with pytest.raises(Refused, match="Fewer than two models") as refused:
        factories.started()
    assert refused.value.code == "no_contestants"


# --- a turn's answers -----------------------------------------------------------------------------------------------------


def answered(a: Outcome, b: Outcome, prompt: str = "Why is the sky blue?") -> None:
    turn = factories.started(prompt=prompt)
    brief = turns.claim(turn.id, "worker")
    assert brief is not None
    turns.finish(turn.id, "worker", {Side.A: a, Side.B: b})


def outcome(at: Deployment, text: str = "An answer.", **values: object) -> Outcome:
    made = factories.outcome(text)
    made.deployment_id = at.pk
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_a_finished_turn_charges_both_sides() -> None:
    one, two = deployment(), deployment("other", model="n", price_in="", price_out="4")
    answered(outcome(one, tokens_in=10, tokens_out=20), outcome(two, tokens_in=11, tokens_out=21))
    assert (spent().tokens_in, spent().tokens_out, spent().cost) == (10, 20, Decimal("0.00005"))
    assert (spent("other").tokens_out, spent("other").cost, spent("other").estimated) == (21, Decimal("0.000084"), 0)


def test_counts_that_nobody_told_are_estimated_from_the_texts_and_said_so() -> None:
    one = deployment()
    unknown = outcome(one, "x" * 31, tokens_in=None, tokens_out=None)
    answered(unknown, outcome(one, "é" * 30, tokens_in=7, tokens_out=None), prompt="p" * 300)
    row = spent()
    assert (row.requests, row.estimated) == (2, 2)
    assert (row.tokens_in, row.tokens_out) == (100 + 7, 11 + 20)


def test_a_failed_side_that_reached_an_endpoint_costs_its_prompt_one_that_reached_none_nothing() -> None:
    one = deployment()
    failed = Outcome(error="timeout", deployment_id=one.pk)
    answered(failed, Outcome(error="no_deployment"), prompt="p" * 300)
    assert (spent().requests, spent().tokens_in, spent().tokens_out) == (1, 100, 0)


def test_a_lost_lease_charges_nothing() -> None:
    one, turn = deployment(), factories.started()
    turns.claim(turn.id, "worker")
    with pytest.raises(turns.LeaseLost):
        turns.finish(turn.id, "another", {Side.A: outcome(one), Side.B: outcome(one)})
    assert not Spend.objects.exists()


def test_later_turns_cost_the_whole_conversation(valkey: object) -> None:
    one = deployment()
    battle = factories.ready(a=factories.outcome("a" * 30), b=factories.outcome("b" * 30))
    turn = battles.send(battle, "p" * 30, uuid4(), "g")
    turns.claim(turn.id, "worker")
    values = {"tokens_in": None, "tokens_out": 1}
    turns.finish(turn.id, "worker", {Side.A: outcome(one, **values), Side.B: outcome(one, tokens_in=1, tokens_out=1)})
    assert spent().tokens_in == 1 + spending.estimate(len("Why is the sky blue?") + 60)


# --- the admin ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    return client


def test_the_admin_lists_what_was_spent_against_the_cap(operator: Client) -> None:
    one = deployment(daily_cap="1.50")
    deployment("free", model="n")
    spending.charge(one.pk, 1_250_000, 0)
    page = operator.get(reverse("admin:inference_engineendpoint_changelist")).content.decode()
    assert "1.25 / 1.50" in page and "used up" not in page and "0.00 / –" in page
    spending.charge(one.pk, 1_000_000, 0)
    page = operator.get(reverse("admin:inference_engineendpoint_changelist")).content.decode()
    assert "2.25 / 1.50, used up" in page
    assert "2.25" in operator.get(reverse("admin:inference_spend_changelist")).content.decode()


def test_what_has_cost_money_is_disabled_not_deleted(operator: Client) -> None:
    spending.charge(deployment().pk, 1, 1)
    operator.post(reverse("admin:inference_engineendpoint_delete", args=["vendor"]), {"post": "yes"})
    form = {"action": "delete_selected", "_selected_action": ["vendor"], "post": "yes"}
    operator.post(reverse("admin:inference_engineendpoint_changelist"), form)
    assert EngineEndpoint.objects.filter(name="vendor").exists() and spent().requests == 1


@pytest.mark.parametrize(("cap", "stored"), [("2.5", Decimal("2.50")), ("", None), ("0", Decimal(0))])
def test_a_cap_is_set_in_the_endpoints_form(operator: Client, cap: str, stored: Decimal | None) -> None:
    from tests.arena.test_admin_endpoints import FORM

    operator.post(reverse("admin:inference_engineendpoint_add"), FORM | {"daily_cap": cap})
    assert EngineEndpoint.objects.get().daily_cap == stored


@pytest.mark.parametrize("cap", ["-1", "nonsense", "1e99", "0.001"])
def test_a_cap_that_makes_no_sense_is_refused(operator: Client, cap: str) -> None:
    from tests.arena.test_admin_endpoints import FORM

    assert (
        b"errornote" in operator.post(reverse("admin:inference_engineendpoint_add"), FORM | {"daily_cap": cap}).content
    )
    assert not EngineEndpoint.objects.exists()


@pytest.mark.parametrize("name", ["price_in", "price_out"])
def test_a_price_below_zero_is_refused(name: str) -> None:
    one = deployment(**{name: "-0.0001"})
    with pytest.raises(ValidationError) as refused:
        one.full_clean()
    assert name in refused.value.message_dict
