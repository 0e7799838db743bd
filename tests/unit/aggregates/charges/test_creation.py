"""Creating charges: everything wrong with a request at once, all of a request or nothing of it (lifecycles §2, §14)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aggregates.charges import decisions
from aggregates.charges.facts import HeldKey
from aggregates.charges.intent import (
    ChargeType,
    FeatureRef,
    ManualBasis,
    SubscriptionRef,
    TaxConfig,
)
from aggregates.charges.requests import Bounds, NewPurchase, RequestedSettlement
from aggregates.journal.chart import TaxBehavior
from aggregates.lifecycle import Status
from aggregates.rating.prices import (
    Discounts,
    FlatPrice,
    PackagePrice,
    PercentageDiscount,
    Tier,
    TieredPrice,
    UnitConfig,
    UnitPrice,
)
from aggregates.values.decimals import ONE, ZERO
from aggregates.values.errors import (
    FeatureNotFound,
    MeterNotFound,
    ReferenceInUse,
    TaxCodeNotFound,
    ValidationFailed,
)
from aggregates.values.money import FIAT, Currency
from aggregates.values.period import instant, timestamp
from tests.support.charging import FEATURE, World, new_purchase, new_usage, usage_terms

USD = FIAT["USD"]
TOKENS = Currency("TOKENS", 3, "cur-tokens")
MANUAL = ManualBasis(fiat_currency=USD, rate=Decimal("0.5"))


def bounds(from_: str, to: str) -> Bounds:
    return Bounds(timestamp(from_), timestamp(to))


def findings_of(*requests: Any, world: World | None = None) -> list[tuple[str, str]]:
    """Path and code of everything found; nothing may have been written."""
    world = world or World()
    with pytest.raises(ValidationFailed) as refused:
        world.create(*requests)
    assert world.log == []
    return [(finding.path, finding.code) for finding in refused.value.findings]


def test_a_usage_charge_is_created_and_waits_for_its_period() -> None:
    """U1; `advance_after` is set at creation, the departure of lifecycles §14.1."""
    world = World()

    [charge] = world.create(new_usage(unique_reference_id="ref", annotations={"team": "a"}))

    state = world.charge(charge)
    assert world.names() == ["ChargeCreated"]
    assert (state.status, state.charge_type) == (Status.CREATED, ChargeType.USAGE_BASED)
    assert state.advance_after == instant("2026-01-01")
    assert (state.intent_version, state.intent.override, state.runs) == (1, None, ())
    assert state.identity.annotations == {"team": "a"}


def test_a_purchase_is_created_and_due_at_once() -> None:
    """X1; decision 26."""
    world = World()

    [charge] = world.create(new_purchase(), at="2025-12-01T10:00:00.5Z")

    state = world.charge(charge)
    assert (state.status, state.charge_type) == (Status.CREATED, ChargeType.CREDIT_PURCHASE)
    assert state.advance_after == instant("2025-12-01T10:00:00Z")


def test_what_is_absent_takes_its_default() -> None:
    """Full and billing period are the service period, invoice_at is its end."""
    world = World()
    [charge] = world.create(new_usage())

    periods = world.layer(charge).periods

    assert periods.full_service_period == periods.billing_period == periods.service_period
    assert periods.invoice_at == periods.service_period.to


def test_everything_wrong_with_all_intents_is_told_at_once_by_index() -> None:
    """lifecycles §2.5, R-12, R-10: each finding names the field that is actually wrong."""
    backwards = usage_terms("2026-02-01", "2026-01-01", price=FlatPrice(amount=ONE))
    nameless = new_purchase("0.001", "external", rate="-1", name=" ", priority=0)

    found = findings_of(new_usage(), new_usage(backwards, customer=""), nameless)

    assert found == [
        ("intents[1].customer", "required"),
        ("intents[1].service_period", "period_backwards"),
        ("intents[1].full_service_period", "period_backwards"),
        ("intents[1].billing_period", "period_backwards"),
        ("intents[1].price", "price_flat_for_usage"),
        ("intents[2].name", "required"),
        ("intents[2].credit_amount", "not_positive"),
        ("intents[2].priority", "out_of_range"),
        ("intents[2].settlement.cost_basis.rate", "not_positive"),
    ]


EMPTY_CODE = TaxConfig(behavior=TaxBehavior.INCLUSIVE)

REFUSED_USAGE = [
    ({"terms": usage_terms("2026-01-01", "2026-01-01")}, "service_period", "period_empty"),
    ({"terms": usage_terms("2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00.9Z")}, "service_period", "period_empty"),
    ({"terms": usage_terms(price=UnitPrice(amount=-ONE))}, "price.amount", "price_amount_negative"),
    ({"terms": usage_terms(price=TieredPrice(mode="volume"))}, "price.tiers", "tiers_empty"),
    (
        {"terms": usage_terms(price=PackagePrice(amount=ONE, quantity_per_package=ZERO))},
        "price.quantity_per_package",
        "package_size_not_positive",
    ),
    (
        {"terms": usage_terms(discounts=Discounts(percentage=PercentageDiscount(percentage=Decimal(101))))},
        "discounts.percentage",
        "percentage_discount_invalid_value",
    ),
    (
        {"terms": usage_terms(unit_config=UnitConfig(operation="divide", conversion_factor=ZERO))},
        "unit_config.conversion_factor",
        "unit_config_invalid",
    ),
    ({"feature": FeatureRef()}, "feature", "feature_ambiguous"),
    ({"feature": FeatureRef(id=FEATURE.id, key=FEATURE.key)}, "feature", "feature_ambiguous"),
    ({"feature": FeatureRef(key=" ")}, "feature", "required"),
    ({"unique_reference_id": ""}, "unique_reference_id", "required"),
    (
        {"subscription": SubscriptionRef(subscription_id="s", phase_id="", item_id="i")},
        "subscription",
        "incomplete",
    ),
    ({"currency": Currency("XYZ", 2)}, "currency", "currency_not_found"),
    ({"currency": Currency("USD", 3)}, "currency", "currency_not_found"),
    ({"currency": Currency("TOKENS", 19, "t")}, "currency", "out_of_range"),
    ({"tax": EMPTY_CODE}, "tax_config", "incomplete"),
    ({"cost_basis": MANUAL, "currency": TOKENS}, "cost_basis", "not_allowed"),
    ({"cost_basis": MANUAL}, "cost_basis", "not_allowed"),
]


@pytest.mark.parametrize(("fields", "path", "code"), REFUSED_USAGE)
def test_each_wrong_field_of_usage_is_found(fields: dict[str, Any], path: str, code: str) -> None:
    assert findings_of(new_usage(**fields)) == [(f"intents[0].{path}", code)]


ACCEPTED_USAGE: list[dict[str, Any]] = [
    {"terms": usage_terms("2026-01-01T00:00:00.9Z", "2026-01-01T00:00:01.1Z")},
    {"terms": usage_terms(price=UnitPrice(amount=ZERO))},
    {"terms": usage_terms(price=TieredPrice(mode="volume", tiers=(Tier(unit_price=ONE),)))},
    {"terms": usage_terms(discounts=Discounts(percentage=PercentageDiscount(percentage=Decimal(100))))},
    {"terms": usage_terms(full_service_period=bounds("2026-01-01", "2026-01-01"))},
    {"feature": FeatureRef(id=FEATURE.id)},
    {"subscription": SubscriptionRef(subscription_id="s", phase_id="p", item_id="i")},
    {"currency": TOKENS},
    {"currency": FIAT["JPY"]},
    {"tax": TaxConfig(tax_code_id="vat", behavior=TaxBehavior.EXCLUSIVE)},
]


@pytest.mark.parametrize("fields", ACCEPTED_USAGE)
def test_what_lies_just_beside_a_refusal_is_created(fields: dict[str, Any]) -> None:
    assert len(World().create(new_usage(**fields))) == 1


def test_a_time_without_a_zone_is_a_finding() -> None:
    naive = timestamp("2026-01-01").replace(tzinfo=None)
    terms = usage_terms(invoice_at=naive)

    assert findings_of(new_usage(terms)) == [("intents[0].invoice_at", "invalid_time")]


# ── tax, features ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_tax_code_has_an_error_of_its_own_that_names_the_input() -> None:
    world = World()
    world.facts = {"tax_codes": {"vat"}}

    with pytest.raises(TaxCodeNotFound) as refused:
        world.create(new_usage(), new_usage(tax=TaxConfig(tax_code_id="nope")))

    [finding] = refused.value.findings
    assert (finding.path, finding.code) == ("intents[1].tax_config.tax_code_id", "tax_code_not_found")
    world.create(new_usage(tax=TaxConfig(tax_code_id="vat")))


def test_an_absent_tax_code_is_filled_from_the_default_of_the_type() -> None:
    """lifecycles §2.2: the invoicing default for usage, the credit-grant default for purchases."""
    world = World()
    world.facts = {
        "invoicing_tax": TaxConfig(tax_code_id="vat", behavior=TaxBehavior.EXCLUSIVE),
        "credit_grant_tax": TaxConfig(tax_code_id="none"),
    }

    usage, kept, purchase = world.create(
        new_usage(tax=TaxConfig(behavior=TaxBehavior.INCLUSIVE)),
        new_usage(tax=TaxConfig(tax_code_id="own")),
        new_purchase(),
    )

    assert world.charge(usage).identity.tax == TaxConfig(tax_code_id="vat", behavior=TaxBehavior.INCLUSIVE)
    assert world.charge(kept).identity.tax == TaxConfig(tax_code_id="own")
    assert world.charge(purchase).identity.tax == TaxConfig(tax_code_id="none")


def test_an_unknown_feature_is_reported_before_a_missing_meter() -> None:
    """lifecycles §14.1(2), over all intents together."""
    world = World()
    world.features["storage"] = type(FEATURE)(id=FEATURE.id, key="storage")
    no_meter, unknown = new_usage(feature=FeatureRef(key="storage")), new_usage(feature=FeatureRef(key="nope"))

    with pytest.raises(FeatureNotFound):
        world.create(no_meter, unknown)
    with pytest.raises(MeterNotFound):
        world.create(new_usage(), no_meter)
    assert world.log == []


def test_invalid_intents_are_reported_before_an_unknown_feature() -> None:
    world = World()

    with pytest.raises(ValidationFailed):
        world.create(new_usage(feature=FeatureRef(key="nope")), new_usage(customer=""))


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_repeated_creation_names_the_charge_that_exists() -> None:
    """lifecycles §14.2, for unique references and for purchase keys."""
    world = World()
    usage, purchase = world.create(new_usage(unique_reference_id="a"), new_purchase(key="a"))

    for request, kind, holder in (
        (new_usage(unique_reference_id="a"), "unique_reference_id", usage),
        (new_purchase(key="a"), "purchase_key", purchase),
    ):
        with pytest.raises(ReferenceInUse) as refused:
            world.create(request)
        assert (refused.value.family, refused.value.kind, refused.value.charge_id) == ("conflict", kind, holder)


def test_two_requests_of_one_creation_may_not_ask_for_one_key() -> None:
    world = World()

    with pytest.raises(ReferenceInUse):
        world.create(new_usage(unique_reference_id="a"), new_usage(unique_reference_id="a"))
    assert world.log == []
    assert len(world.create(new_usage(unique_reference_id="a"), new_usage(unique_reference_id="b"))) == 2


def test_the_keys_a_request_asks_for_can_be_looked_up_before() -> None:
    assert decisions.keys_wanted(new_usage(unique_reference_id="a")) == (HeldKey("acme", "unique_reference_id", "a"),)
    assert decisions.keys_wanted(new_purchase(key="k")) == (HeldKey("acme", "purchase_key", "k"),)
    assert decisions.keys_wanted(new_usage()) == ()


# ── purchases ────────────────────────────────────────────────────────────────────────────────────────────────


def settled(kind: str, **more: Any) -> dict[str, Any]:
    return {"settlement": RequestedSettlement(type=kind, **more)}


REFUSED_PURCHASES: list[tuple[NewPurchase, list[tuple[str, str]]]] = [
    (new_purchase("0"), [("credit_amount", "not_positive")]),
    (new_purchase("0.004"), [("credit_amount", "not_positive")]),
    (new_purchase("-1"), [("credit_amount", "not_positive")]),
    (new_purchase("NaN"), [("credit_amount", "number_out_of_range")]),
    (new_purchase("1" + "0" * 24), [("credit_amount", "number_out_of_range")]),
    (new_purchase(priority=0), [("priority", "out_of_range")]),
    (new_purchase(feature_filters=()), [("feature_filters", "empty")]),
    (new_purchase(feature_filters=("a", " ")), [("feature_filters", "blank")]),
    (new_purchase(feature_filters=("a", "a")), [("feature_filters", "duplicate")]),
    (new_purchase(key=""), [("key", "required")]),
    (new_purchase(expires_at=timestamp("2025-12-01")), [("expires_at", "expires_before_effective")]),
    (
        new_purchase(effective_at=timestamp("2025-01-01"), expires_at=timestamp("2025-06-01")),
        [("expires_at", "expires_in_the_past")],
    ),
    (
        new_purchase(effective_at=timestamp("2026-02-01"), expires_at=timestamp("2026-02-01T00:00:00.9Z")),
        [("expires_at", "expires_before_effective")],
    ),
    (
        new_purchase(service_period=bounds("2026-01-01", "2026-02-01")),
        [("service_period", "period_not_empty")],
    ),
    (new_purchase(**settled("gift")), [("settlement.type", "unknown")]),
    (new_purchase(**settled("promotional", cost_basis=MANUAL)), [("settlement.cost_basis", "not_allowed")]),
    (
        new_purchase(**settled("promotional", initial_status="settled")),
        [("settlement.initial_status", "not_allowed")],
    ),
    (new_purchase(**settled("external")), [("settlement.cost_basis", "required")]),
    (new_purchase("10", "external", initial_status="paid"), [("settlement.initial_status", "unknown")]),
    (new_purchase("10", "external", initial_status=""), [("settlement.initial_status", "unknown")]),
    (new_purchase("10", "external", availability=""), [("settlement.availability", "unknown")]),
    (new_purchase("10", "external", rate="0"), [("settlement.cost_basis.rate", "not_positive")]),
    (new_purchase("10", "external", rate="-0.5"), [("settlement.cost_basis.rate", "not_positive")]),
    (new_purchase("10", "invoice", rate="0"), [("settlement.cost_basis.rate", "not_positive")]),
    (new_purchase("10", "external", currency=TOKENS), [("settlement.cost_basis", "cost_basis_mode")]),
    (new_purchase(**settled("external", cost_basis=MANUAL)), [("settlement.cost_basis", "cost_basis_mode")]),
]


@pytest.mark.parametrize(("request_", "expected"), REFUSED_PURCHASES)
def test_each_wrong_field_of_a_purchase_is_found(request_: NewPurchase, expected: list[tuple[str, str]]) -> None:
    """lifecycles §2.3, §12.1; R-01: a rate of zero is not "free", for external and for invoice settlement alike."""
    assert findings_of(request_) == [(f"intents[0].{path}", code) for path, code in expected]


ACCEPTED_PURCHASES = [
    new_purchase("0.005"),
    new_purchase("9" * 24),
    new_purchase(priority=1),
    new_purchase(feature_filters=("b", "a")),
    new_purchase(expires_at=timestamp("2025-12-01T00:00:01Z")),
    new_purchase(effective_at=timestamp("2026-02-01"), expires_at=timestamp("2026-02-01T00:00:01Z")),
    new_purchase(service_period=bounds("2026-01-01", "2026-01-01")),
    new_purchase("10", "external", initial_status="authorized"),
    new_purchase("10", currency=TOKENS, **settled("external", cost_basis=MANUAL)),
]


@pytest.mark.parametrize("request_", ACCEPTED_PURCHASES)
def test_what_lies_just_beside_a_refused_purchase_is_created(request_: NewPurchase) -> None:
    assert len(World().create(request_)) == 1


def test_the_text_of_a_refused_rate_says_what_it_must_be() -> None:
    with pytest.raises(ValidationFailed, match="rate must be positive"):
        World().create(new_purchase("10", "external", rate="0"))


def test_the_credit_amount_is_rounded_and_the_filters_are_sorted() -> None:
    world = World()
    [charge] = world.create(new_purchase("100.125", feature_filters=("b", "a")))

    base: Any = world.charge(charge).intent.base

    assert (base.credit_amount, base.feature_filters) == (Decimal("100.13"), ("a", "b"))


def test_effective_at_pins_all_periods_of_a_purchase() -> None:
    """lifecycles §2.3."""
    world = World()
    [charge] = world.create(new_purchase(effective_at=timestamp("2026-04-18T09:30:00.7Z")))

    periods = world.charge(charge).intent.base.periods

    moment = instant("2026-04-18T09:30:00Z")
    assert {periods.service_period, periods.full_service_period, periods.billing_period} == {periods.service_period}
    assert (periods.service_period.from_, periods.service_period.to, periods.invoice_at) == (moment, moment, moment)


# ── what is kept beside the events ───────────────────────────────────────────────────────────────────────────


def test_the_index_row_says_what_the_worker_has_to_know() -> None:
    world = World()
    [charge] = world.create(new_usage())

    row = decisions.index_row(world.charge(charge))

    assert row == ("test", "acme", charge, "usage_based", "created", instant("2026-01-01"))


def test_a_charge_holds_its_keys_from_creation_to_deletion_and_no_other_event_touches_them() -> None:
    world = World()
    [charge] = world.create(new_usage(unique_reference_id="a"))
    for moment in ("2026-01-05", "2026-02-01", "2026-02-03T00:01Z"):
        world.advance(charge, moment)
    world.delete(charge, "2026-02-04", source="api")
    world.clear_override(charge, "2026-02-05")

    state = world.charge(charge)
    changes = [
        (type(record.body).__name__, reserved.owner)
        for record in world.records[charge]
        for reserved in decisions.reservations(state, record.body)
    ]

    assert changes == [("ChargeCreated", charge), ("ChargeDeleted", None), ("OverrideCleared", charge)]
