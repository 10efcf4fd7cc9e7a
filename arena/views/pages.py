"""The operator's own pages (/terms, /privacy, /about) and pages that have nothing to show yet."""

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from arena import languages, markdown
from arena.api import operations
from arena.models import PageVersion
from arena.views.access import Request


@require_safe
def page(request: Request, slug: str) -> HttpResponse:
    """The newest version, or the one that `?version=` names: consents point at versions, so old ones stay readable."""
    versions = PageVersion.objects.select_related("page").filter(page_id=slug).order_by("-number")
    wanted = request.GET.get("version", "")
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 6:
        versions = versions.filter(number=int(wanted))
    version = get_object_or_404(versions[:1])
    html = mark_safe(markdown.render(version.text))  # noqa: S308 - made safe by arena.markdown
    written = languages.foreign_name(version.language)
    return render(request, "pages/page.html", {"version": version, "html": html, "written": written})


@require_safe
def api(request: Request) -> HttpResponse:
    return render(request, "pages/api.html", {"operations": operations(), "settings": settings})


@require_safe
def without_slash(request: Request, page: str) -> HttpResponse:
    query = request.META.get("QUERY_STRING", "")
    return redirect(f"/{page}" + (f"?{query}" if query else ""), permanent=True)


@require_safe
def icon(request: Request) -> HttpResponse:
    return redirect(static("img/agon.svg"))
