"""What is wrong with a price when it is written down: every finding at once, each with a stable code (rating §13.1).

`validate_terms` checks the price, the discounts and the unit config of a charge together and is stricter than the
reference system where that is plainly wrong (W15, W16, W19, W21, W22): a charge holds valid prices by construction.
`validate_price(..., strict=False)` is the reference's own check, which graduated rating repeats.
"""

from __future__ import annotations

from decimal import Decimal
from typing import cast

import msgspec

from aggregates.rating.prices import (
    CEILING,
    DIVIDE,
    FLOOR,
    GRADUATED,
    HALF_UP,
    IN_ADVANCE,
    IN_ARREARS,
    MULTIPLY,
    NO_DISCOUNTS,
    UNROUNDED,
    VOLUME,
    Discounts,
    DynamicPrice,
    FlatPrice,
    GraduatedPercentagePrice,
    MatrixPrice,
    PackagePrice,
    PercentagePrice,
    Price,
    TieredPackagePrice,
    TieredPrice,
    UnitConfig,
    UnitPrice,
    UsagePrice,
)
from aggregates.values.decimals import LIMIT, decimal_places, text
from aggregates.values.errors import Findings

HUNDRED = Decimal(100)
MAX_PLACES = 40
MAX_UNIT_CONFIG_PRECISION = 2_147_483_647


def validate_terms(
    findings: Findings,
    price: Price,
    discounts: Discounts = NO_DISCOUNTS,
    unit_config: UnitConfig | None = None,
    *,
    under: str = "",
    events_metered: bool = False,
) -> None:
    """Note everything that is wrong with what a charge is to be rated by, under a path such as `intents[2]`.

    `events_metered` says that whoever rates the charge hands over its usage events; without them a price that looks at
    events is refused here, rather than when the first run is to be rated.
    """
    own = Findings()
    if price.needs_events and not events_metered:
        own.add("price", "price_needs_usage_events", "this price looks at each usage event; only sums are metered here")
    for part, path in ((price, "price"), (discounts, "discounts"), (unit_config, "unit_config")):
        if part is not None:
            _validate_numbers(part, path, own)
    validate_price(price, own, strict=True)
    validate_discounts(discounts, price, own, strict=True)
    validate_unit_config(unit_config, price, own)
    findings.extend(own.items, under)


def checked_terms(price: Price, discounts: Discounts = NO_DISCOUNTS, unit_config: UnitConfig | None = None) -> None:
    """Raise `ValidationFailed` with everything that is wrong; do nothing when nothing is."""
    findings = Findings()
    validate_terms(findings, price, discounts, unit_config)
    findings.raise_if_any()


def price_is_valid(price: Price) -> bool:
    """Whether the price passes the reference system's own check."""
    findings = Findings()
    validate_price(price, findings)
    return not findings.items


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────


def validate_price(price: Price, findings: Findings, *, path: str = "price", strict: bool = False) -> None:
    """Note what is wrong with a price. `strict` adds what the reference lets through although it is plainly wrong."""
    if isinstance(price, FlatPrice):
        _not_negative(price.amount, f"{path}.amount", "price_amount_negative", findings)
        if price.payment_term not in {"", IN_ADVANCE, IN_ARREARS}:
            findings.add(
                f"{path}.payment_term",
                "flat_payment_term_unsupported",
                f"a flat price is paid in_advance or in_arrears, not {price.payment_term!r}",
            )
    elif isinstance(price, UnitPrice):
        _not_negative(price.amount, f"{path}.amount", "price_amount_negative", findings)
    elif isinstance(price, PackagePrice):
        _not_negative(price.amount, f"{path}.amount", "price_amount_negative", findings)
        _positive(price.quantity_per_package, f"{path}.quantity_per_package", "package_size_not_positive", findings)
    elif isinstance(price, DynamicPrice):
        _not_negative(price.multiplier, f"{path}.multiplier", "price_multiplier_negative", findings)
    elif isinstance(price, TieredPrice):
        _validate_tiers(price, path, findings, strict=strict)
    else:
        _validate_further(price, path, findings, strict=strict)
    if isinstance(price, UsagePrice):
        _validate_commitments(price, path, findings, strict=strict)


def _validate_tiers(price: TieredPrice, path: str, findings: Findings, *, strict: bool) -> None:
    if price.mode not in {GRADUATED, VOLUME}:
        findings.add(f"{path}.mode", "tiered_mode_unsupported", f"tiers are graduated or volume, not {price.mode!r}")
    if not price.tiers:
        findings.add(f"{path}.tiers", "tiers_empty", "a tiered price needs tiers")
    open_ended = sum(tier.up_to_amount is None for tier in price.tiers)
    if price.tiers and not open_ended:
        findings.add(f"{path}.tiers", "tiers_without_open_end", "the last tier must have no up_to_amount")
    if strict and open_ended > 1:
        findings.add(f"{path}.tiers", "tiers_with_several_open_ends", "only one tier may have no up_to_amount")
    bounds: set[Decimal] = set()
    for i, tier in enumerate(price.tiers):
        where = f"{path}.tiers[{i}]"
        bound = tier.up_to_amount
        if bound is not None:
            if strict:
                _positive(bound, f"{where}.up_to_amount", "tier_bound_not_positive", findings)
            else:
                _not_negative(bound, f"{where}.up_to_amount", "tier_bound_negative", findings)
            if bound and bound in bounds:
                findings.add(
                    f"{where}.up_to_amount", "tier_bound_duplicate", f"two tiers end at {text(bound)}; remove one"
                )
            bounds.add(bound)
        if tier.flat_price is None and tier.unit_price is None:
            findings.add(where, "tier_without_price", "a tier needs a flat_price, a unit_price or both")
        if tier.flat_price is not None:
            _not_negative(tier.flat_price, f"{where}.flat_price", "price_amount_negative", findings)
        if tier.unit_price is not None:
            _not_negative(tier.unit_price, f"{where}.unit_price", "price_amount_negative", findings)


def _validate_commitments(price: UsagePrice, path: str, findings: Findings, *, strict: bool) -> None:
    minimum, maximum = price.minimum_amount, price.maximum_amount
    if minimum is not None:
        _not_negative(minimum, f"{path}.minimum_amount", "minimum_amount_negative", findings)
    if maximum is not None:
        _not_negative(maximum, f"{path}.maximum_amount", "maximum_amount_negative", findings)
    # The reference compares only where both are non-zero (W14): a maximum of 0 makes usage free, and then the
    # minimum is charged on top of it.
    comparable = minimum is not None and maximum is not None and (strict or bool(minimum and maximum))
    if comparable and minimum is not None and maximum is not None and minimum > maximum:
        findings.add(
            f"{path}.minimum_amount",
            "minimum_amount_above_maximum",
            f"the minimum {text(minimum)} is above the maximum {text(maximum)}",
        )


def _validate_further(price: Price, path: str, findings: Findings, *, strict: bool) -> None:
    """The prices beyond the specification's."""
    if isinstance(price, TieredPackagePrice):
        _positive(price.quantity_per_package, f"{path}.quantity_per_package", "package_size_not_positive", findings)
        _validate_tiers(price.as_graduated(), path, findings, strict=strict)
    elif isinstance(price, GraduatedPercentagePrice):
        _validate_tiers(price.as_graduated(), path, findings, strict=strict)
    elif isinstance(price, PercentagePrice):
        _not_negative(price.percentage, f"{path}.percentage", "price_percentage_negative", findings)
        for name in ("fixed_fee", "minimum_per_event", "maximum_per_event"):
            if (amount := getattr(price, name)) is not None:
                _not_negative(amount, f"{path}.{name}", "price_amount_negative", findings)
        if price.free_events < 0:
            findings.add(
                f"{path}.free_events", "free_events_negative", f"must not be negative, got {price.free_events}"
            )
        least, most = price.minimum_per_event, price.maximum_per_event
        if least is not None and most is not None and least > most:
            findings.add(f"{path}.minimum_per_event", "event_minimum_above_maximum", f"{text(least)} > {text(most)}")
    elif isinstance(price, MatrixPrice):
        _validate_matrix(price, path, findings)


def _validate_matrix(price: MatrixPrice, path: str, findings: Findings) -> None:
    if not price.property_name or _unstorable(price.property_name):
        findings.add(
            f"{path}.property_name", "matrix_property_missing", "name the property of the usage event to price by"
        )
    _not_negative(price.fallback, f"{path}.fallback", "price_amount_negative", findings)
    seen: set[str] = set()
    for i, cell in enumerate(price.cells):
        where = f"{path}.cells[{i}]"
        # A value is part of a line's reference, which is stamped with `@[period]` and `#correction:` behind it.
        if not cell.value or "@" in cell.value or "#" in cell.value or _unstorable(cell.value):
            findings.add(f"{where}.value", "matrix_value_unsupported", f"{cell.value!r} cannot name a line")
        if cell.value in seen:
            findings.add(f"{where}.value", "matrix_value_duplicate", f"{cell.value!r} has a price already")
        seen.add(cell.value)
        _not_negative(cell.unit_price, f"{where}.unit_price", "price_amount_negative", findings)


def _unstorable(text: str) -> bool:
    """Whether no usage event can have that text: a NUL, or half a character (a lone surrogate)."""
    return any(character == "\x00" or "\ud800" <= character <= "\udfff" for character in text)


# ── discounts and unit conversion ────────────────────────────────────────────────────────────────────────────


def validate_discounts(
    discounts: Discounts, price: Price | None, findings: Findings, *, path: str = "discounts", strict: bool = False
) -> None:
    """Note what is wrong with the discounts on a price. `strict` also asks for correlation ids."""
    percentage, usage = discounts.percentage, discounts.usage
    if percentage is not None:
        where = f"{path}.percentage"
        share = percentage.percentage
        if share.is_finite() and not 0 <= share <= HUNDRED:
            findings.add(where, "percentage_discount_invalid_value", f"a percentage discount is 0 to 100, got {share}")
        if strict and not percentage.correlation_id:
            findings.add(
                where, "percentage_discount_missing_correlation_id", "a percentage discount needs a correlation id"
            )
    if usage is not None:
        where = f"{path}.usage"
        _not_negative(usage.quantity, where, "usage_discount_negative_quantity", findings)
        if price is None:
            findings.add(where, "usage_discount_without_price", "a usage discount needs a price of usage")
        elif isinstance(price, FlatPrice):
            findings.add(where, "usage_discount_with_flat_price", "a flat price has no usage to discount")
        elif price.needs_events:
            findings.add(where, "usage_discount_unsupported_price", "free units do not say which event they come from")
        if strict and not usage.correlation_id:
            findings.add(where, "usage_discount_missing_correlation_id", "a usage discount needs a correlation id")


def validate_unit_config(
    config: UnitConfig | None, price: Price | None, findings: Findings, *, path: str = "unit_config"
) -> None:
    """Note what is wrong with a unit config; none at all is fine."""
    if config is None:
        return
    if price is not None and not price.converts_units:
        findings.add(path, "unit_config_requires_usage_based_price", "only unit and tiered prices take a unit config")
    if config.operation not in {MULTIPLY, DIVIDE}:
        findings.add(
            f"{path}.operation", "unit_config_invalid", f"the operation is multiply or divide, not {config.operation!r}"
        )
    _positive(config.conversion_factor, f"{path}.conversion_factor", "unit_config_invalid", findings)
    if config.rounding in UNROUNDED:
        return
    if config.rounding not in {CEILING, FLOOR, HALF_UP}:
        findings.add(
            f"{path}.rounding",
            "unit_config_invalid",
            f"the rounding is none, ceiling, floor or half_up, not {config.rounding!r}",
        )
    if not 0 <= config.precision <= MAX_UNIT_CONFIG_PRECISION:
        findings.add(
            f"{path}.precision", "unit_config_invalid", f"the precision must not be negative, got {config.precision}"
        )


def unit_config_is_valid(config: UnitConfig | None) -> bool:
    """Whether rating may use the config."""
    findings = Findings()
    validate_unit_config(config, None, findings)
    return not findings.items


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────────


def _validate_numbers(value: msgspec.Struct, path: str, findings: Findings) -> None:
    """Numbers are finite, below 10^24 and have at most 40 decimals, so that everything made of them is exact."""
    for name in value.__struct_fields__:
        content = getattr(value, name)
        where = f"{path}.{name}"
        if isinstance(content, Decimal):
            if not content.is_finite() or abs(content) >= LIMIT or decimal_places(content) > MAX_PLACES:
                findings.add(where, "number_out_of_range", f"{content} is not below 10^24 with at most 40 decimals")
        elif isinstance(content, msgspec.Struct):
            _validate_numbers(content, where, findings)
        elif isinstance(content, tuple):
            for i, part in enumerate(cast("tuple[object, ...]", content)):
                if isinstance(part, msgspec.Struct):
                    _validate_numbers(part, f"{where}[{i}]", findings)


def _not_negative(number: Decimal, path: str, code: str, findings: Findings) -> None:
    if number.is_finite() and number < 0:
        findings.add(path, code, f"must not be negative, got {text(number)}")


def _positive(number: Decimal, path: str, code: str, findings: Findings) -> None:
    if number.is_finite() and number <= 0:
        findings.add(path, code, f"must be above zero, got {text(number)}")
