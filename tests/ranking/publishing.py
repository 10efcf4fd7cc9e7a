"""Published boards for the tests of the pages."""

from datetime import date, timedelta

from django.test import Client

from arena.models import Contestant
from ranking.fits import fitting
from ranking.votelog import publication
from tests.ranking import rows

SECRET = {"name": "Secret Nova 9", "organisation": "Hidden Labs", "licence": "Proprietary-X", "slug": "secret-nova-9"}


def publish(
    *results: tuple[int, int], origin: str = "live", models: list[Contestant] | None = None
) -> list[Contestant]:
    """A published board on which model i beat model i + 1 with these wins and losses."""
    models = models or rows.contestants(len(results) + 1)
    for (winner, loser), (wins, losses) in zip(zip(models, models[1:], strict=False), results, strict=True):
        rows.ballot(winner, loser, wins=wins, losses=losses, ties=2 if losses else 0, origin=origin)
    refit_and_publish()
    return models


def refit_and_publish() -> None:
    fitting.refit()
    publication.publish(at_once=True)


def hide(contestant: Contestant, until: date | None = None) -> None:
    until = until or date.today() + timedelta(days=30)
    hidden = {**SECRET, "visibility": "anonymous", "codename": "Olive Branch", "anonymous_until": until}
    hidden |= {"description": "Made by Hidden Labs", "link": "https://hidden.example/", "open_weights": True}
    Contestant.objects.filter(pk=contestant.pk).update(**hidden)
    contestant.refresh_from_db()


def text(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, answer.content[:300]
    return answer.content.decode()
