"""Consent: to the terms of today, asked again when they change; publishing is separate."""

import pytest

from arena import consent, pages
from arena.models import Consent
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def first_versions() -> None:
    pages.install()


def test_a_stranger_and_a_new_visitor_have_not_agreed() -> None:
    assert consent.current(None) is None
    assert consent.current(factories.visitor()) is None


def test_agreeing_records_the_version_and_publishing_is_optional() -> None:
    visitor = factories.visitor()
    given = consent.agree(visitor, publish=False)
    assert given.terms == pages.current("terms")
    assert consent.current(visitor) == given and not given.publish


def test_new_terms_ask_again_and_the_old_consent_stays() -> None:
    visitor = factories.visitor()
    old = consent.agree(visitor, publish=True)
    pages.publish("terms", "Other rules.")
    assert consent.current(visitor) is None
    new = consent.agree(visitor, publish=False)
    assert new.terms.number == old.terms.number + 1
    assert set(visitor.consents.all()) == {old, new}


def test_changing_the_mind_about_publishing_is_a_new_record_and_repeating_is_not() -> None:
    visitor = factories.visitor()
    first = consent.agree(visitor, publish=False)
    assert consent.agree(visitor, publish=False) == first
    second = consent.agree(visitor, publish=True)
    assert consent.current(visitor) == second
    assert Consent.objects.filter(visitor=visitor).count() == 2


def test_other_pages_do_not_ask_again() -> None:
    visitor = factories.visitor()
    given = consent.agree(visitor, publish=False)
    pages.publish("privacy", "More words.")
    assert consent.current(visitor) == given
