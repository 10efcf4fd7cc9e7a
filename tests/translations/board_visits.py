"""How a person gets to every page of the board, in every state."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpResponse

from arena.clock import now
from arena.models import Battle, Contestant, ExpertLabel, RatingItem, RatingRound
from ranking.fits import fitting, history
from ranking.models import BoardSnapshot
from tests.arena.views_help import Person
from tests.ranking import publishing as boards
from tests.ranking import rows


def board(person: Person) -> HttpResponse:
    models = rows.contestants(4)
    Contestant.objects.filter(pk=models[0].pk).update(open_weights=True, licence="MIT", visibility="retired")
    boards.hide(models[3])
    boards.publish((1900, 1100), (600, 400), (1, 0), models=models)
    return person.get("/leaderboard")


def demo_board(person: Person) -> HttpResponse:
    boards.publish((12, 8), origin="demo")
    person.raw.force_login(User.objects.create_superuser("root"))
    return person.get("/leaderboard?q=zzz&sort=votes")


def too_few(person: Person) -> HttpResponse:
    boards.publish((3, 0))
    return person.get("/leaderboard")


def figured() -> list[Contestant]:
    """A published live board that has every figure, twice published, beside boards to choose from."""
    models = rows.contestants(4)
    Contestant.objects.update(price_in="1234.5", price_out="0.25")
    boards.publish((1900, 1100), (600, 400), (1600, 1400), models=models)
    boards.publish((19, 11), (6, 4), (16, 14), models=models)
    snapshot = BoardSnapshot.objects.published().latest("published_at")
    service = {"replies": 1234, "first_token_s": [0.5, 1234.5], "tokens_per_s": [1234.5, 7.5], "failure_rate": 0.0123}
    measured = {"days": 30, "least": 20, "why": None, "models": {str(one.pk): service for one in models}}
    snapshot.board |= fitted_figures() | {"service": measured}
    for one in snapshot.board["models"]:
        one |= {"p_first": 0.4, "quantiles": [900.0 + 5 * k for k in range(21)], "first_rate": 0.5012}
        one |= {
            "joint_lower": 900.0,
            "joint_upper": 1100.0,
            "rank_lower": 1,
            "rank_upper": 3,
            "raw_rating": 1234.5,
            "reweighted": 1233.5,
            "drift_p": 0.01,
        }
    snapshot.save(update_fields=["board"])
    for key in ({"category": "german"}, {"controlled": True}, {"origin": "import:seven"}):
        moment = snapshot.published_at
        fields = {"origin": "live", "board": snapshot.board, "votes": 7, "seed": 7, "published_at": moment} | key
        history.keep(BoardSnapshot.objects.create(**fields))
    return models


def fitted_figures() -> dict[str, Any]:
    """Every figure of a board as a whole, each in the state that has most to say."""
    terms = [{"name": "length", "coefficient": 0.25, "se": 0.01, "lower": 0.23, "upper": 0.27}]
    claims = [
        {"better": i, "worse": i + 1, "difference": 1.0, "se": 1.0, "p": 0.1, "p_holm": 0.1, "holds": not i}
        for i in range(3)
    ]
    sure = {
        "leader": 0,
        "runner_up": 1,
        "since": "2026-03-04T05:06:07+00:00",
        "confirmed": False,
        "confirmed_at": None,
        "looks": 7,
    }
    models = [{"name": "half_win", "log_loss": 0.6931}, {"name": "Davidson", "log_loss": 0.6512}]
    models.append({"name": "Rao-Kupper", "log_loss": None, "why": "no ties"})
    return {
        "position": {"logit": 0.1, "se": 0.01, "share": 0.525, "lower": 0.51, "upper": 0.54},
        "ties": {"models": models, "best": "davidson", "share": 0.2, "folds": 5},
        "claims": claims,
        "certificate": {"votes": 1234, "share": 0.0012, "leader": 0, "runner_up": 1, "exact": True},
        "drift": {"statistic": 99.0, "df": 4, "p": 0.0001, "periods": 5},
        "cycles": {"observed": 3, "triads": 4, "expected": 1.5, "p": 0.01},
        "style": {"covariates": terms, "votes": 1234},
        "sure": sure,
        "clusters": {"judges": 1234, "effective_judges": 3.5, "effective_votes": 1234.5, "inflation": 1.25},
        "shrinkage": {"towards": "", "spread": 12.0, "weight": 0.3},
    }


def said(person: Person) -> HttpResponse:
    figured()
    return person.get("/leaderboard")


def plots(person: Person) -> HttpResponse:
    figured()
    return person.get("/leaderboard/plots")


def imported_sampling(person: Person) -> HttpResponse:
    figured()
    return person.get("/leaderboard/sampling?origin=import:seven")


def sampling(person: Person) -> HttpResponse:
    models = rows.contestants(3)
    boards.hide(models[2])
    Battle.objects.all().delete()
    for number in range(1, 3):
        battle = rows.vote(models[0], models[number], "a").battle
        Battle.objects.filter(pk=battle.pk).update(created_at=now() - timedelta(days=1), probability=0.0012)
    boards.publish((1900, 1100), (600, 400), models=models)
    snapshot = BoardSnapshot.objects.published().latest("published_at")
    ledger = snapshot.board["sampling"]
    ledger["total"] |= {"battles": 1234, "watched": 1200}
    for one in ledger["models"].values():
        one |= {"battles": 1234, "watched": 1200, "intended": 1000.5, "variance": 25.0}
    snapshot.save(update_fields=["board"])
    return person.get("/leaderboard/sampling")


def measured_model(person: Person) -> HttpResponse:
    return person.get(f"/models/{figured()[0].slug}/")


def model(person: Person) -> HttpResponse:
    models = rows.contestants(2)
    facts = {"price_in": "1234.5", "price_out": "0.25", "released_on": "2026-05-03", "licence": "MIT", "demo": True}
    Contestant.objects.filter(pk=models[0].pk).update(open_weights=True, **facts)
    boards.publish((1900, 1100), models=models)
    return person.get(f"/models/{models[0].slug}/")


def hidden_model(person: Person) -> HttpResponse:
    models = rows.contestants(2)
    boards.hide(models[1])
    boards.publish((3, 0), models=models)
    return person.get("/models/olive-branch/")


def quality(person: Person) -> HttpResponse:
    """Experts' labels and categories, as staff see them."""
    pair = rows.contestants(2)
    boards.hide(pair[1])
    round = RatingRound.objects.create(name="7", seed=7)
    for position, (choice, labels) in enumerate((("a", "ab"), ("b", "bb"), ("tie", "ab"))):
        item = RatingItem.objects.create(round=round, battle=rows.cast(*pair, choice).vote.battle, position=position)
        for number, label in enumerate(labels):
            ExpertLabel.objects.create(item=item, rater_name=str(number), choice=label, swapped=False)
    for category in ("code", "math", "english"):
        rows.event(None, *pair, "a", categories=[category])
    fitting.refit()
    person.raw.force_login(User.objects.create_superuser("root"))
    return person.get("/leaderboard/quality")
