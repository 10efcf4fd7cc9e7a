"""The recovery code: made and shown once, opens my battles elsewhere, and cannot be guessed."""

import re

import pytest

from arena import consent, recovery, visitors
from arena.errors import Refused
from arena.models import Visitor
from tests import factories
from tests.arena.views_help import Person, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def body(response) -> str:
    return response.content.decode()


@pytest.fixture
def person() -> Person:
    return Person()


def mark_of(person: Person) -> str:
    """What the form says that the new code replaces."""
    return re.search(r'name="instead_of" value="(\w+)"', body(person.get("/me/data/"))).group(1)


def code_of(person: Person) -> str:
    page = body(person.post("/me/code/", instead_of=mark_of(person)))
    return re.search(r"<output[^>]*>([A-Z2-7-]+)</output>", page).group(1)


def test_a_code_has_160_bits_and_is_stored_hashed_and_shown_once(person: Person) -> None:
    code = code_of(person)
    assert re.fullmatch(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){7}", code)
    person.visitor.refresh_from_db()
    assert re.fullmatch(r"[0-9a-f]{64}", person.visitor.recovery_hash)
    for path in ("/me/data/", "/me/", "/me/export.json"):
        assert code not in str(person.get(path).content if path != "/me/export.json" else "")
    assert "You have one" in body(person.get("/me/data/"))


@pytest.mark.parametrize(
    "typed", [str, str.lower, lambda code: code.replace("-", " "), lambda code: f"  {code.replace('-', '')}\n"]
)
def test_it_opens_my_battles_on_another_browser(person: Person, typed) -> None:
    battle = person.ready()
    other = Person(agreed=False)
    response = other.post("/me/recover/", code=typed(code_of(person)))
    assert (response.status_code, response["Location"]) == (303, "/me/")
    assert visitors.read_cookie(response.cookies[visitors.COOKIE].value) == person.visitor.pk
    assert other.get(url(battle)).status_code == 200
    assert other.post(url(battle, "vote/"), choice="a", turn=1).status_code == 303
    assert consent.current(person.visitor) is not None and person.get(url(battle)).status_code == 200


def test_what_the_other_browser_was_before_stays_stored(person: Person) -> None:
    other = Person()
    battle = other.ready()
    back = code_of(other)
    other.post("/me/recover/", code=code_of(person))
    assert other.get(url(battle)).status_code == 404
    other.post("/me/recover/", code=back)
    assert other.get(url(battle)).status_code == 200


def test_a_reload_of_the_page_with_the_code_makes_no_other(person: Person) -> None:
    form = {"instead_of": mark_of(person)}
    assert person.post("/me/code/", **form).status_code == 200
    kept = Visitor.objects.get(pk=person.visitor.pk).recovery_hash
    for sent in (form, {}, {"instead_of": "Ä" * 16}):
        again = person.post("/me/code/", **sent)
        assert again.status_code == 409 and "was shown already" in body(again) and "<output" not in body(again)
    assert Visitor.objects.get(pk=person.visitor.pk).recovery_hash == kept
    assert mark_of(person) in body(again), "the page that says so has the form that makes another one"
    assert code_of(person)


def test_two_forms_at_once_make_one_code(person: Person) -> None:
    late = Visitor.objects.get(pk=person.visitor.pk)
    mark = recovery.mark(late)
    code = recovery.make(Visitor.objects.get(pk=late.pk), mark)
    with pytest.raises(Refused):
        recovery.make(late, mark)
    assert recovery.visitor_of(code) == late


def test_a_new_code_replaces_the_old_one(person: Person) -> None:
    old, new = code_of(person), code_of(person)
    other = Person(agreed=False)
    assert other.post("/me/recover/", code=old).status_code == 404
    assert other.post("/me/recover/", code=new).status_code == 303


@pytest.mark.parametrize(
    "code", ["", "x", "A" * 32, "AAAA-" * 8, "\x00", "Ä" * 32, "A" * 5000, "' OR 1=1 --", "٣" * 32]
)
def test_wrong_codes_open_nothing_and_say_so(person: Person, code: str) -> None:
    code_of(person)
    other = Person(agreed=False)
    response = other.post("/me/recover/", code=code)
    assert response.status_code == 404 and "This code opens nothing here" in body(response)
    assert visitors.COOKIE not in response.cookies


def test_digits_that_no_code_has_are_read_as_the_letters_they_look_like() -> None:
    visitor = factories.visitor()
    plain = recovery.make(visitor, recovery.mark(visitor))
    assert recovery.visitor_of(plain.replace("O", "0").replace("I", "1").replace("B", "8")) == visitor


def test_guessing_is_limited_by_address_and_costs_no_prompts(settings) -> None:
    settings.LIMIT_PREFIX_BURST, settings.LIMIT_PREFIX_PER_MINUTE = 3, 1
    statuses = [Person(agreed=False).post("/me/recover/", code="A" * 32).status_code for _ in range(5)]
    assert statuses == [404, 404, 404, 429, 429]
    factories.ring()
    assert Person().start().status_code == 303
    response = Person(agreed=False).post("/me/recover/", code="A" * 32)
    assert int(response["Retry-After"]) > 1


def test_it_needs_the_form_of_this_site(person: Person) -> None:
    for path in ("/me/recover/", "/me/code/", "/me/publishing/", "/me/delete/"):
        assert person.raw.post(path, {"sure": "1"}).status_code == 403
    for path in ("/me/recover/", "/me/code/", "/me/publishing/"):
        assert person.get(path).status_code == 405


def test_the_old_cookie_and_the_old_code_are_strangers(person: Person) -> None:
    person.ready()
    cookie, code = person.raw.cookies[visitors.COOKIE].value, code_of(person)
    person.post("/me/delete/", sure="1")
    person.raw.cookies[visitors.COOKIE] = cookie
    assert "nothing is stored about it" in body(person.get("/me/data/"))
    assert Person(agreed=False).post("/me/recover/", code=code).status_code == 404
