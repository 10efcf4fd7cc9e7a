"""Who may do what, tried: every admin page, action and button, and every page of the desk, as each group and as a superuser.

One table says it all. L list, D details, A add form, C change (POST), X delete form; then the names of the actions that run.
"""

import re
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from arena import appeals, audit, bans
from arena.models import (
    AuditEntry,
    Battle,
    GateBlock,
    Job,
    ModerationRecord,
    PairWeight,
    RatingRound,
    Report,
    SiteConfig,
    Turn,
    VoteEvent,
)
from arena.votes import cast_vote
from datasets.models import Release
from inference.models import Spend
from ranking.models import BoardSnapshot, JudgeCount, PairCount, Suspicion, VoteImport, VoteLabel, VoteStyle
from tests import factories

WHO = ("moderator", "operator", "rater", "analyst", "superuser")

TABLE = """
page                       moderator  operator                    rater  analyst  superuser
arena.appeal               LD         -                           -      -        LD
arena.auditentry           -          LD                          -      -        LD
arena.ban                  LDA lift   LDA lift                    -      -        LDA lift
arena.battle               LD         LD                          -      -        LD
arena.contestant           -          LDAC retire                 -      LD       LDAC retire
arena.gateblock            LD         -                           -      -        LD
arena.job                  -          LD cancel                   -      LD       LD cancel
arena.page                 -          LDAC                        -      -        LDAC
arena.pageversion          -          LD                          -      -        LD
arena.pairweight           -          LD                          -      LD       LD
arena.ratinground          -          LDAC close                  -      LD       LDAC close
arena.reply                LD         LD                          -      -        LD
arena.report               LD         -                           -      -        LD
arena.siteconfig           -          LDC                         -      -        LDC
arena.turn                 LD         LD                          -      -        LD
arena.vote                 LD         LD                          -      LD       LD
arena.voteevent            -          LD                          -      LD       LD
auth.group                 -          -                           -      -        LDACX delete
auth.user                  -          -                           -      -        LDACX delete
datasets.release           -          LDA                         -      LD       LDA
inference.adapter          -          LDACX delete,load,unload    -      -        LDACX delete,load,unload
inference.deployment       -          LDACX delete,test           -      -        LDACX delete,test
inference.engineendpoint   -          LDACX delete,test           -      -        LDACX delete,test
inference.spend            -          LD                          -      -        LD
ranking.boardsnapshot      -          LD                          -      LD       LD
ranking.judgecount         -          LD                          -      LD       LD
ranking.paircount          -          LD                          -      LD       LD
ranking.suspicion          LD         LD confirm,clear            -      -        LD confirm,clear
ranking.voteimport         -          LD                          -      LD       LD
ranking.votelabel          -          LD                          -      LD       LD
ranking.votestyle          -          LD                          -      LD       LD
"""

# What is pressed or opened beside the pages of rows: yes = done or shown, no = 403.
VERBS = """
what                       moderator  operator  rater  analyst  superuser
see the desk               yes        no        no     no       yes
see a case                 yes        no        no     no       yes
read an appeal             yes        no        no     no       yes
pass a conversation        yes        no        no     no       yes
pass many                  yes        no        no     no       yes
answer an appeal           yes        no        no     no       yes
decide a report            yes        no        no     no       yes
read text of a battle      yes        no        no     no       yes
void a battle              no         yes       no     no       yes
void a visitor's votes     no         yes       no     no       yes
ban a visitor              yes        yes       no     no       yes
refit                      no         yes       no     no       yes
publish the boards         no         yes       no     no       yes
start the back-fill        no         yes       no     no       yes
wipe the demo              no         no        no     no       yes
count a release            no         yes       no     no       yes
recall a release           no         yes       no     no       yes
see the metrics            no         yes       no     yes      yes
judge battles              no         no        yes    no       yes
"""
SIGNS = ("Are you sure", "messagelist", "<h1>Test reply")
SHORT = {"delete_selected": "delete", "stream_a_test_reply": "test"}


@pytest.fixture(autouse=True)
def site(db: None, valkey: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of every kind that has a page; nothing leaves this process."""
    for name in ("arena.voiding.app.send_task", "arena.jobs.app.send_task"):
        monkeypatch.setattr(name, lambda *_, **__: None)
    first, second = sorted(factories.ring(), key=lambda contestant: contestant.pk)
    PairWeight.objects.create(first=first, second=second, weight=1.0, sampler="test")
    factories.adapter("pirate", "stub-fast")
    battle = factories.ready(a=factories.outcome("Alpha says"))
    cast_vote(battle.pk, "a", 1)
    PairCount.objects.create(origin="live", first=first, second=second, first_was_a=True, outcome="tie", count=1)
    JudgeCount.objects.create(origin="live", judge="j", first=first, second=second, outcome="tie", count=1)
    BoardSnapshot.objects.create(origin="live", votes=1, seed=1, board={})
    VoteImport.objects.create(slug="one", title="One", votes=1, counted=1, contestants=2, styled=0)
    Suspicion.objects.create(detector="cap", kind="voter", code="j", votes=0)
    sizes = [f"{name}_{side}" for name in ("length", "headers", "lists", "bold") for side in "ab"]
    VoteStyle.objects.create(event=VoteEvent.objects.get(), **dict.fromkeys(sizes, 1))
    VoteLabel.objects.create(event=VoteEvent.objects.get(), name="math", source="file")
    reply = Turn.objects.get(battle=battle).replies.first()
    Report.objects.create(reply=reply, visitor=battle.visitor, reason="other", text="t")
    appeals.appeal(GateBlock.objects.create(policy="1", category="c", rule="r", prompt="p"), "but why")
    bans.ban_visitor(factories.visitor(), None, "Flood")
    SiteConfig.objects.get_or_create(pk=1)
    Spend.objects.create(endpoint=factories.endpoint(), day="2026-11-25")
    factories.endpoint("unused")
    Job.objects.create(kind="export", arguments={"_task": "t", "_queue": "export"})
    RatingRound.objects.create(name="one", seed=1)
    Release.objects.create(
        name="one", policy="1", licence="CC-BY-4.0", state="published", published_at=battle.created_at
    )


def sign_in(who: str) -> Client:
    user = User.objects.create_user(who, is_staff=True, is_superuser=who == "superuser")
    if who != "superuser":
        user.groups.add(Group.objects.get(name=who))
    client = Client()
    client.force_login(user)
    return client


# --- pages of rows --------------------------------------------------------------------------------------------------------


def rights(client: Client, model: type, page: admin.ModelAdmin) -> str:
    """What one account can do on one model's pages, in the table's letters."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"  # type: ignore[attr-defined]
    row = model._default_manager.order_by("pk").last()  # type: ignore[attr-defined]
    assert row is not None, f"the fixture makes no {model.__name__}"
    urls = {
        letter: reverse(f"{name}_{view}", args=args)
        for letter, view, args in (
            ("L", "changelist", []),
            ("D", "change", [row.pk]),
            ("A", "add", []),
            ("X", "delete", [row.pk]),
        )
    }
    found = "".join(letter for letter in "LDA" if client.get(urls[letter]).status_code in (200, 302))
    found += "C" * (client.post(urls["D"], {}).status_code in (200, 302))
    found += "X" * (client.get(urls["X"]).status_code in (200, 302))
    ran = [SHORT.get(action, action) for action in actions(page) if runs(client, urls["L"], action, row.pk)]
    return f"{found} {','.join(ran)}".strip() or "-"


def actions(page: admin.ModelAdmin) -> list[str]:
    """Every action that the page has for anybody, with the ones of the whole site."""
    own = [action if isinstance(action, str) else action.__name__ for action in page.actions or []]
    return ["delete_selected", *own]


def runs(client: Client, url: str, action: str, pk: object) -> bool:
    """Press the action with the row chosen: it asks back or says what it did; one that is not offered does neither."""
    page = client.post(url, {"action": action, "_selected_action": [str(pk)]}, follow=True)
    said = page.content.decode()
    return page.status_code == 200 and any(sign in said for sign in SIGNS) and "No action selected" not in said


def rows_of(table: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each line's name, and its cell per account; columns begin where their heads do."""
    head, *lines = table.strip("\n").split("\n")
    starts = [match.start() for match in re.finditer(r"\S+", head)]
    for line in lines:
        cells = [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        yield cells[0], dict(zip(WHO, cells[1:], strict=True))


@pytest.mark.parametrize("who", WHO)
def test_each_account_can_do_on_each_page_what_the_table_says_and_no_more(who: str) -> None:
    client = sign_in(who)
    expected = {name: cells[who] for name, cells in rows_of(TABLE)}
    pages = {model._meta.label_lower: (model, page) for model, page in admin.site._registry.items()}
    assert set(expected) == set(pages), "every page stands in the table"
    assert {name: rights(client, *pages[name]) for name in sorted(pages)} == expected


def test_staff_without_a_group_and_people_who_are_no_staff_can_do_nothing() -> None:
    idle = Client()
    idle.force_login(User.objects.create_user("idle", is_staff=True))
    for model, page in admin.site._registry.items():
        assert rights(idle, model, page) == "-", model
    person = Client()
    person.force_login(User.objects.create_superuser("gone"))
    User.objects.filter(username="gone").update(is_staff=False)
    assert person.get("/admin/").status_code == 302


# --- verbs ----------------------------------------------------------------------------------------------------------------


def press(client: Client, what: str) -> bool:
    """Whether it was done or shown."""
    battle, report, appeal = Battle.objects.get(), Report.objects.get(), GateBlock.objects.get().appeal
    release = Release.objects.get()
    if what == "read text of a battle":
        return "Alpha says" in client.get(reverse("admin:arena_battle_change", args=[battle.pk])).content.decode()
    if what == "void a battle" or what == "void a visitor's votes":
        verb = "void" if what == "void a battle" else "void_votes"
        client.post(reverse(f"admin:arena_battle_{verb}", args=[battle.pk]), {"reason": "r"})
        return VoteEvent.objects.filter(kind="void").exists()
    if what == "ban a visitor":
        form = {"whom": "visitor", "days": "1", "reason": "r"}
        client.post(f"{reverse('admin:arena_ban_add')}?battle={battle.pk}", form)
        return battle.visitor.bans.exists()
    if what.startswith("pass"):
        from arena.desk.deciding import marks

        seen = marks([battle])[battle.pk]
        form = {"verdict": "pass", "seen": seen, "reason": "r", "chosen": f"{battle.pk}:{seen}"}
        where = f"/desk/waiting/{battle.pk}/decide/" if what == "pass a conversation" else "/desk/waiting/pass/"
        client.post(where, form)
        return ModerationRecord.objects.filter(backend="human").exists()
    gets = {
        "see the desk": "/desk/",
        "see a case": f"/desk/waiting/{battle.pk}/",
        "read an appeal": f"/desk/appeals/{appeal.pk}/",
        "see the metrics": "/metrics",
        "judge battles": "/rate/",
    }
    if what in gets:
        return client.get(gets[what], REMOTE_ADDR="203.0.113.9").status_code == 200
    posts = {
        "answer an appeal": (f"/desk/appeals/{appeal.pk}/decide/", {"verdict": "act", "reason": "r"}),
        "decide a report": (f"/desk/reports/{report.pk}/decide/", {"verdict": "leave", "reason": "r"}),
        "refit": (reverse("admin:arena_job_refit"), {}),
        "publish the boards": (reverse("admin:ranking_publish"), {}),
        "start the back-fill": (reverse("admin:arena_job_enrich"), {}),
        "wipe the demo": (reverse("admin:ranking_wipe_demo"), {}),
        "count a release": (reverse("admin:datasets_release_survey"), {}),
        "recall a release": (reverse("admin:datasets_release_recall", args=[release.pk]), {"reason": "r"}),
    }
    url, form = posts[what]
    status = client.post(url, form).status_code
    assert status in (302, 303, 403), (what, status)
    return status != 403


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("what", [name for name, _cells in rows_of(VERBS)])
def test_each_verb_is_for_whom_the_table_names(who: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arena.admin.jobs.start_backfill", lambda actor: Job.objects.create(kind="enrich"))
    client, before = sign_in(who), AuditEntry.objects.count()
    may = press(client, what)
    assert ("yes" if may else "no") == dict(rows_of(VERBS))[what][who]
    assert may or AuditEntry.objects.count() == before, "what was refused leaves no trail of having been done"


def test_whoever_is_not_signed_in_gets_nowhere() -> None:
    for model, page in admin.site._registry.items():
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        answer = Client().get(url)
        assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={url}"), page
    assert audit.difference({}, {}) == ({}, {})
