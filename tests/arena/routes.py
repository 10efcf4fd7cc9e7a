"""Every address of the site, found in the URL configuration, with values for its blanks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

BLANK = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")
GROUP = re.compile(r"\(\?P<(?P<name>\w+)>(?:[^()\[\]]|\[[^\]]*\])*\)")
STREAM = "b/<uuid:battle>/turns/<int:number>/stream"  # served in front of Django


@dataclass(frozen=True)
class Route:
    """`pattern` as it is written, with the names of its blanks."""

    pattern: str
    regex: bool

    @property
    def blanks(self) -> list[str]:
        found = (GROUP if self.regex else BLANK).finditer(self.pattern)
        return [match["name"] for match in found]

    def path(self, values: dict[str, str]) -> str:
        """The address with these values, 1 for a whole number; raises KeyError for a blank without one."""
        if not self.regex:
            return "/" + BLANK.sub(lambda match: "1" if match["kind"] == "int" else values[match["name"]], self.pattern)
        filled = GROUP.sub(lambda match: values[match["name"]], self.pattern)
        return "/" + re.sub(r"\\(.)", r"\1", filled.replace("^", "").removesuffix("$"))

    @property
    def of_admin(self) -> bool:
        return self.pattern.startswith("admin/")


def every() -> list[Route]:
    return list(_walk(get_resolver().url_patterns, ""))


def _walk(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[Route]:
    for one in patterns:
        pattern = before + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from _walk(one.url_patterns, pattern)
        else:
            yield Route(pattern, isinstance(one.pattern, RegexPattern))


def admin_pages(add_and_change: bool = True) -> Iterator[str]:
    """List, form of a new row and page of the newest row, of every model in the admin."""
    for model in admin.site._registry:
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        yield base
        if add_and_change:
            yield f"{base}add/"
            row = model._default_manager.order_by("pk").last()
            assert row is not None, f"there is no {model.__name__} to look at"
            yield f"{base}{row.pk}/change/"
            yield f"{base}{row.pk}/history/"
