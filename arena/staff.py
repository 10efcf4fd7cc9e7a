"""Who of the staff may do what: four groups and exactly their permissions. Users and groups are managed by superusers only.

The groups are rows that follow from this table, so they are written after every `migrate` (Django's post_migrate, once the
permissions they need exist: a data migration would run before those are made, and could not follow a later change of the
table) and at every start (`installation.migrate`). Permissions that were added to or taken from one of these groups by hand are
put right; whoever needs another set makes a group of another name.
"""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, Permission
from django.db import transaction
from django.db.models import Q

from arena import audit

GROUPS = {
    # Reads what people wrote, decides complaints and conversations, bans. No registry, no keys, no releases.
    "moderator": {
        "arena": """
            moderate view_message view_conversation view_moderationrecord view_enrichment
            view_battle view_turn view_reply view_vote view_visitor
            view_report view_appeal view_gateblock view_ban add_ban change_ban
        """,
        "ranking": "view_suspicion",
    },
    # Runs the site. Reads no conversation: `view_message` and `moderate` are missing on purpose.
    "operator": {
        "arena": """
            view_contestant add_contestant change_contestant view_contestantrevision view_pairweight
            view_siteconfig change_siteconfig view_page add_page change_page view_pageversion
            view_battle view_turn view_reply view_vote view_voteevent view_visitor void_battle
            view_ban add_ban change_ban view_job add_job change_job view_ops view_auditentry
            view_ratinground add_ratinground change_ratinground
        """,
        "inference": """
            view_adapter add_adapter change_adapter delete_adapter
            view_engineendpoint add_engineendpoint change_engineendpoint delete_engineendpoint
            view_deployment add_deployment change_deployment delete_deployment view_spend
        """,
        "ranking": """
            view_paircount view_judgecount view_votestyle view_votelabel view_voteimport view_boardsnapshot
            view_suspicion change_suspicion
        """,
        "datasets": "view_release view_releasefile view_releasedconversation publish_release",
    },
    # Named experts: judge stored battles blind, and see only what the release gate would pass now (datasets/rating).
    "rater": {"arena": "rate_battle"},
    # Counts and boards, read-only. No text, no battle, no person.
    "analyst": {
        "arena": """
            view_contestant view_contestantrevision view_pairweight view_vote view_voteevent view_job view_ops
            view_ratinground
        """,
        "ranking": "view_paircount view_judgecount view_votestyle view_votelabel view_voteimport view_boardsnapshot",
        "datasets": "view_release view_releasefile",
    },
}
APPS = ("arena", "inference", "ranking", "datasets")


def permissions(group: str) -> set[tuple[str, str]]:
    """(app label, codename) of everything that a group may."""
    return {(app, codename) for app, names in GROUPS[group].items() for codename in names.split()}


def may(user: AbstractBaseUser | AnonymousUser, permission: str) -> bool:
    """Whether this is active staff with the permission (`app.codename`). Asks the database."""
    staff = user.is_authenticated and user.is_active and getattr(user, "is_staff", False)
    return bool(staff and user.has_perm(permission))  # type: ignore[union-attr]


@transaction.atomic
def install() -> list[str]:
    """Make the groups, and give each exactly its permissions. Returns the names of those that had to be written."""
    return [name for name in GROUPS if _put_right(name)]


def after_migrate(apps: Any = installed, **_: Any) -> None:
    """Receiver of post_migrate. While tables are missing (`migrate arena 0003`) there is nothing to write yet."""
    try:
        apps.get_model("auth", "Permission"), apps.get_model("arena", "AuditEntry")
    except LookupError:
        return
    for label in APPS:  # the signal reaches us before Django has made the permissions of later apps
        create_permissions(installed.get_app_config(label), verbosity=0, apps=apps)
    install()


def _put_right(name: str) -> bool:
    group, made = Group.objects.get_or_create(name=name)
    has = set(group.permissions.values_list("pk", flat=True))
    wanted = _wanted(name)
    if has == set(wanted):
        return made
    before = sorted(Permission.objects.filter(pk__in=has).values_list("codename", flat=True))
    group.permissions.set(wanted)
    if not made:
        audit.record(None, "change", group, {"may": before}, {"may": sorted(wanted.values())})
    return True


def _wanted(name: str) -> dict[int, str]:
    """Primary key -> codename. A permission that its app does not define (yet) is left out; a test holds the table to them."""
    named = Q()
    for app, codename in permissions(name):
        named |= Q(content_type__app_label=app, codename=codename)
    return dict(Permission.objects.filter(named).values_list("pk", "codename"))
