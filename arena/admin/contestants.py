"""Contestants with what they are told, in one form; saving a change of that makes a new revision."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from arena import registry
from arena.admin.audited import AuditedAdmin
from arena.admin.readonly import ReadOnlyAdmin, ReadOnlyInline
from arena.models import Contestant, ContestantRevision, PairWeight
from arena.models.contestants import Visibility
from inference.models import Deployment

NAMED = ("name", "slug", "organisation", "description", "link")
SHOWN = ("visibility", "codename", "anonymous_until", "sampling_weight")
FACTS = ("licence", "open_weights", "released_on", "price_in", "price_out")
TOLD = (
    "model",
    "adapter",
    "system_prompt",
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "stop",
    "context_length",
)


WIDGETS: dict[str, forms.Widget | type[forms.Widget]] = {
    "model": forms.TextInput(attrs={"size": 60}),
    "system_prompt": forms.Textarea(attrs={"rows": 6, "cols": 80}),
    "stop": forms.Textarea(attrs={"rows": 1, "cols": 60}),
}
# The revision's own labels, help texts and bounds.
told_fields = forms.fields_for_model(ContestantRevision, fields=TOLD, widgets=WIDGETS)
ToldFields = type("ToldFields", (forms.Form,), dict(told_fields))


class ContestantForm(forms.ModelForm, ToldFields):  # type: ignore[valid-type, misc]
    """A contestant and its current revision."""

    link = forms.URLField(required=False, assume_scheme="https")

    class Meta:
        model = Contestant
        fields = [*NAMED, *SHOWN, *FACTS]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        current = None if self.instance._state.adding else registry.current_revision(self.instance)
        for name in TOLD:
            if current is not None:
                self.initial.setdefault(name, getattr(current, "adapter_id" if name == "adapter" else name))

    def told(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in TOLD}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("visibility") == Visibility.ANONYMOUS:
            for name in ("codename", "anonymous_until"):
                if not cleaned.get(name):
                    self.add_error(name, _("Needed for a contestant that is shown under a codename."))
        if all(name in cleaned for name in TOLD):
            self._check_told()
        return cleaned

    def _check_told(self) -> None:
        try:
            registry.check(ContestantRevision(**self.told()))
        except ValidationError as error:
            for name, problems in error.message_dict.items():
                self.add_error(name if name in self.fields else None, problems)


class RevisionInline(ReadOnlyInline):
    model = ContestantRevision
    verbose_name_plural = _("history of revisions")
    fields = readonly_fields = ("number", "current", "created_at", *TOLD)
    ordering = ["-number"]


def served_revisions() -> QuerySet[ContestantRevision]:
    """Revisions that an enabled deployment answers for; the rule of `arena.pairing.in_the_ring`, but for daily caps."""
    serving = Deployment.objects.filter(model=OuterRef("model"), enabled=True, endpoint__enabled=True)
    plain, adapted = serving.filter(adapter__isnull=True), serving.filter(adapter=OuterRef("adapter"))
    return ContestantRevision.objects.filter(
        Q(Exists(plain), adapter__isnull=True) | Q(Exists(adapted), adapter__isnull=False)
    )


@admin.register(Contestant)
class ContestantAdmin(AuditedAdmin):
    form = ContestantForm
    inlines = [RevisionInline]
    list_display = ["name", "organisation", "visibility", "sampling_weight", "is_served", "demo"]
    list_filter = ["visibility", "demo", "imported", "open_weights"]
    search_fields = ["name", "slug", "organisation", "codename"]
    prepopulated_fields = {"slug": ["name"]}
    readonly_fields = ["demo", "imported"]
    actions = ["retire"]
    fieldsets = [
        (None, {"fields": NAMED}),
        (_("On the board"), {"fields": SHOWN}),
        (_("What it is told (a change makes a new revision; old battles keep theirs)"), {"fields": TOLD}),
        (_("Facts"), {"fields": [*FACTS, "demo", "imported"]}),
    ]

    def audited_fields(self, row: Contestant) -> dict[str, Any]:
        """The contestant and what it is told."""
        current = registry.current_revision(row)
        told = {"revision": current.number, **current.told()} if current else {}
        return super().audited_fields(row) | told

    def get_queryset(self, request: HttpRequest) -> QuerySet[Contestant]:
        current = served_revisions().filter(contestant=OuterRef("pk"), current=True)
        return super().get_queryset(request).annotate(served=Exists(current))

    @admin.display(description=_("served"), boolean=True)
    def is_served(self, contestant: Contestant) -> bool:
        return contestant.served  # type: ignore[attr-defined]

    def has_delete_permission(self, request: HttpRequest, obj: Contestant | None = None) -> bool:
        return False  # votes stand on it; retire it instead

    def save_model(self, request: HttpRequest, obj: Contestant, form: Any, change: bool) -> None:
        before = registry.current_revision(obj) if change else None
        revision = registry.save(obj, form.told())
        if before is not None and revision != before:
            held = _("Revision %(number)s holds from the next battle on.") % {"number": revision.number}
            self.message_user(request, held)
        if not self.get_queryset(request).get(pk=obj.pk).served:  # type: ignore[attr-defined]
            unserved = _("Nothing serves %(model)s yet: add a deployment, or it will not be drawn.")
            self.message_user(request, unserved % {"model": revision.model}, messages.WARNING)

    @admin.action(description=_("Retire: draw no more"), permissions=["change"])
    def retire(self, request: HttpRequest, queryset: QuerySet[Contestant]) -> None:
        for contestant in queryset:
            registry.retire(contestant)
        text = ngettext(
            "%(n)d contestant retired; its votes and its page stay.",
            "%(n)d contestants retired; their votes and pages stay.",
            len(queryset),
        )
        self.message_user(request, text % {"n": len(queryset)})


@admin.register(PairWeight)
class PairWeightAdmin(ReadOnlyAdmin):
    list_display = ["first", "second", "weight", "sampler", "updated_at"]
    list_select_related = ["first", "second"]
    ordering = ["-weight"]
