"""Which language a page is in: the visitor's choice (a cookie), else what the browser asks for, else English."""

from django.http import HttpRequest, HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language, get_language_info, gettext


class LanguageMiddleware(LocaleMiddleware):
    """Django's, and pages say that they depend on the cookie: else a cache would hand one person's language to everybody."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response = super().process_response(request, response)
        html = response.headers.get("Content-Type", "").startswith("text/html")
        if html or response.status_code == 304:  # which has lost its type, and repeats what the page said
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
        return response


def foreign_name(code: str) -> str:
    """What the language `code` is called in the reader's own; "" when it is the reader's own."""
    if code == get_language():
        return ""
    try:
        name = get_language_info(code)["name"]
    except KeyError:
        return code
    return gettext(name)  # Django's catalogues have the names
