"""`manage.py replay_rigging`: a table over the live counts, and nothing written."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from arena.models import VoteEvent
from ranking.models import Suspicion
from tests.ranking.crowds import Town, visitors

pytestmark = pytest.mark.django_db


def test_the_table_of_the_live_board() -> None:
    town = Town.of(size=5, past=250)
    town.cast([one for person in visitors(20) for one in town.votes(person, 3)])
    before = VoteEvent.objects.count()
    out = StringIO()
    call_command("replay_rigging", votes=200, target=town.contestants[4].slug, stdout=out)
    head, names, *lines = out.getvalue().splitlines()
    assert head.startswith("2560 live votes, 200 rigged ones") and "without" in names
    assert len(lines) == 28
    row = next(line for line in lines if line.startswith("t-abstain") and "1 visitor" in line and "1,000" not in line)
    rank, without, defended, flagged, honest = row.split()[-5:]
    assert (rank, defended, flagged, honest) == ("5", "5", "100%", "0") and int(without) < 5
    assert VoteEvent.objects.count() == before and not Suspicion.objects.exists()


def test_what_cannot_be_replayed_is_said() -> None:
    with pytest.raises(CommandError, match="too few live votes"):
        call_command("replay_rigging")
    Town.of(size=3, past=20)
    with pytest.raises(CommandError, match="no contestant"):
        call_command("replay_rigging", target="nobody")
    for wrong in ({"votes": 0}, {"votes": -5}, {"seed": -1}):
        with pytest.raises(CommandError, match="0 or more"):
            call_command("replay_rigging", **wrong)
