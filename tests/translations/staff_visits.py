"""Pages that members of staff see: the moderation desk, and what the admin adds to Django's own."""

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from arena.models import Conversation, GateBlock, Job, RatingRound, Report
from arena.operations import heartbeat, snapshot
from datasets.models import Release
from tests.arena.operations.help import told as figures
from tests.arena.views_help import Person, url
from tests.datasets import rows
from tests.ranking import publishing as boards
from tests.translations.visits import Visit, appealed, released


def staff(group: str) -> Client:
    user = User.objects.create_user(f"a {group}", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def desk(queue: str = "", case: bool = False) -> Visit:
    """The moderation desk after a report, a blocked prompt and its appeal."""

    def visit(person: Person) -> HttpResponse:
        battle = person.ready()
        person.post(url(battle, "report/"), side="a", turn=1, reason="broken", text="7")
        appealed(person)
        client = staff("moderator")
        address = f"/desk/{queue}"
        if not case:
            return client.get(address)
        found = {"reports/": Report, "blocked/": GateBlock, "waiting/": Conversation}[queue].objects.first()
        return client.get(f"{address}{found.pk}/")

    return visit


def operator() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def battle(person: Person) -> HttpResponse:
    voted = person.voted("a")
    person.post(url(voted, "report/"), side="b", turn=1, reason="broken", text="7")
    return operator().get(reverse("admin:arena_battle_change", args=[voted.pk]))


def ban(person: Person) -> HttpResponse:
    return operator().get(reverse("admin:arena_ban_add") + f"?battle={person.ready().pk}")


def jobs(person: Person) -> HttpResponse:
    Job.objects.create(kind="release", state="running", done=3, total=7)
    return operator().get(reverse("admin:arena_job_changelist"))


def survey(person: Person) -> HttpResponse:
    released(person)
    return operator().get(reverse("admin:datasets_release_survey"))


def release(person: Person) -> HttpResponse:
    released(person)
    return operator().get(reverse("admin:datasets_release_change", args=[Release.objects.get().pk]))


def login(person: Person) -> HttpResponse:
    return Client().post("/admin/login/", {"username": "7", "password": "7"})


def login_refused(person: Person) -> HttpResponse:
    for _ in range(settings.LOGIN_NAME_BURST + 1):
        answer = login(person)
    return answer


def rating(state: str) -> Visit:
    """No round, a list of rounds, a battle to judge, and a round without one."""

    def visit(person: Person) -> HttpResponse:
        client = staff("rater")
        if state == "none":
            return client.get("/rate/")
        round = RatingRound.objects.create(name="7", seed=7, guide="7")
        if state == "battle":
            rows.releasable(prompt="7", a="7", b="77")
        return client.get("/rate/" if state == "rounds" else reverse("rate_round", args=[round.pk]))

    return visit


def operations(state: str) -> Visit:
    """/ops before the first tick, with something of everything, and long after the last tick."""

    def visit(person: Person) -> HttpResponse:
        with heartbeat.client(settings.REDIS_URL) as valkey:
            if state != "empty":
                figures(valkey)
            if state == "old":
                valkey.expire(snapshot.KEY, snapshot.KEPT_S - 2000)
        heartbeat.tell({"open_turns": 1, "room": 600, "leases_lost": 2, "losses": 1})
        return operator().get("/ops")

    return visit


def planned(person: Person) -> HttpResponse:
    boards.publish((1600, 1400), (1001, 999), (900, 100))
    return operator().get("/ops/planner")


DESK: list[tuple[str, str, Visit]] = [
    ("ops", "empty", operations("empty")),
    ("ops", "busy", operations("busy")),
    ("ops", "old", operations("old")),
    ("planner", "empty", lambda _: operator().get("/ops/planner")),
    ("planner", "plans", planned),
    ("desk", "home", desk()),
    ("desk_queue", "reports", desk("reports/")),
    ("desk_queue", "appeals", desk("appeals/")),
    ("desk_queue", "flagged", desk("flagged/")),
    ("desk_queue", "waiting", desk("waiting/")),
    ("desk_queue", "blocked", desk("blocked/?q=zz")),
    ("desk_case", "report", desk("reports/", case=True)),
    ("desk_case", "blocked", desk("blocked/", case=True)),
    ("desk_case", "waiting", desk("waiting/", case=True)),
    ("sign_in", "refused", login_refused),
    ("rate", "none", rating("none")),
    ("rate", "rounds", rating("rounds")),
    ("rate_round", "battle", rating("battle")),
    ("rate_round", "empty", rating("empty")),
]
ADMIN: list[tuple[str, str, Visit]] = [
    ("admin", "index", lambda _: operator().get("/admin/")),
    ("admin", "login", login),
    ("admin", "battle", battle),
    ("admin", "ban", ban),
    ("admin", "jobs", jobs),
    ("admin", "survey", survey),
    ("admin", "release", release),
]
