"""Latency and failures per model: from stored replies of the window, by origin, and only with enough of them."""

from datetime import timedelta

import pytest

from arena import clock
from arena.models import Battle, Reply
from ranking.fits import fitting, service_figures
from ranking.models import BoardSnapshot
from tests import factories
from tests.ranking import rows


@pytest.fixture(autouse=True)
def few(settings: object) -> None:
    settings.SERVICE_LEAST = 4  # type: ignore[attr-defined]


def answered(times: int) -> None:
    """Battles whose side A began after 1 .. `times` seconds and then wrote 10 tokens a second."""
    for number in range(1, times + 1):
        battle = factories.ready()
        begun = clock.now() - timedelta(hours=1)
        first = begun + timedelta(seconds=number)
        figures = {"started_at": begun, "first_token_at": first, "finished_at": first + timedelta(seconds=2)}
        Reply.objects.filter(turn__battle=battle, side="a").update(tokens_out=21, **figures)


def measured() -> dict[str, dict]:
    return service_figures.measure("live")["models"]


@pytest.mark.django_db
def test_median_tail_and_speed_are_those_of_the_stored_times() -> None:
    first, second = factories.ring()
    answered(5)
    Battle.objects.update(revision_a=first.revisions.get(), revision_b=second.revisions.get())
    found = measured()[str(first.pk)]
    assert found["first_token_s"] == pytest.approx([3.0, 4.8])  # 1..5: median 3, 95th percentile 4.8
    assert found["tokens_per_s"] == pytest.approx([10.0, 10.0])
    assert (found["replies"], found["failed"], found["failure_rate"], found["why"]) == (5, 0, 0.0, None)


@pytest.mark.django_db
def test_failures_count_only_when_the_model_is_to_blame() -> None:
    first, second = factories.ring()
    answered(8)
    Battle.objects.update(revision_a=first.revisions.get(), revision_b=second.revisions.get())
    replies = list(Reply.objects.filter(side="a").order_by("pk"))
    Reply.objects.filter(pk=replies[0].pk).update(finish_reason="early")
    for reply, error in zip(replies[1:4], ("engine_down", "erased", "crashed"), strict=True):
        Reply.objects.filter(pk=reply.pk).update(state="failed", error=error, finish_reason="", message=None)
    Reply.objects.filter(pk=replies[4].pk).update(finish_reason="stopped", attempt=2)
    found = measured()[str(first.pk)]
    assert (found["replies"], found["failed"], found["again"]) == (6, 2, 1)
    assert found["failure_rate"] == pytest.approx(2 / 6)


@pytest.mark.django_db
def test_few_replies_old_ones_and_other_origins_give_no_figure_but_say_why() -> None:
    first, second = factories.ring()
    answered(4)
    Battle.objects.update(revision_a=first.revisions.get(), revision_b=second.revisions.get())
    assert measured()[str(first.pk)]["first_token_s"] is not None
    Reply.objects.filter(pk=Reply.objects.filter(side="a").first().pk).update(
        finished_at=clock.now() - timedelta(days=31)
    )
    found = measured()[str(first.pk)]
    assert (found["replies"], found["why"]) == (3, "few")
    assert found["first_token_s"] is found["tokens_per_s"] is found["failure_rate"] is None
    Battle.objects.update(origin="demo")
    for origin, why in (("demo", "recorded"), ("import:x", "imported"), ("live", None)):
        told = service_figures.measure(origin)
        assert (told["models"], told["why"]) == ({}, why)


@pytest.mark.django_db
def test_a_model_that_never_began_has_a_failure_rate_and_no_latency() -> None:
    first, second = factories.ring()
    answered(4)
    Battle.objects.update(revision_a=first.revisions.get(), revision_b=second.revisions.get())
    Reply.objects.filter(side="a").update(
        state="failed", error="engine_down", finish_reason="", message=None, first_token_at=None, tokens_out=None
    )
    found = measured()[str(first.pk)]
    assert (found["failure_rate"], found["first_token_s"], found["tokens_per_s"]) == (1.0, None, None)


@pytest.mark.django_db
def test_the_figures_are_published_with_the_board_and_stand_still_between_boards() -> None:
    models = rows.contestants(2)
    rows.ballot(models[0], models[1], wins=3, losses=3)
    factories.ring()
    answered(4)
    fitting.refit()
    before = BoardSnapshot.objects.get().board["service"]
    assert before["models"] and before["days"] == 30
    answered(4)
    assert fitting.refit() == []
    assert BoardSnapshot.objects.get().board["service"] == before
