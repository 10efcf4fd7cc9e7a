"""Pages of the operator's own words, and the switches of the site."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from arena import pages
from arena.admin.audited import AuditedAdmin
from arena.admin.readonly import ReadOnlyAdmin, ReadOnlyInline
from arena.models import Page, PageVersion, SiteConfig


class PageForm(forms.ModelForm):
    """A page's title and the text of its newest version."""

    text = forms.CharField(
        max_length=pages.MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 30, "cols": 100}),
        help_text=_("Markdown. A change is a new version; a new version of the terms asks every visitor again."),
    )
    language = forms.ChoiceField(choices=settings.LANGUAGES, help_text=_("Which language the text is written in."))

    class Meta:
        model = Page
        fields = ["slug", "title"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        newest = None if self.instance._state.adding else self.instance.versions.first()
        if newest is not None:
            self.initial = {"text": newest.text, "language": newest.language, **self.initial}


class VersionInline(ReadOnlyInline):
    model = PageVersion
    verbose_name_plural = _("versions")
    fields = readonly_fields = ("number", "language", "published_at")


@admin.register(Page)
class PageAdmin(AuditedAdmin):
    form = PageForm
    list_display = ["slug", "title"]
    fields = ["slug", "title", "language", "text"]
    inlines = [VersionInline]

    def audited_fields(self, row: Page) -> dict[str, Any]:
        """The page and its newest version, which stays readable in full under that number."""
        newest = row.versions.first()
        names = ("number", "language", "text")
        return super().audited_fields(row) | ({name: getattr(newest, name) for name in names} if newest else {})

    def get_readonly_fields(self, request: HttpRequest, obj: Page | None = None) -> list[str]:
        return ["slug"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Page | None = None) -> bool:
        return False  # consents point at its versions

    def save_model(self, request: HttpRequest, obj: Page, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        pages.publish(obj.slug, form.cleaned_data["text"], form.cleaned_data["language"])


@admin.register(PageVersion)
class PageVersionAdmin(ReadOnlyAdmin):
    list_display = ["page", "number", "language", "published_at"]
    list_filter = ["page"]
    list_select_related = ["page"]
    ordering = ["page", "-number"]


@admin.register(SiteConfig)
class SiteConfigAdmin(AuditedAdmin):
    list_display = ["__str__", "battles_paused", "board_source"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SiteConfig | None = None) -> bool:
        return False
