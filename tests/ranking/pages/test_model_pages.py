"""Model pages and codenames: what is public is shown, and nothing else, anywhere."""

from datetime import date

import pytest
from django.test import Client

from arena.models import Contestant
from inference.models import Adapter
from tests.ranking import rows
from tests.ranking.publishing import SECRET, hide, publish, text


@pytest.mark.django_db
def test_nothing_of_a_codenamed_contestant_reaches_a_page_or_a_file(client: Client) -> None:
    models = publish((40, 10), (30, 20))
    models[1].revisions.all().delete()
    models[1].revisions.create(
        number=2, model="base-77", adapter=Adapter.objects.create(name="nova-lora", base_model="base-77")
    )
    Contestant.objects.filter(pk=models[1].pk).update(price_in="7.7731", price_out="9.9137")
    hide(models[1])
    for address in (
        *("/leaderboard", "/leaderboard.csv", "/leaderboard.json", "/leaderboard?sort=model", "/leaderboard?open=1"),
        *(f"/models/{models[0].slug}/", "/models/olive-branch/", "/leaderboard/plots"),
    ):
        page = text(client, address)
        for word in (
            *SECRET.values(),
            "hidden.example",
            "nova-lora",
            "7.77",
            "9.91",
            str(models[1].pk),
            models[1].revisions.get().model + '"',
        ):
            assert word not in page, (word, address)
    assert "codename Olive Branch" in text(client, "/leaderboard")
    assert text(client, f"/models/{SECRET['slug']}/", 404)
    for question in ("Hidden", "Nova", "Proprietary"):
        assert "No model matches" in text(client, f"/leaderboard?q={question}")
    assert [row.name for row, _bar in client.get("/leaderboard?open=1").context["rows"]] == []


@pytest.mark.django_db
def test_the_number_of_models_under_a_codename_is_public(client: Client) -> None:
    models = publish((40, 10), (30, 20))
    assert "codename" not in text(client, "/leaderboard")
    hide(models[1])
    assert "1 model fights under a codename until a fixed date" in text(client, "/leaderboard")
    hide(models[1], until=date.today())  # its date has come
    assert "fights under a codename" not in text(client, "/leaderboard")


@pytest.mark.django_db
def test_the_codenames_address_leads_to_the_model_once_it_is_revealed(client: Client) -> None:
    models = publish((40, 10))
    hide(models[0], until=date.today())
    answer = client.get("/models/olive-branch/")
    assert (answer.status_code, answer["Location"]) == (301, f"/models/{SECRET['slug']}/")
    assert "Hidden Labs" in text(client, f"/models/{SECRET['slug']}/")


@pytest.mark.django_db
def test_a_codename_never_takes_over_the_page_of_another_model(client: Client) -> None:
    models = publish((40, 10))
    Contestant.objects.filter(pk=models[1].pk).update(slug="olive-branch", name="The real Olive")
    hide(models[0])
    assert "The real Olive" in text(client, "/models/olive-branch/")


@pytest.mark.django_db
def test_a_model_page_shows_card_standing_and_opponents(client: Client) -> None:
    models = publish((40, 10), (30, 20))
    base, tuned = models[0], models[1]
    adapter = Adapter.objects.create(name="pirate", base_model="m")
    revision = tuned.revisions.get()
    tuned.revisions.all().delete()
    tuned.revisions.create(number=2, model=base.revisions.get().model, adapter=adapter)
    page = text(client, f"/models/{base.slug}/")
    assert (
        "{%" not in page
        and "Rank 1" in page
        and "52 votes" in page
        and "40 won, 10 lost, 2 tied; win rate 79 %" in page
    )
    assert f'href="/models/{tuned.slug}/"' in page and "Adapters of it" in page
    assert f"pirate, of {base.revisions.get().model}" in text(client, f"/models/{tuned.slug}/")
    assert revision.pk
    hide(tuned)
    assert "Adapters of it" not in text(client, f"/models/{base.slug}/")


@pytest.mark.django_db
def test_states_of_a_model_page(client: Client) -> None:
    (newcomer,) = rows.contestants(1)
    assert "Not on the board yet" in text(client, f"/models/{newcomer.slug}/")
    Contestant.objects.filter(pk=newcomer.pk).update(visibility="retired")
    assert "Retired" in text(client, f"/models/{newcomer.slug}/")
    Contestant.objects.filter(pk=newcomer.pk).update(imported=True)
    assert text(client, f"/models/{newcomer.slug}/", 404)
    assert text(client, "/models/nobody/", 404)
