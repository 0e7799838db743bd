"""The catalogue as it is listed: what keys name today and named before, with rates, by namespace and in pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aggregates.values.errors import AlreadyExists, ValidationFailed
from aggregates.values.period import timestamp
from ledger import facade
from ledger.facade import Ledger
from ledger.ports import no_probe
from projections.catalogue import PROJECTIONS
from projections.catalogue_entries import CATALOGUE_ENTRIES
from tests.application.scenes import JANUARY, at, opened

NEW_YEAR, LATER = JANUARY


def beside(ledger: Ledger, namespace: str) -> Ledger:
    """Another namespace of the same database."""
    other = Ledger(
        store=ledger.store,
        usage_store=ledger.usage_store,
        follower=ledger.follower,
        clock=ledger.clock,
        namespace=namespace,
        actor="api",
        probe=no_probe,
    )
    other.settings.establish(None)
    return other


def test_a_new_ledger_has_an_empty_catalogue(store_url: str) -> None:
    with opened(store_url) as ledger:
        for listed in (ledger.catalogue.meters, ledger.catalogue.features, ledger.catalogue.currencies):
            assert (listed().items, listed().next) == ((), None)


def test_meters_are_listed_by_key_as_they_are_defined(store_url: str) -> None:
    with opened(store_url) as ledger:
        people = ledger.catalogue.define_meter("people", "unique_count", property="who")
        at(ledger, LATER)
        bytes_ = ledger.catalogue.define_meter("bytes", "max", decimals=3)

        listed = ledger.catalogue.meters().items

        assert [(each.id, each.key, each.since) for each in listed] == [
            (bytes_.id, "bytes", timestamp(LATER)),
            (people.id, "people", timestamp(NEW_YEAR)),
        ]
        assert [(each.aggregation, each.decimals, each.property) for each in listed] == [
            ("max", 3, None),
            ("unique_count", 0, "who"),
        ]


def test_the_same_meter_again_and_another_of_its_key_change_nothing_in_the_list(store_url: str) -> None:
    with opened(store_url) as ledger:
        ledger.catalogue.define_meter("calls")
        before = ledger.catalogue.meters()
        at(ledger, LATER)

        ledger.catalogue.define_meter("calls")
        with pytest.raises(AlreadyExists):
            ledger.catalogue.define_meter("calls", "max")

        assert ledger.catalogue.meters() == before
        assert len(before.items) == 1


def test_a_feature_defined_anew_is_listed_as_it_is_today_and_when_asked_as_it_was(store_url: str) -> None:
    with opened(store_url) as ledger:
        for key in ("calls", "minutes"):
            ledger.catalogue.define_meter(key)
        by_call = ledger.catalogue.define_feature("phone", name="Phone", meter="calls")
        ledger.catalogue.define_feature("seat")
        at(ledger, LATER)
        by_minute = ledger.catalogue.define_feature("phone", name="Phone", meter="minutes")

        today = ledger.catalogue.features().items
        ever = ledger.catalogue.features(replaced=True).items

        assert [(each.key, each.name, each.meter, each.replaced_at) for each in today] == [
            ("phone", "Phone", "minutes", None),
            ("seat", "seat", None, None),
        ]
        assert [each.id for each in today] == [ledger.catalogue.feature(key).id for key in ("phone", "seat")]
        assert [(each.id, each.meter, each.since, each.replaced_at) for each in ever[:2]] == [
            (by_call.id, "calls", timestamp(NEW_YEAR), timestamp(LATER)),
            (by_minute.id, "minutes", timestamp(LATER), None),
        ]
        assert [each.meter_id for each in ever[:2]] == [by_call.meter_id, by_minute.meter_id]
        assert ever[2:] == today[1:]


def test_currencies_are_listed_with_the_rates_that_they_have(store_url: str) -> None:
    with opened(store_url) as ledger:
        tokens = ledger.catalogue.define_currency("TOK", precision=0)
        ledger.catalogue.define_currency("GEM", precision=2)
        for rate, fiat_currency, effective_from in (
            ("0.20", "USD", "2026-03-01"),
            ("0.10", "USD", "2026-01-01"),
            ("15", "JPY", "2026-02-01"),
        ):
            ledger.catalogue.define_cost_basis(
                "TOK", rate=rate, fiat_currency=fiat_currency, effective_from=effective_from
            )

        gems, listed = ledger.catalogue.currencies().items

        assert (gems.code, gems.precision, gems.rates) == ("GEM", 2, ())
        assert (str(listed.id), listed.code, listed.precision) == (tokens.id, "TOK", 0)
        assert [(each.fiat_currency.code, str(each.rate)) for each in listed.rates] == [
            ("JPY", "15"),
            ("USD", "0.10"),
            ("USD", "0.20"),
        ]
        assert listed.rates == ledger.catalogue.cost_bases("TOK")


def test_two_namespaces_have_catalogues_of_their_own(store_url: str) -> None:
    with opened(store_url) as ledger:
        other = beside(ledger, "other")
        ours, theirs = ledger.catalogue, other.catalogue
        for catalogue, rate in ((ours, "0.10"), (theirs, "0.30")):
            catalogue.define_meter("calls")
            catalogue.define_feature("calls", meter="calls")
            catalogue.define_currency("TOK", precision=0)
            catalogue.define_cost_basis("TOK", rate=rate, effective_from=NEW_YEAR)
        theirs.define_feature("calls", name="Calls of theirs", meter="calls")
        theirs.define_meter("bytes")

        assert [each.key for each in ours.meters().items] == ["calls"]
        assert [each.key for each in theirs.meters().items] == ["bytes", "calls"]
        (feature,) = ours.features(replaced=True).items
        assert (feature.name, feature.replaced_at) == ("calls", None)
        assert [each.name for each in theirs.features(replaced=True).items] == ["calls", "Calls of theirs"]
        for catalogue, rate in ((ours, "0.10"), (theirs, "0.30")):
            (tokens,) = catalogue.currencies().items
            assert [str(each.rate) for each in tokens.rates] == [rate]


def five_of_each(ledger: Ledger) -> None:
    """Meters, features and currencies a to e; each feature is defined twice."""
    for key in "daceb":
        ledger.catalogue.define_meter(key)
        ledger.catalogue.define_feature(key, meter=key)
        ledger.catalogue.define_feature(key, name=f"{key}, anew", meter=key)
        ledger.catalogue.define_currency(f"TOK{key.upper()}", precision=0)


LISTS: dict[str, Callable[[Ledger], Callable[..., Any]]] = {
    "meters": lambda ledger: ledger.catalogue.meters,
    "features": lambda ledger: ledger.catalogue.features,
    "currencies": lambda ledger: ledger.catalogue.currencies,
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_come_in_pages(store_url: str, name: str) -> None:
    with opened(store_url) as ledger:
        five_of_each(ledger)
        listed = LISTS[name](ledger)

        first = listed(limit=2)
        second = listed(limit=2, after=first.next)
        last = listed(limit=2, after=second.next)

        assert [len(page.items) for page in (first, second, last)] == [2, 2, 1]
        assert last.next is None
        assert (*first.items, *second.items, *last.items) == listed().items
        assert [getattr(each, "key", None) or each.code[-1].lower() for each in listed().items] == list("abcde")


def test_a_page_may_end_between_two_definitions_of_one_key(store_url: str) -> None:
    with opened(store_url) as ledger:
        five_of_each(ledger)

        first = ledger.catalogue.features(replaced=True, limit=3)
        rest = ledger.catalogue.features(replaced=True, after=first.next)

        assert [each.name for each in (*first.items, *rest.items)[:4]] == ["a", "a, anew", "b", "b, anew"]
        assert len(first.items) + len(rest.items) == 10


@pytest.mark.parametrize("name", LISTS)
def test_a_cursor_that_is_none_and_a_limit_that_is_none_are_refused(name: str) -> None:
    with opened("memory:") as ledger:
        listed = LISTS[name](ledger)

        for wrong in ({"after": "nothing"}, {"limit": 0}, {"limit": 1001}):
            with pytest.raises(ValidationFailed):
                listed(**wrong)


def test_a_list_is_as_fresh_as_it_is_asked_to_be(store_url: str) -> None:
    with opened(store_url) as ledger:
        ledger.catalogue.define_meter("calls")
        position = ledger.store.head()

        assert ledger.catalogue.meters(stale=True).items == ()
        ledger.projections.catch_up()
        assert len(ledger.catalogue.meters(at_least=position).items) == 1
        assert len(ledger.catalogue.meters(stale=True).items) == 1


def test_the_view_is_rebuilt_and_verified_like_every_other(store_url: str) -> None:
    with opened(store_url) as ledger:
        five_of_each(ledger)
        ledger.catalogue.define_cost_basis("TOKA", rate="0.10", effective_from=NEW_YEAR)
        before = [listed(ledger)() for listed in LISTS.values()]

        assert CATALOGUE_ENTRIES.name in ledger.projections.versions()
        assert ledger.projections.verify(CATALOGUE_ENTRIES.name).differences == ()
        (rebuilt,) = ledger.projections.rebuild([CATALOGUE_ENTRIES.name])
        assert rebuilt.comparison is not None
        assert rebuilt.comparison.equal
        # 5 meters, 10 features, 5 currencies, a rate, and 15 keys that remember what they name
        assert rebuilt.comparison.rows == 36
        assert [listed(ledger)() for listed in LISTS.values()] == before
        assert ledger.audit.verify().sound


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_ledger_from_before_there_was_the_view_gets_it_when_it_is_first_asked(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url: str = request.getfixturevalue(f"{kind}_url")
    with monkeypatch.context() as before:
        before.setattr(facade, "PROJECTIONS", tuple(each for each in PROJECTIONS if each is not CATALOGUE_ENTRIES))
        with opened(url) as ledger:
            five_of_each(ledger)
            ledger.projections.catch_up()
            assert CATALOGUE_ENTRIES.name not in {each.view for each in ledger.projections.status()}

    with opened(url) as ledger:
        assert ledger.audit.verify().sound
        assert [each.key for each in ledger.catalogue.meters().items] == list("abcde")
        assert ledger.projections.verify(CATALOGUE_ENTRIES.name).differences == ()
