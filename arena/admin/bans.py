"""Bans: the list with its lift action, and the form behind `?visitor=` or `?battle=`. `arena/bans.py` writes, and audits."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from arena import address_keys, bans, clock
from arena.admin.readonly import ReadOnlyAdmin
from arena.errors import Refused
from arena.models import AddressKey, Ban, Battle, Turn, Visitor

VISITOR, PREFIX = "visitor", "prefix"
FOR_DAYS = [
    ("1", gettext_lazy("1 day")),
    ("7", gettext_lazy("7 days")),
    ("30", gettext_lazy("30 days")),
    ("90", gettext_lazy("90 days")),
    ("", gettext_lazy("until it is lifted (visitors only)")),
]


@dataclass(frozen=True)
class Subject:
    """Who may be banned from one form: a visitor, the prefix of a battle's last prompt, or either."""

    visitor: Visitor | None
    group: str

    @property
    def choices(self) -> list[tuple[str, str]]:
        visitor = [(VISITOR, str(self.visitor))] if self.visitor else []
        return visitor + ([(PREFIX, _("the address prefix of this battle"))] if self.group else [])


class BanForm(forms.Form):
    """How long and why. `save` calls the verb."""

    whom = forms.ChoiceField(label=gettext_lazy("Ban"), widget=forms.RadioSelect)
    days = forms.ChoiceField(label=gettext_lazy("For"), choices=FOR_DAYS, initial="7", required=False)
    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=bans.MAX_REASON, help_text=gettext_lazy("Shown to the person.")
    )

    def __init__(self, subject: Subject, *args: Any) -> None:
        super().__init__(*args)
        self.subject = subject
        self.fields["whom"].choices = subject.choices  # type: ignore[attr-defined]
        self.initial["whom"] = subject.choices[0][0]

    def save(self, actor: bans.Actor) -> Ban:
        """Raises Refused."""
        given, subject = self.cleaned_data, self.subject
        until = clock.now() + timedelta(days=int(given["days"])) if given["days"] else None
        if given["whom"] == PREFIX or subject.visitor is None:
            return bans.ban_prefix(subject.group, actor, given["reason"], until)
        return bans.ban_visitor(subject.visitor, actor, given["reason"], until)


def subject_of(request: HttpRequest) -> Subject | None:
    """Whom the form's address names; None when it is nobody who could be banned."""
    battle = Battle.objects.select_related("visitor").filter(pk__in=_ids(request, "battle")).first()
    visitor = battle.visitor if battle else Visitor.objects.filter(pk__in=_ids(request, "visitor")).first()
    groups = Turn.objects.filter(battle=battle).exclude(group="").order_by("-number").values_list("group", flat=True)
    group = groups.first() or ""
    known = AddressKey.objects.filter(pk=address_keys.tag_of(group)).exists()
    return Subject(visitor, group if known else "") if visitor or known else None


def _ids(request: HttpRequest, name: str) -> list[UUID]:
    try:
        return [UUID(request.GET.get(name, ""))]
    except ValueError:
        return []


@admin.register(Ban)
class BanAdmin(ReadOnlyAdmin):
    list_display = ["whom", "reason", "holds", "created_at", "created_by", "expires_at", "lifted_at", "lifted_by"]
    list_filter = ["created_at", "lifted_at"]
    list_select_related = ["visitor", "created_by", "lifted_by"]
    ordering = ["-created_at"]
    exclude = ["key"]
    actions = ["lift"]

    @admin.display(description=gettext_lazy("whom"))
    def whom(self, ban: Ban) -> str:
        return str(ban.visitor) if ban.visitor else _("prefix %(group)s") % {"group": ban.group[:16]}

    @admin.display(description=gettext_lazy("holds"), boolean=True)
    def holds(self, ban: Ban) -> bool:
        return ban.lifted_at is None and (ban.expires_at is None or ban.expires_at > clock.now())

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("arena.add_ban")

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("arena.change_ban")

    @admin.action(description=gettext_lazy("Lift: they may take part again"), permissions=["lift"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Ban]) -> None:
        lifted = sum(bans.lift(ban, request.user) for ban in queryset)
        self.message_user(request, ngettext("%d ban lifted.", "%d bans lifted.", lifted) % lifted)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        subject = subject_of(request)
        if subject is None:
            said = _("Nobody is named who could be banned. Open the form from the page of a battle.")
            self.message_user(request, said, messages.WARNING)
            return redirect("admin:arena_ban_changelist")
        form = BanForm(subject, request.POST or None)
        if form.is_valid() and self._saved(request, form):
            return redirect("admin:arena_ban_changelist")
        context = self.admin_site.each_context(request) | {"title": _("Ban"), "form": form, "opts": self.opts}
        return TemplateResponse(request, "admin/ban.html", context)

    def _saved(self, request: HttpRequest, form: BanForm) -> bool:
        try:
            ban = form.save(request.user)
        except Refused as refusal:
            form.add_error(None, refusal.message)
            return False
        self.message_user(request, _("%(whom)s may no longer take part.") % {"whom": self.whom(ban).capitalize()})
        return True
