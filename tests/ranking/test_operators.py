"""What operators are told of the ranking, state by state."""

from datetime import timedelta
from typing import Any

import pytest

from arena import clock
from ranking import operators
from ranking.fits import fitting, runs
from ranking.models import FitRun, PublishingState
from ranking.votelog import publication, schedule
from tests.ranking import rows

pytestmark = pytest.mark.django_db


def test_a_fresh_installation_has_nothing_to_tell_and_nothing_overdue() -> None:
    told = operators.figures()
    assert told["run"] is None and told["suspicions"] == {}
    assert told["boards"] == {"known": 0, "failed": 0, "troubles": []}
    assert told["publication"] | {"next": ""} == {"served": None, "changed": None, "next": "", "overdue": None}
    assert told["log"] == {"lines": 0, "public": 0, "hidden": 0, "oldest": None, "earlier": None}


def test_fits_votes_and_publications_are_told(settings: Any) -> None:
    a, b = rows.contestants(2)
    waiting = rows.cast(a, b, "a")
    rows.ballot(a, b, wins=3, losses=3)
    assert operators.log()["oldest"] == waiting.created_at.isoformat(timespec="seconds")
    fitting.refit()
    told = operators.figures()
    assert told["run"]["state"] == "done" and told["run"]["fitted"] == told["boards"]["known"] == 1
    assert told["log"] == {"lines": 8, "public": 8, "hidden": 0, "oldest": None, "earlier": None}
    assert told["publication"]["served"] and told["publication"]["changed"] and not told["publication"]["overdue"]
    missed = schedule.slot(clock.now(), settings.PUBLISH_S)
    PublishingState.objects.update(served=missed - timedelta(seconds=1))
    assert operators.published()["overdue"] == missed.isoformat(timespec="seconds")
    publication.publish()
    assert operators.published()["overdue"] is None


def state() -> str:
    told = operators.run()
    assert told
    return str(told["state"])


def test_the_lock_tells_a_run_that_goes_on_from_a_killed_one() -> None:
    with runs.noted():
        assert state() == "running"
    FitRun.objects.update(ended_at=None)
    assert state() == "killed"
    FitRun.objects.update(ended_at=clock.now(), error="ValueError")
    assert state() == "failed"
