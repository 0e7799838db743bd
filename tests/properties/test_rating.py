"""What always holds when one line is rated: identities, monotony, conservation, plain numbers (rating §3.3, §12)."""

from __future__ import annotations

import decimal
import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.rating import (
    Discounts,
    LineToRate,
    PercentageDiscount,
    Place,
    RatingArithmetic,
    TieredPrice,
    UnitConfig,
    UnitPrice,
    Usage,
    UsageDiscount,
    UsagePrice,
    rate,
)
from aggregates.rating.adjustments import converted, discount_usage, invoiced
from aggregates.rating.allocation import allocate_by_amount, allocate_by_weight
from aggregates.rating.wire import read_price, result_as_dict
from aggregates.values.decimals import exact
from aggregates.values.errors import ValidationFailed
from aggregates.values.money import FIAT, Currency
from aggregates.values.totals import sum_totals
from tests.support.rating import EVERY_PRICE, USD, decimals, discounts, prices, quantities, unit_configs

currencies = st.sampled_from([FIAT["JPY"], USD, FIAT["KWD"], Currency("CREDITS", 4, "c-1")])
places = st.sampled_from([Place(), Place(split=True, last=False), Place(split=True, first=False)])
arithmetics = st.sampled_from([RatingArithmetic.reference(), RatingArithmetic.exact()])


@given(
    price=prices(),
    off=discounts(),
    config=st.none() | unit_configs,
    quantity=quantities,
    currency=currencies,
    place=places,
    arithmetic=arithmetics,
)
def test_totals_follow_from_the_lines_and_are_rounded(  # noqa: PLR0917 - one parameter per thing drawn
    price: UsagePrice,
    off: Discounts,
    config: UnitConfig | None,
    quantity: Decimal,
    currency: Currency,
    place: Place,
    arithmetic: RatingArithmetic,
) -> None:
    found = rate(
        LineToRate(
            currency=currency,
            price=price,
            quantity=quantity,
            discounts=off,
            unit_config=config if price.converts_units else None,
            place=place,
        ),
        arithmetic,
    )

    assert found.totals == sum_totals([line.totals for line in found.lines])
    for line in found.lines:
        t = line.totals
        figures = (t.amount, t.charges_total, t.discounts_total, t.credits_total, t.total)
        assert t.reconciles
        assert all(currency.holds(figure) for figure in figures)
        assert t.amount == 0 or t.charges_total == 0
        assert t.amount + t.charges_total == currency.rounded(exact_product(line.per_unit_amount, line.quantity))
        if arithmetic == RatingArithmetic.reference():
            assert min(figures) >= 0


@exact
def exact_product(left: Decimal, right: Decimal) -> Decimal:
    return left * right


@given(price=prices(EVERY_PRICE.replace("volume", "")), off=discounts(), some=quantities, more=quantities)
def test_more_usage_never_costs_less_except_by_volume(
    price: UsagePrice, off: Discounts, some: Decimal, more: Decimal
) -> None:
    def total(quantity: Decimal) -> Decimal:
        line = LineToRate(currency=USD, price=price, quantity=quantity, discounts=off)
        return rate(line).totals.total

    assert total(some + more) >= total(some)


@given(price=prices("graduated", committed=False), cuts=st.lists(st.integers(0, 30), min_size=1, max_size=5))
def test_splits_of_a_graduated_period_bill_every_unit_once(price: UsagePrice, cuts: list[int]) -> None:
    """Whole cents and whole units, so that nothing is rounded away between the splits."""
    cents = in_cents(price)
    whole = rate(LineToRate(currency=USD, price=cents, quantity=Decimal(sum(cuts))))

    billed, before = Decimal(0), 0
    for i, quantity in enumerate(cuts):
        line = LineToRate(
            currency=USD,
            price=cents,
            quantity=Decimal(quantity),
            pre_line_quantity=Decimal(before),
            place=Place(split=True, first=i == 0, last=i == len(cuts) - 1),
        )
        billed += rate(line).totals.total
        before += quantity

    assert billed == whole.totals.total


def in_cents(price: UsagePrice) -> UsagePrice:
    def cents(amount: Decimal | None) -> Decimal | None:
        return None if amount is None else amount.quantize(Decimal("0.01"))

    assert isinstance(price, TieredPrice)
    tiers = [
        msgspec.structs.replace(tier, unit_price=cents(tier.unit_price), flat_price=cents(tier.flat_price))
        for tier in price.tiers
    ]
    return msgspec.structs.replace(price, tiers=tuple(tiers))


@given(price=prices(), off=discounts(), quantity=quantities)
def test_a_maximum_is_never_exceeded_and_a_minimum_always_reached(
    price: UsagePrice, off: Discounts, quantity: Decimal
) -> None:
    found = rate(LineToRate(currency=USD, price=price, quantity=quantity, discounts=off))
    usage = found.totals.total - found.totals.charges_total

    if price.maximum_amount is not None:
        assert usage <= USD.rounded(price.maximum_amount)
    if price.minimum_amount is not None:
        assert found.totals.total >= USD.rounded_down(price.minimum_amount)


@given(quantity=quantities, before=quantities, free=quantities)
def test_a_usage_discount_takes_off_exactly_what_it_records(quantity: Decimal, before: Decimal, free: Decimal) -> None:
    usage = Usage(quantity, before)

    left, records = discount_usage(usage, UsageDiscount(quantity=free, correlation_id="u"))

    now = sum((record.quantity for record in records), Decimal(0))
    assert left.quantity == quantity - now
    assert 0 <= now <= free
    assert left.pre_line_quantity == before - min(free, before)


@given(config=unit_configs, raw=decimals("-1000", "1000"))
def test_conversions_round_the_way_they_say(config: UnitConfig, raw: Decimal) -> None:
    unrounded, billed = converted(config, raw), invoiced(config, raw)
    step = Decimal(1).scaleb(-config.precision)

    if config.rounding == "none":
        assert billed == unrounded
    elif config.rounding == "ceiling":
        assert 0 <= billed - unrounded < step
    elif config.rounding == "floor":
        assert 0 <= unrounded - billed < step
    else:
        assert abs(billed - unrounded) * 2 <= step


amounts = st.integers(0, 10_000).map(lambda cents: Decimal(cents).scaleb(-2))


@given(amount=amounts, weights=st.lists(decimals("0.001", "100"), min_size=1, max_size=8))
def test_an_allocation_by_weight_sums_to_the_whole_and_is_fair_to_a_cent(
    amount: Decimal, weights: list[Decimal]
) -> None:
    parts = dict(allocate_by_weight(amount, list(enumerate(weights)), USD))

    assert sum(parts.values(), Decimal(0)) == amount
    for i, weight in enumerate(weights):
        assert abs(parts.get(i, Decimal(0)) - amount * weight / sum(weights)) < Decimal("0.0101")


@given(buckets=st.lists(amounts.filter(bool), min_size=1, max_size=8), share=st.integers(0, 100))
def test_an_allocation_by_amount_never_overfills_a_bucket(buckets: list[Decimal], share: int) -> None:
    amount = USD.rounded_down(sum(buckets, Decimal(0)) * share / 100)

    parts = dict(allocate_by_amount(amount, list(enumerate(buckets)), USD))

    assert sum(parts.values(), Decimal(0)) == amount
    assert all(part <= buckets[i] for i, part in parts.items())


@given(price=prices(), off=discounts(), quantity=decimals("0", "0.00001", places=12))
def test_no_exponent_and_no_negative_zero_goes_out(price: UsagePrice, off: Discounts, quantity: Decimal) -> None:
    found = rate(LineToRate(currency=USD, price=price, quantity=quantity, discounts=off))
    text = json.dumps(result_as_dict(found), default=str)

    numbers = [word for word in text.replace(",", " ").replace('"', " ").split() if word[-1].isdigit()]
    assert not [number for number in numbers if "E" in number.removeprefix("rateCardDiscount")]
    assert '"-0' not in text


extremes = st.sampled_from(
    [Decimal(text) for text in ("0", "0." + "0" * 39 + "1", "9" * 24, "9" * 24 + "." + "9" * 40, "0." + "3" * 40, "7")]
)


@given(
    quantity=extremes,
    amount=extremes,
    factor=extremes.filter(bool),
    operation=st.sampled_from(["multiply", "divide"]),
    rounding=st.sampled_from(["none", "ceiling", "half_up"]),
    percentage=st.sampled_from([Decimal("33." + "3" * 38), Decimal(100)]),
    maximum=st.none() | extremes,
    precision=st.integers(0, 12),
    arithmetic=arithmetics,
)
def test_the_largest_and_the_finest_numbers_are_rated_exactly(  # noqa: PLR0917 - one parameter per thing drawn
    quantity: Decimal,
    amount: Decimal,
    factor: Decimal,
    operation: str,
    rounding: str,
    percentage: Decimal,
    maximum: Decimal | None,
    precision: int,
    arithmetic: RatingArithmetic,
) -> None:
    """Everything that a price or a quantity may be stays inside the exact context, which refuses to round."""
    found = rate(
        LineToRate(
            currency=Currency("CREDITS", precision, "c-1"),
            price=UnitPrice(amount=amount, maximum_amount=maximum),
            quantity=quantity,
            unit_config=UnitConfig(operation=operation, conversion_factor=factor, rounding=rounding),
            discounts=Discounts(percentage=PercentageDiscount(percentage=percentage, correlation_id="p")),
        ),
        arithmetic,
    )

    assert found.totals.reconciles


def test_the_callers_decimal_context_does_not_matter() -> None:
    line = LineToRate(
        currency=USD, price=UnitPrice(amount=Decimal(10)), quantity=Decimal("123456789012345678901234567890.5")
    )

    with decimal.localcontext(prec=3):
        assert rate(line).totals.total == Decimal(1234567890123456789012345678905)


@pytest.mark.parametrize("bad", [0.1, True, "1e5x", "", None])
def test_only_an_exact_number_becomes_a_price(bad: object) -> None:
    with pytest.raises(ValidationFailed):
        read_price({"type": "unit", "amount": bad})
