"""Every page that people can see, in every state: how a person, or a member of staff, gets there."""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.http import HttpResponse

from arena import accounts, receipts, recovery
from arena.clock import now
from arena.models import Battle, GateBlock, SiteConfig, Vote
from datasets.models import Release
from ranking import counts
from ranking.votelog import publication, sealing
from tests import factories
from tests.arena.views_help import Person, url
from tests.datasets import making
from tests.datasets import rows as releasing
from tests.ranking import publishing as boards
from tests.ranking import rows
from tests.translations import board_visits

Visit = Callable[[Person], HttpResponse]

# Addresses that answer machines, or only POST, or send the browser on. Everything else has to be in PAGES.
NO_PAGE = {
    *("start_battle", "send", "stop", "retry", "vote", "rematch", "share", "unshare", "report", "appeal"),
    *(
        "board_download",
        "sampling_csv",
        "wipe_demo",
        "set_language",
        "healthz",
        "readyz",
        "metrics",
        "desk_decide",
        "desk_pass",
        None,
    ),
    *("export", "publishing", "removals", "release_file", "rate_label", "rate_take_back"),
}


def streaming(person: Person) -> HttpResponse:
    return person.get(url(factories.started(person.visitor).battle))


def ready(person: Person) -> HttpResponse:
    return person.get(url(person.ready()))


def ready_part(person: Person) -> HttpResponse:
    return person.get(url(person.ready()), htmx=True)


def voted(person: Person) -> HttpResponse:
    return person.get(url(person.voted("tie")))


def second_turn(person: Person) -> HttpResponse:
    battle = person.voted("a")
    person.post(url(battle, "share/"))
    person.post(url(battle, "turns/"), prompt="7", key="7b2ee0ac-6a54-4b7c-8f06-6d9c4b3f1e0a")
    return person.get(url(battle))


def broken(person: Person) -> HttpResponse:
    stopped, failed = factories.outcome("1", "stopped"), factories.outcome(error="engine_down")
    return person.get(url(person.ready(a=stopped, b=failed)))


def early(person: Person) -> HttpResponse:
    return person.get(url(person.ready(a=factories.outcome("1", "early"), b=factories.outcome("2", "length"))))


def void(person: Person) -> HttpResponse:
    battle = person.ready()
    Battle.objects.filter(pk=battle.pk).update(state="void", void_reason="abandoned")
    return person.get(url(battle))


def shared(person: Person) -> HttpResponse:
    battle = person.voted("b")
    person.post(url(battle, "share/"))
    battle.refresh_from_db()
    return Person(agreed=False).get(f"/s/{battle.share_token}/")


def history(person: Person) -> HttpResponse:
    for choice in ("a", "b", "tie", "both_bad"):
        person.voted(choice)
    person.ready()
    factories.started(person.visitor)
    return person.get("/me/")


def my_data(person: Person) -> HttpResponse:
    """Votes, consent, a code, a report, a refusal and its appeal."""
    battle = person.voted("a")
    person.post(url(battle, "report/"), side="a", turn=1, reason="broken", text="7")
    appealed(person)
    person.post("/me/publishing/", publish="1")
    code(person)
    return person.get("/me/data/")


def code(person: Person) -> HttpResponse:
    person.ready()
    return person.post("/me/code/", instead_of=recovery.mark(person.visitor))


def deletion(person: Person) -> HttpResponse:
    person.voted("b")
    return person.get("/me/delete/")


def released(person: Person) -> HttpResponse:
    releasing.releasable()
    factories.ready(releasing.publisher())
    return person.get(f"/datasets/{making.make().name}/")


def releases_listed(person: Person) -> HttpResponse:
    released(person)
    return person.get("/datasets")


def recalled(person: Person) -> HttpResponse:
    released(person)
    Release.objects.update(state="recalled", recalled_at=now(), recall_reason="7")
    return person.get("/datasets/first/")


def blocked(person: Person) -> HttpResponse:
    return person.start("I want to kill myself", htmx=True)


def too_fast(person: Person) -> HttpResponse:
    for _ in range(settings.LIMIT_VISITOR_BURST + 1):
        answer = person.start("7", htmx=True)
    return answer


def vote_log(person: Person) -> HttpResponse:
    boards.publish((1900, 1100))
    return person.get("/log")


def receipt(unranked: str = "", seal: bool = True, publish: bool = True, flag: bool = False) -> Visit:
    """The receipt of a vote, as far on its way as asked for."""

    def visit(person: Person) -> HttpResponse:
        models = boards.publish((3, 2))
        event = rows.cast(*models, "a", ranked=not unranked)
        Vote.objects.filter(pk=event.vote_id).update(unranked=unranked)
        if flag:
            rows.follow(event, "flag")
        if seal:
            counts.absorb()
        if flag:
            sealing.release(now() + timedelta(days=30), 0, 0)
        if publish:
            publication.publish(at_once=True)
        return person.get(f"/receipt?receipt={receipts.receipt(event.vote_id)}")

    return visit


def receipt_too_fast(person: Person) -> HttpResponse:
    for _ in range(settings.API_BURST):
        person.get("/receipt?receipt=7")
    return person.get("/receipt?receipt=7")


def paused(person: Person) -> HttpResponse:
    SiteConfig.objects.filter(pk=1).update(battles_paused=True)
    return person.start("7")


def admin_link(person: Person) -> HttpResponse:
    return person.get(accounts.one_time_login_path())


def get(address: str, htmx: bool = False) -> Visit:
    return lambda person: person.get(address, htmx=htmx)


def appealed(person: Person) -> HttpResponse:
    blocked(person)
    block = GateBlock.objects.get(visitor=person.visitor)
    person.post("/appeals/", block=block.pk, text="7")
    return person.get(f"/appeals/{block.pk}/")


# Name of the address, what is shown, and how to get there.
PAGES: list[tuple[str, str, Visit]] = [
    ("home", "start", get("/")),
    ("home", "newcomer", lambda _: Person(agreed=False).get("/")),
    ("battle", "streaming", streaming),
    ("battle", "ready", ready),
    ("battle", "part", ready_part),
    ("battle", "voted", voted),
    ("battle", "second turn", second_turn),
    ("battle", "failed", broken),
    ("battle", "early", early),
    ("battle", "void", void),
    ("battle", "blocked", blocked),
    ("battle", "too fast", too_fast),
    ("battle", "paused", paused),
    ("shared", "shared", shared),
    ("me", "history", history),
    ("me", "stranger", lambda _: Person(agreed=False).get("/me/")),
    ("page", "terms", get("/terms")),
    ("my_data", "data", my_data),
    ("my_data", "stranger", lambda _: Person(agreed=False).get("/me/data/")),
    ("make_code", "code", code),
    ("make_code", "made", lambda person: (code(person), person.post("/me/code/"))[1]),
    ("recover", "wrong code", lambda person: person.post("/me/recover/", code="7")),
    ("delete_me", "asks", deletion),
    ("delete_me", "box not ticked", lambda person: (person.ready(), person.post("/me/delete/"))[1]),
    ("my_data_deleted", "deleted", get("/me/deleted/")),
    ("datasets", "none", get("/datasets")),
    ("datasets", "list", releases_listed),
    ("release", "release", released),
    ("release", "recalled", recalled),
    ("leaderboard", "empty", get("/leaderboard")),
    ("leaderboard", "full", board_visits.board),
    ("leaderboard", "demo", board_visits.demo_board),
    ("leaderboard", "too few", board_visits.too_few),
    ("leaderboard", "sure", board_visits.said),
    ("board_plots", "none", get("/leaderboard/plots")),
    ("board_plots", "plots", board_visits.plots),
    ("quality", "none", get("/leaderboard/quality")),
    ("quality", "figures", board_visits.quality),
    ("sampling", "none", get("/leaderboard/sampling")),
    ("sampling", "imported", board_visits.imported_sampling),
    ("sampling", "ledger", board_visits.sampling),
    ("model", "model", board_visits.model),
    ("model", "measured", board_visits.measured_model),
    ("model", "codename", board_visits.hidden_model),
    ("api", "api", get("/api")),
    ("methodology", "methodology", get("/methodology")),
    ("vote_log", "empty", get("/log")),
    ("vote_log", "log", vote_log),
    ("receipt", "form", get("/receipt")),
    ("receipt", "unknown", get("/receipt?receipt=7")),
    ("receipt", "too fast", receipt_too_fast),
    ("receipt", "waiting", receipt(seal=False, publish=False)),
    ("receipt", "sealed", receipt(publish=False)),
    ("receipt", "public", receipt()),
    ("receipt", "excluded", receipt(flag=True)),
    *(("receipt", reason, receipt(unranked=reason)) for reason in ("identity", "stopped", "early")),
    ("admin_login", "link", admin_link),
    ("admin_login", "spent", get("/admin-login/0123456789/")),
    ("appealed", "appealed", appealed),
    ("error", "404", get("/nothing-here")),
    ("error", "403", lambda person: person.raw.post("/battles/", {})),
    ("error", "400", lambda person: person.raw.post("/language/", {"language": "tlh"})),
]
