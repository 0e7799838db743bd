"""Credit purchases: granted, paid for, voided (lifecycles §11-§13)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from aggregates.charges import decisions
from aggregates.charges.events import CostBasisResolved, CreditsGranted, PaymentAuthorized, PurchaseVoided
from aggregates.charges.facts import CostBasisEntry, CostBasisNeeded
from aggregates.charges.intent import DynamicBasis, ManualBasis, PinnedBasis
from aggregates.charges.payments import require_authorizable, settleable
from aggregates.charges.purchase_state import PaymentStatus
from aggregates.charges.requests import Bounds, RequestedSettlement
from aggregates.lifecycle import Status
from aggregates.values.errors import (
    CannotSettleNotAuthorizedPayment,
    CostBasisCurrencyMismatch,
    CostBasisFiatMismatch,
    CostBasisNotEffective,
    FiatAmountRoundsToZero,
    LedgerError,
    NothingToVoid,
    PaymentAlreadyAuthorized,
    PaymentAlreadySettled,
    PreconditionFailed,
    UnsupportedOperation,
    ValidationFailed,
)
from aggregates.values.money import FIAT, Currency
from aggregates.values.period import instant, timestamp
from tests.support.charging import World, new_purchase, new_usage

USD, EUR = FIAT["USD"], FIAT["EUR"]
TOKENS = Currency("TOKENS", 3, "cur-tokens")
GEMS = Currency("GEMS", 0, "cur-gems")
NOW = "2025-12-01"


def bought(world: World, amount: str = "100", **more: Any) -> UUID:
    """An external purchase, granted."""
    [charge] = world.create(new_purchase(amount, "external", **more), at=NOW)
    world.advance(charge, NOW)
    return charge


def visited(world: World) -> list[Status]:
    """The statuses the last command came through."""
    moves = [getattr(event, "moved", None) for event in world.events]
    return [move.status_to for move in moves if move is not None]


# ── promotional ──────────────────────────────────────────────────────────────────────────────────────────────


def test_promotional_credit_is_granted_and_final_in_one_step() -> None:
    """lifecycles §11.1."""
    world = World()
    [charge] = world.create(new_purchase("100"), at=NOW)

    world.advance(charge, NOW)

    assert world.names() == ["CreditGranted", "CreditsGranted", "ChargeFinalized"]
    assert visited(world) == [Status.FINAL]
    state = world.charge(charge)
    assert state.grant is not None
    assert (state.grant.amount, state.payment, state.advance_after) == (Decimal(100), None, None)


def test_credit_with_an_effective_time_is_booked_then() -> None:
    world = World()
    [charge] = world.create(new_purchase("25", effective_at=timestamp("2026-04-18T09:30Z")), at=NOW)

    world.advance(charge, NOW)

    granted = next(event for event in world.events if isinstance(event, CreditsGranted))
    assert granted.booked_at == granted.effective_at == instant("2026-04-18T09:30:00Z")
    assert world.charge(charge).status is Status.FINAL


def test_a_grant_takes_over_open_advance_first() -> None:
    """lifecycles §11.1: advance 8, purchase 12: 4 are left to spend."""
    world = World()
    [usage] = world.create(new_usage())
    world.use(8)
    world.advance(usage, "2026-02-01")

    [charge] = world.create(new_purchase("12"), at="2026-02-02")
    world.advance(charge, "2026-02-02")
    world.void(charge, "2026-02-03")

    voided = next(event for event in world.events if isinstance(event, PurchaseVoided))
    assert voided.amount == 4


def test_credit_is_not_granted_twice() -> None:
    world = World()
    [charge] = world.create(new_purchase("100"), at=NOW)
    world.advance(charge, NOW)
    granted = [record for record in world.log if isinstance(record.body, CreditsGranted)]
    world.log = [*world.log[:1], *granted]
    world.rewrite(charge, granted[0].body, granted[0].body)

    with pytest.raises(PreconditionFailed):
        world.advance(charge, NOW)


# ── external ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("initial_status", "came_through", "payment"),
    [
        ("created", [Status.INITIAL_CREDIT_GRANT, Status.PAYMENT_PENDING], None),
        (None, [Status.INITIAL_CREDIT_GRANT, Status.PAYMENT_PENDING], None),
        (
            "authorized",
            [Status.INITIAL_CREDIT_GRANT, Status.PAYMENT_PENDING, Status.PAYMENT_AUTHORIZED],
            PaymentStatus.AUTHORIZED,
        ),
        (
            "settled",
            [
                Status.INITIAL_CREDIT_GRANT,
                Status.PAYMENT_PENDING,
                Status.PAYMENT_PAID_AND_AUTHORIZED,
                Status.PAYMENT_SETTLED,
                Status.FINAL,
            ],
            PaymentStatus.SETTLED,
        ),
    ],
)
def test_the_initial_status_is_reported_once_the_credit_is_granted(
    initial_status: str | None, came_through: list[Status], payment: PaymentStatus | None
) -> None:
    """R-05, R-14: settled is "authorise, then settle", with both facts; created, or nothing, reports nothing."""
    world = World()

    charge = bought(world, "100.123", initial_status=initial_status)

    assert visited(world) == came_through
    state = world.charge(charge)
    assert (state.payment.status if state.payment else None) == payment
    if state.payment is not None:
        assert state.payment.fiat_amount == Decimal("50.06")
    assert world.advance(charge, "2026-01-01") is False


def test_an_external_purchase_is_paid_step_by_step() -> None:
    """X4, X7, X8; each step continues with what the one before left (R-20)."""
    world = World()
    charge = bought(world, "30")

    world.pay(charge, "authorized", "2025-12-02")
    assert world.names() == ["PurchasePaymentAuthorized", "PaymentAuthorized"]
    assert world.charge(charge).status is Status.PAYMENT_AUTHORIZED
    authorized = next(event for event in world.events if isinstance(event, PaymentAuthorized))
    assert (authorized.fiat_amount, authorized.fiat_currency) == (Decimal(15), USD)

    world.pay(charge, "paid", "2025-12-03")
    assert world.names() == ["PurchasePaymentSettled", "PaymentSettled", "ChargeFinalized"]
    payment = world.charge(charge).payment
    assert payment is not None
    assert (payment.authorized.at, payment.settled.at if payment.settled else None) == (
        timestamp("2025-12-02"),
        timestamp("2025-12-03"),
    )


def test_paid_from_pending_records_both_facts() -> None:
    """X5, X6."""
    world = World()
    charge = bought(world)

    world.pay(charge, "paid", "2025-12-02")

    assert [name for name in world.names("charge") if name.startswith("Payment")] == [
        "PaymentAuthorized",
        "PaymentSettled",
    ]
    assert world.charge(charge).status is Status.FINAL


@pytest.mark.parametrize(
    ("before", "step", "refusal"),
    [
        (["authorized"], "authorized", PaymentAlreadyAuthorized),
        (["authorized", "paid"], "authorized", PaymentAlreadyAuthorized),
        (["authorized", "paid"], "paid", PaymentAlreadySettled),
        (["paid"], "paid", PaymentAlreadySettled),
    ],
)
def test_a_payment_fact_that_exists_is_not_recorded_again(
    before: list[str], step: str, refusal: type[LedgerError]
) -> None:
    """lifecycles §13, R-08: nothing is appended, and the status is what it was."""
    world = World()
    charge = bought(world)
    for earlier in before:
        world.pay(charge, earlier, "2025-12-02")
    status, events = world.charge(charge).status, len(world.log)

    with pytest.raises(refusal):
        world.pay(charge, step, "2025-12-03")
    assert (world.charge(charge).status, len(world.log)) == (status, events)


def test_a_purchase_that_is_not_granted_waits_for_no_payment() -> None:
    world = World()
    [external, promotional] = world.create(new_purchase("10", "external"), new_purchase("10"), at=NOW)

    for charge in (external, promotional):
        for step in ("authorized", "paid"):
            with pytest.raises(UnsupportedOperation) as refused:
                world.pay(charge, step, NOW)
            assert (refused.value.trigger, refused.value.status) == (step, "created")


def test_final_lies_behind_the_settled_fact_and_nowhere_else() -> None:
    """R-07."""
    world = World()
    charge = bought(world)

    for moment in ("2026-01-01", "2030-01-01"):
        assert world.advance(charge, moment) is False
    assert world.charge(charge).status is Status.PAYMENT_PENDING


def test_the_table_of_payment_facts() -> None:
    """lifecycles §13, cell by cell, on the facts themselves (R-08)."""
    world = World()
    charge = bought(world)
    none = world.charge(charge)
    world.pay(charge, "authorized", NOW)
    authorized = world.charge(charge)
    world.pay(charge, "paid", NOW)
    settled = world.charge(charge)

    require_authorizable(none)
    assert settleable(authorized) == authorized.payment
    for state in (authorized, settled):
        with pytest.raises(PaymentAlreadyAuthorized):
            require_authorizable(state)
    with pytest.raises(CannotSettleNotAuthorizedPayment):
        settleable(none)
    with pytest.raises(PaymentAlreadySettled):
        settleable(settled)


def test_one_credit_at_half_a_cent_completes_its_whole_life() -> None:
    """R-23, lifecycles §12.3: money is rounded to its currency, 0.005 is 0.01."""
    world = World()
    charge = bought(world, "1", rate="0.005")

    world.pay(charge, "authorized", NOW)
    world.pay(charge, "paid", NOW)

    payment = world.charge(charge).payment
    assert payment is not None
    assert payment.fiat_amount == Decimal("0.01")
    assert world.charge(charge).status is Status.FINAL


def test_a_purchase_that_would_cost_nothing_is_refused_at_creation() -> None:
    """The departure of lifecycles §12.3: 1 credit at 0.004."""
    world = World()

    with pytest.raises(FiatAmountRoundsToZero):
        world.create(new_purchase("1", "external", rate="0.004"))
    assert world.log == []


# ── cost basis in a custom currency ──────────────────────────────────────────────────────────────────────────

ENTRY = CostBasisEntry(
    id=UUID(int=77),
    currency=TOKENS.key,
    fiat_currency=USD,
    rate=Decimal("0.25"),
    effective_from=instant("2025-11-01"),
)


def external(basis: Any, **more: Any) -> dict[str, Any]:
    settlement = RequestedSettlement(type="external", initial_status="authorized", cost_basis=basis)
    return {"currency": TOKENS, "settlement": settlement} | more


@pytest.mark.parametrize(
    ("basis", "fiat_amount"),
    [
        (ManualBasis(fiat_currency=USD, rate=Decimal("0.5")), "50"),
        (PinnedBasis(fiat_currency=USD, currency_cost_basis_id=ENTRY.id), "25"),
    ],
)
def test_manual_and_pinned_rates_are_resolved_at_creation(basis: Any, fiat_amount: str) -> None:
    """lifecycles §12.1."""
    world = World()
    world.facts = {"cost_basis_entries": {ENTRY.id: ENTRY}}
    [charge] = world.create(new_purchase("100", **external(basis)), at=NOW)
    assert world.charge(charge).resolved_cost_basis is not None

    world.advance(charge, NOW)

    payment = world.charge(charge).payment
    assert payment is not None
    assert (payment.fiat_amount, payment.fiat_currency) == (Decimal(fiat_amount), USD)
    assert "CostBasisResolved" not in world.names()


@pytest.mark.parametrize(
    ("currency", "fiat", "refusal"),
    [(GEMS, USD, CostBasisCurrencyMismatch), (TOKENS, EUR, CostBasisFiatMismatch), (GEMS, EUR, ValidationFailed)],
)
def test_a_pinned_entry_belongs_to_both_currencies(
    currency: Currency, fiat: Currency, refusal: type[ValidationFailed]
) -> None:
    world = World()
    world.facts = {"cost_basis_entries": {ENTRY.id: ENTRY}}
    basis = PinnedBasis(fiat_currency=fiat, currency_cost_basis_id=ENTRY.id)

    with pytest.raises(refusal) as refused:
        world.create(new_purchase("100", **external(basis, currency=currency)))
    assert type(refused.value) is refusal
    assert world.log == []


def test_a_pinned_entry_has_to_exist() -> None:
    with pytest.raises(ValidationFailed) as refused:
        World().create(
            new_purchase("1", **external(PinnedBasis(fiat_currency=USD, currency_cost_basis_id=UUID(int=1))))
        )
    assert refused.value.codes == ("cost_basis_not_found",)


def dynamic(world: World, **more: Any) -> UUID:
    """A purchase of 100 tokens for January at the rate of the day."""
    january = Bounds(timestamp("2026-01-01"), timestamp("2026-01-01"))
    request = new_purchase("100", **external(DynamicBasis(fiat_currency=USD), service_period=january), **more)
    [charge] = world.create(request, at=NOW)
    return charge


def test_a_dynamic_rate_is_looked_up_for_the_start_of_the_period_and_written_once() -> None:
    """lifecycles §12.2: whatever happens to the rate table later."""
    world = World()
    charge = dynamic(world)
    needed = decisions.cost_basis_needed(world.charge(charge))
    assert needed == CostBasisNeeded(currency=TOKENS.key, fiat_currency="USD", at=instant("2026-01-01"))

    world.facts = {"cost_bases": {needed: ENTRY}}
    world.advance(charge, "2026-01-05")

    [resolved] = [event.resolved for event in world.events if isinstance(event, CostBasisResolved)]
    assert (resolved.rate, resolved.resolved_at, resolved.cost_basis_id) == (
        Decimal("0.25"),
        instant("2026-01-01"),
        ENTRY.id,
    )
    assert decisions.cost_basis_needed(world.charge(charge)) is None
    world.facts = {}
    world.pay(charge, "paid", "2026-01-06")
    assert world.charge(charge).status is Status.FINAL


def test_without_a_rate_in_force_nothing_is_granted_and_the_purchase_stays_created() -> None:
    """lifecycles §12.1."""
    world = World()
    charge = dynamic(world)
    events = len(world.log)

    with pytest.raises(CostBasisNotEffective):
        world.advance(charge, "2026-01-05")
    state = world.charge(charge)
    assert (state.status, state.grant, state.resolved_cost_basis) == (Status.CREATED, None, None)
    assert len(world.log) == events


def test_a_dynamic_rate_that_leaves_nothing_to_pay_stops_the_grant() -> None:
    """lifecycles §12.3."""
    world = World()
    charge = dynamic(world)
    needed = decisions.cost_basis_needed(world.charge(charge))
    assert needed is not None
    world.facts = {"cost_bases": {needed: type(ENTRY)(**{**_fields(ENTRY), "rate": Decimal("0.00001")})}}

    with pytest.raises(FiatAmountRoundsToZero):
        world.advance(charge, "2026-01-05")


def _fields(entry: CostBasisEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}


# ── voiding ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_voiding_takes_back_what_is_left_and_keeps_the_status() -> None:
    """lifecycles §11.4: what was consumed stays consumed."""
    world = World()
    [charge] = world.create(new_purchase("100"), at=NOW)
    world.advance(charge, NOW)
    [usage] = world.create(new_usage())
    world.use(30)
    world.advance(usage, "2026-02-01")

    world.void(charge, "2026-03-02T00:00:00.5Z")

    assert world.names() == ["CreditVoided", "PurchaseVoided"]
    state = world.charge(charge)
    assert state.voided is not None
    assert (state.status, state.voided.amount) == (Status.FINAL, Decimal(70))
    assert state.voided.at == timestamp("2026-03-02T00:00:00.5Z")
    assert world.credits(usage) == [["30"]]


def test_voiding_again_answers_with_the_first_time_and_books_nothing() -> None:
    world = World()
    [charge] = world.create(new_purchase("100"), at=NOW)
    world.advance(charge, NOW)
    world.void(charge, "2026-03-01T01:00Z")

    assert world.void(charge, "2026-03-01T02:00Z") is False
    assert world.events == []
    voided = world.charge(charge).voided
    assert voided is not None
    assert voided.at == timestamp("2026-03-01T01:00Z")


def test_a_purchase_with_nothing_left_cannot_be_voided() -> None:
    """Fully consumed, expired or not yet effective: a conflict, and nothing recorded."""
    world = World()
    expired, consumed, scheduled = world.create(
        new_purchase("100", expires_at=timestamp("2026-01-02")),
        new_purchase("30", priority=1),
        new_purchase("10", effective_at=timestamp("2027-01-01")),
        at=NOW,
    )
    for charge in (expired, consumed, scheduled):
        world.advance(charge, NOW)
    [usage] = world.create(new_usage())
    world.use(30)
    world.advance(usage, "2026-02-01")
    events = len(world.log)

    for charge in (expired, consumed, scheduled):
        with pytest.raises(NothingToVoid):
            world.void(charge, "2026-03-01")
    assert len(world.log) == events


def test_only_a_purchase_is_voided_or_paid_for() -> None:
    world = World()
    [usage] = world.create(new_usage())

    with pytest.raises(UnsupportedOperation):
        world.void(usage, "2026-01-01")
    with pytest.raises(UnsupportedOperation):
        world.pay(usage, "paid", "2026-01-01")


def test_nothing_of_a_purchase_needs_a_meter() -> None:
    world = World()
    charge = bought(world)

    turn = world.turn(charge, "2026-01-01")

    assert decisions.quantities_needed(turn.draft, charge, turn.facts) == ()
    assert decisions.features_needed(world.charge(charge)) == ()
    assert decisions.streams_needed(world.charge(charge)) == (world.charge(charge).pool,)
    assert world.charge(charge).payment is None
