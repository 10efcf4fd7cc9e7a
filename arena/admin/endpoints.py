"""The admin of endpoints, deployments and adapters. It lives here because `inference` knows nothing of the audit trail."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from arena import audit
from arena.admin.audited import AuditedAdmin
from arena.admin.readonly import ReadOnlyAdmin
from inference import spending
from inference.addresses import is_local
from inference.forms import BOUNDS, SPOKEN, EndpointForm
from inference.models import Adapter, Deployment, EngineEndpoint, Spend
from inference.sealed import WrongSealKey

DONE = {
    "load": _("%(adapter)s is loaded on %(endpoint)s."),
    "unload": _("%(adapter)s is gone from %(endpoint)s."),
}


def test_replies(
    model_admin: "admin.ModelAdmin", request: HttpRequest, deployments: QuerySet[Deployment]
) -> HttpResponse | None:
    """Stream a short reply from each deployment and show what came of it."""
    from inference.probe import AT_ONCE, probe_all  # aiohttp is loaded by who streams, not by every web process
    from inference.targets import target_of

    targets, names = [], {}
    for deployment in deployments.select_related("endpoint")[:AT_ONCE]:
        names[deployment.pk] = str(deployment)
        try:
            targets.append(target_of(deployment))
        except (WrongSealKey, OSError) as error:
            model_admin.message_user(request, f"{deployment}: {error}", messages.ERROR)
    if not targets:
        model_admin.message_user(request, _("Nothing to test: add a deployment of a model first."), messages.WARNING)
        return None
    results = [(names[result.target.deployment_id], result) for result in asyncio.run(probe_all(targets))]
    context = {
        **admin.site.each_context(request),
        "title": _("Test reply"),
        "results": results,
        "opts": model_admin.opts,
    }
    return TemplateResponse(request, "admin/test_reply.html", context)


class DeploymentInline(admin.TabularInline):
    model = Deployment
    extra = 0
    fields = ["model", "adapter", "upstream_name", "priority", "price_in", "price_out", "enabled"]
    show_change_link = True


@admin.register(EngineEndpoint)
class EndpointAdmin(AuditedAdmin):
    form = EndpointForm
    list_display = ["name", "kind", "base_url", "has_key", "in_flight", "enabled", "spent_today"]
    list_filter = ["kind", "enabled"]
    search_fields = ["name", "base_url"]
    inlines = [DeploymentInline]
    actions = ["stream_a_test_reply"]
    reading_actions = frozenset({"stream_a_test_reply"})
    fieldsets = [
        (None, {"fields": ["name", "kind", "base_url", "key", "clear_key", "enabled", "daily_cap"]}),
        (_("What it understands"), {"fields": SPOKEN}),
        (_("Bounds"), {"fields": BOUNDS}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[EngineEndpoint]:
        return super().get_queryset(request).with_spent(spending.today())  # type: ignore[attr-defined]

    @admin.display(description=_("spent today / cap"), ordering="spent")
    def spent_today(self, endpoint: EngineEndpoint) -> str:
        """In the currency of the prices; marked when nothing more is sent there today."""
        spent, cap = endpoint.spent or Decimal(0), endpoint.daily_cap  # type: ignore[attr-defined]
        if cap is None:
            return f"{spent:.2f} / –"
        figures = {"spent": f"{spent:.2f}", "cap": f"{cap:.2f}"}
        return (_("%(spent)s / %(cap)s, used up") if spent >= cap else _("%(spent)s / %(cap)s")) % figures

    @admin.display(description=_("key"), boolean=True)
    def has_key(self, endpoint: EngineEndpoint) -> bool:
        return bool(endpoint.sealed_key)

    def get_readonly_fields(self, request: HttpRequest, obj: EngineEndpoint | None = None) -> list[str]:
        return ["name"] if obj else []

    def save_model(self, request: HttpRequest, obj: EngineEndpoint, form: ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if obj.sealed_key and obj.base_url.startswith("http://") and not is_local(obj.base_url):
            self.message_user(request, _("The key travels unencrypted: use https:// if you can."), messages.WARNING)

    @admin.action(description=_("Stream a test reply"), permissions=["change"])
    def stream_a_test_reply(self, request: HttpRequest, queryset: QuerySet[EngineEndpoint]) -> HttpResponse | None:
        return test_replies(self, request, Deployment.objects.filter(endpoint__in=queryset))


@admin.register(Deployment)
class DeploymentAdmin(AuditedAdmin):
    list_display = ["upstream_name", "model", "adapter", "endpoint", "priority", "price_in", "price_out", "enabled"]
    list_filter = ["enabled", "endpoint"]
    list_select_related = ["endpoint", "adapter"]
    search_fields = ["model", "upstream_name"]
    actions = ["stream_a_test_reply"]
    reading_actions = frozenset({"stream_a_test_reply"})

    @admin.action(description=_("Stream a test reply"), permissions=["change"])
    def stream_a_test_reply(self, request: HttpRequest, queryset: QuerySet[Deployment]) -> HttpResponse | None:
        return test_replies(self, request, queryset)


@admin.register(Adapter)
class AdapterAdmin(AuditedAdmin):
    list_display = ["name", "base_model", "path"]
    search_fields = ["name", "base_model"]
    actions = ["load", "unload"]

    def get_readonly_fields(self, request: HttpRequest, obj: Adapter | None = None) -> list[str]:
        return ["name"] if obj else []

    @admin.action(
        description=_("Load into the engines of its base model, and list as a contestant"), permissions=["change"]
    )
    def load(self, request: HttpRequest, queryset: QuerySet[Adapter]) -> None:
        from arena import adapters

        self._on_engines(request, queryset, "load", lambda endpoint, name: adapters.load(endpoint, name, replace=True))

    @admin.action(description=_("Unload from the engines of its base model"), permissions=["change"])
    def unload(self, request: HttpRequest, queryset: QuerySet[Adapter]) -> None:
        from arena import adapters

        self._on_engines(request, queryset, "unload", adapters.unload)

    def _on_engines(
        self, request: HttpRequest, chosen: QuerySet[Adapter], verb: str, do: Callable[[EngineEndpoint, str], object]
    ) -> None:
        """Tell what became of each adapter on each engine; what was done leaves its trail."""
        from arena.adapters import engines_of  # aiohttp is loaded by who streams, not by every web process
        from inference.adapter_calls import AdapterRefused

        for adapter in chosen:
            endpoints = engines_of(adapter)
            if not endpoints:
                said = _("%(adapter)s: no enabled endpoint serves %(model)s.")
                self.message_user(
                    request, said % {"adapter": adapter.name, "model": adapter.base_model}, messages.WARNING
                )
            for endpoint in endpoints:
                try:
                    do(endpoint, adapter.name)
                except (AdapterRefused, ValidationError, WrongSealKey) as error:
                    why = "; ".join(error.messages) if isinstance(error, ValidationError) else str(error)
                    self.message_user(request, f"{adapter.name}, {endpoint.name}: {why}", messages.ERROR)
                    continue
                audit.record(request.user, verb, adapter, after={"endpoint": endpoint.name})
                self.message_user(request, DONE[verb] % {"adapter": adapter.name, "endpoint": endpoint.name})


@admin.register(Spend)
class SpendAdmin(ReadOnlyAdmin):
    list_display = ["day", "endpoint", "cost", "requests", "estimated", "tokens_in", "tokens_out"]
    list_filter = ["endpoint"]
    date_hierarchy = "day"
    ordering = ["-day", "endpoint"]
