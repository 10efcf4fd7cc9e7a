"""The language switch of the footer."""

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from arena.views.errors import error_page


@csrf_exempt  # a token in every footer would keep every page out of caches; a forged post does no more than switch the language
@require_POST
def choose(request: HttpRequest) -> HttpResponseBase:
    """Remember the language and go back to the page; 400 for a language that the site does not speak."""
    if request.POST.get("language") not in dict(settings.LANGUAGES):
        return error_page(request, 400)
    return set_language(request)
