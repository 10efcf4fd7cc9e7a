"""A person at the site, for the tests of the views: a client with CSRF enforced, a visitor cookie and consent."""

from typing import Any
from uuid import uuid4

from django.http import HttpResponse
from django.middleware.csrf import _get_new_csrf_string
from django.test import Client

from arena import consent, pages, visitors
from arena.models import Battle, SiteConfig, Visitor
from tests import factories

HTMX = {"HX-Request": "true"}


class Person:
    """One browser. `post` sends the CSRF token as a form does; `raw` is the bare client."""

    def __init__(self, agreed: bool = True) -> None:
        pages.install()  # tests that commit have emptied the tables of what the migrations wrote
        SiteConfig.objects.get_or_create(pk=1)
        self.raw = Client(enforce_csrf_checks=True, raise_request_exception=False)
        self.token = _get_new_csrf_string()
        self.raw.cookies["csrftoken"] = self.token
        self.visitor: Visitor | None = None
        if agreed:
            self.become(factories.visitor())

    def become(self, visitor: Visitor) -> None:
        self.visitor = visitor
        consent.agree(visitor, publish=False)
        self.raw.cookies[visitors.COOKIE] = visitors._signer.sign(visitor.pk.hex)

    def get(self, path: str, htmx: bool = False) -> HttpResponse:
        return self.raw.get(path, headers=HTMX if htmx else {})

    def post(self, path: str, htmx: bool = False, **data: Any) -> HttpResponse:
        return self.raw.post(path, data | {"csrfmiddlewaretoken": self.token}, headers=HTMX if htmx else {})

    def start(self, prompt: str = "Why is the sky blue?", htmx: bool = False, **data: Any) -> HttpResponse:
        return self.post("/battles/", htmx=htmx, prompt=prompt, **({"key": str(uuid4())} | data))

    def ready(self, **outcomes: Any) -> Battle:
        """A battle of this person that waits for the vote."""
        return factories.ready(self.visitor, **outcomes)

    def voted(self, choice: str = "a") -> Battle:
        battle = self.ready()
        assert self.post(url(battle, "vote/"), choice=choice, turn=1).status_code == 303
        battle.refresh_from_db()
        return battle


def url(battle: Battle, verb: str = "") -> str:
    return f"/b/{battle.pk}/{verb}"
