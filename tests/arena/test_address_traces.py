"""A real installation keeps no address: not in its database, not in Valkey, not in its logs."""

from arena import address_keys
from arena.models import Turn
from tests.person import Page, Person
from tests.stack import Stack
from tests.traces import everything_in, everything_logged, everything_stored

CANARIES = ["198.51.100.237", "2001:db8:77:88:1:2:3:4"]
TRACES = [
    "198.51.100.2",
    "2001:db8:77:88",
    "20010db800770088",
    "c63364ed",
    "6.6.6.6",
]  # c63364ed: the first in hexadecimal


class Proxied(Person):
    """Somebody behind a proxy, who also wrote a line of his own into the forwarded header."""

    def __init__(self, url: str, address: str) -> None:
        super().__init__(url)
        self.address = address

    def request(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> Page:
        return super().request(method, path, form, **headers, **{"X-Forwarded-For": f"6.6.6.6, {self.address}"})


def test_no_raw_address_is_stored_cached_or_logged(servers, django_db_blocker) -> None:
    env = {"AGON_TRUSTED_PROXIES": "127.0.0.0/8", "AGON_LOG_LEVEL": "DEBUG"}
    with django_db_blocker.unblock(), Stack(env=env) as stack, stack.orm():
        for address in CANARIES:
            person = Proxied(stack.url, address)
            battle = person.start("Name three uses of a rope.")
            person.watch(battle)
            assert person.vote(battle).status == 303
            assert person.post(f"{battle}report/", side="a", turn="1", reason="other").status == 303
            assert person.post("/battles/", prompt="", key="x").status == 400
            assert person.get("/no/such/page").status == 404
            assert person.post("/me/recover/", code="A" * 32).status == 404
            person.post("/admin/login/", username="root", password="wrong")
            assert person.get("/me/export.json").status == 200
        groups = set(Turn.objects.exclude(group="").values_list("group", flat=True))
        assert len(groups) == 2 and len({address_keys.tag_of(group) for group in groups}) == 1
        found = [*everything_stored(), *everything_in(stack.valkey()), *everything_logged(stack)]
    places = {place for place, _text in found}
    assert {"arena_turn", "web.log"} <= places
    assert any(place.startswith("limit:prefix:") for place in places)
    for place, text in found:
        for trace in TRACES:
            assert trace not in text.lower(), f"{trace} in {place}: {text[:200]}"
