"""Whether there is something to decide, on pages where staff begins: the admin's and the desk's first page."""

from typing import Any

from django import template

from ranking.models import Suspicion

register = template.Library()


@register.simple_tag
def open_suspicions(user: Any) -> int:
    """How many, for those who may see them; 0 for others."""
    return Suspicion.objects.open().count() if user.has_perm("ranking.view_suspicion") else 0
