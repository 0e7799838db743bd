"""Every command the facade accepts, validated on entry: shapes as pydantic models, one finding per thing wrong.

The models say what a caller may send; what is kept are the msgspec structs of the events. Decimals come as text, an
int or a `Decimal`, never as a float; times carry a zone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self, cast
from uuid import UUID
from zoneinfo import available_timezones

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from aggregates.catalogue import MAX_DECIMALS, Aggregation
from aggregates.charges.events import CreditRefund, InvoiceRefund
from aggregates.charges.intent import CostBasis, ManagedBy, PaymentTerm, SettlementMode
from aggregates.charges.requests import PatchSource
from aggregates.customers import Profile
from aggregates.journal.chart import TaxBehavior
from aggregates.policies import OfferReleasedCredit, RunCuts, RunEngine, ShrinkOverIssued, UsageCreditCut
from aggregates.rating.prices import Discounts, PercentageDiscount, UnitConfig
from aggregates.rating.validation import validate_terms
from aggregates.values.errors import Finding, Findings
from aggregates.values.money import FIAT, MAX_PRECISION
from aggregates.values.period import Duration
from aggregates.values.texts import why_unseen
from ledger.prices import read, read_price
from ledger.validation import DurationText, ExactNumber, Input, LateUsageText, Moment, OftenText, refuse_with


def _seen(key: str) -> str:
    wrong = why_unseen(key)
    if wrong is not None:
        raise PydanticCustomError("invisible_character", "{wrong}", {"wrong": wrong})
    return key


Key = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$"),
    AfterValidator(_seen),
]
"""A key of the caller's choice: not empty, nothing in it that nobody sees, at most 200 characters."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


def _known_zone(zone: str) -> str:
    if zone not in available_timezones():
        raise PydanticCustomError("unknown_zone", "{zone} is no IANA time zone, like Europe/Berlin", {"zone": zone})
    return zone


def _known_fiat(code: str) -> str:
    if code not in FIAT:
        raise PydanticCustomError("currency_not_found", "{code} is no ISO 4217 currency", {"code": code})
    return code


class ProfileInput(Input):
    """Billing settings: see `aggregates.customers.Profile`."""

    collection_interval: DurationText | None = None
    zone: Annotated[str, AfterValidator(_known_zone)] | None = None
    usage_credit_cut: UsageCreditCut | None = None
    advance_limit: ExactNumber | None = None
    progressive_billing: bool | None = None
    auto_approve: bool | None = None
    payment_terms: DurationText | None = None
    run_engine: RunEngine | None = None
    run_cuts: RunCuts | None = None
    shrink_over_issued: ShrinkOverIssued | None = None
    late_usage: LateUsageText | None = None
    periodic_runs: OftenText | None = None
    offer_released_credit: OfferReleasedCredit | None = None

    def profile(self) -> Profile:
        """The profile as it is kept."""
        said = {name: getattr(self, name) for name in ProfileInput.model_fields}
        if self.periodic_runs is not None:
            said["periodic_runs"] = Duration.parse(self.periodic_runs)
        return Profile(**said)

    @model_validator(mode="after")
    def _limit_not_negative(self) -> Self:
        if self.advance_limit is not None and self.advance_limit < 0:
            raise PydanticCustomError("advance_limit_negative", "an advance limit is zero or more")
        return self


def said_by(profile: Profile) -> dict[str, Any]:
    """What a profile says, in the words in which a command says it."""
    periodic = profile.periodic_runs
    return msgspec.structs.asdict(profile) | {"periodic_runs": str(periodic) if periodic is not None else None}


class TaxSettingsInput(Input):
    """The tax codes of a namespace and its defaults."""

    codes: tuple[Key, ...]
    invoicing: Key | None = None
    credit_grant: Key | None = None

    @model_validator(mode="after")
    def _defaults_exist(self) -> TaxSettingsInput:
        for default in (self.invoicing, self.credit_grant):
            if default is not None and default not in self.codes:
                raise PydanticCustomError("tax_code_not_found", "{code} is not among the codes", {"code": default})
        return self


class CreateCustomer(ProfileInput):
    """Bring a customer into being."""

    key: Key
    name: Text


class ChangeProfile(ProfileInput):
    """Replace a customer's billing profile; what is left out falls back to the namespace's."""

    customer: Key


class DefineMeter(Input):
    """Define a meter: how usage events become one quantity."""

    key: Key
    aggregation: Aggregation = Aggregation.SUM
    decimals: Annotated[int, Field(ge=0, le=MAX_DECIMALS)] = 0
    property: Key | None = None

    @model_validator(mode="after")
    def _property_for_unique_count(self) -> DefineMeter:
        if (self.aggregation is Aggregation.UNIQUE_COUNT) != (self.property is not None):
            raise PydanticCustomError(
                "property_mismatch", "a unique_count meter names the property it counts, every other meter names none"
            )
        return self


class DefineFeature(Input):
    """Define a feature, with the meter its usage is measured by."""

    key: Key
    name: Text
    meter: Key | None = None


class DefineCurrency(Input):
    """Define a custom currency, such as credits or tokens."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{1,23}$")]
    precision: Annotated[int, Field(ge=0, le=MAX_PRECISION)]

    @model_validator(mode="after")
    def _not_fiat(self) -> DefineCurrency:
        if self.code in FIAT:
            raise PydanticCustomError("fiat_code", "{code} is an ISO 4217 currency already", {"code": self.code})
        return self


class DefineCostBasis(Input):
    """Enter a rate of a custom currency in fiat, in force from an instant on."""

    currency: Key
    fiat_currency: Annotated[str, AfterValidator(_known_fiat)] = "USD"
    rate: ExactNumber
    effective_from: Moment

    @model_validator(mode="after")
    def _rate_above_zero(self) -> DefineCostBasis:
        if self.rate <= 0:
            raise PydanticCustomError("rate_not_positive", "the rate must be positive")
        return self


# ── credits and charges ──────────────────────────────────────────────────────────────────────────────────────


def _price(value: Any) -> Any:
    """A price that can be rated, or everything that is wrong with it (rating §13.1)."""
    price, findings = read_price(value)
    if price is not None:
        own = Findings()
        # Whether the feature's meter can tell usage events apart is looked up where the charge is created.
        validate_terms(own, price, events_metered=True)
        # The validator's paths begin with "price", which is the name of this field.
        findings = tuple(Finding(f.path.removeprefix("price").lstrip("."), f.code, f.message) for f in own.items)
    if findings:
        raise refuse_with(findings)
    return price


def _struct(into: type[Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if value is None or isinstance(value, into):
            return value
        converted, findings = read(value, into)
        if findings:
            raise refuse_with(findings)
        return converted

    return convert


def _cost_basis(value: Any) -> Any:
    """A cost basis; the fiat currency may be its code: `{"mode": "manual", "fiat_currency": "USD", "rate": "0.5"}`."""
    if isinstance(value, Mapping):
        given = dict(cast("Mapping[str, Any]", value))
        code = given.get("fiat_currency")
        value = given | ({"fiat_currency": {"code": code, "precision": FIAT[code].precision}} if code in FIAT else {})
    return _struct(cast("type[Any]", CostBasis))(value)


PriceInput = Annotated[Any, BeforeValidator(_price)]
DiscountsInput = Annotated[Discounts | None, BeforeValidator(_struct(Discounts))]
PercentageInput = Annotated[PercentageDiscount | None, BeforeValidator(_struct(PercentageDiscount))]
CostBasisInput = Annotated[Any, BeforeValidator(_cost_basis)]
UnitConfigInput = Annotated[UnitConfig | None, BeforeValidator(_struct(UnitConfig))]


class BoundsInput(Input):
    """A half-open period: `from_` inclusive, `to` exclusive."""

    from_: Moment
    to: Moment


class UsageTermsInput(Input):
    """The mutable part of a usage-based charge (lifecycles §2.3)."""

    price: PriceInput
    service_period: BoundsInput
    full_service_period: BoundsInput | None = None
    billing_period: BoundsInput | None = None
    invoice_at: Moment | None = None
    name: Text
    description: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    discounts: DiscountsInput = None
    unit_config: UnitConfigInput = None


class CreateUsageCharge(UsageTermsInput):
    """Charge a customer for usage of a metered feature."""

    customer: Key
    feature: Key
    currency: Key
    settlement_mode: SettlementMode = SettlementMode.CREDIT_ONLY
    cost_basis: CostBasisInput = None
    managed_by: ManagedBy = ManagedBy.SUBSCRIPTION
    unique_reference_id: Key | None = None
    tax_code: Key | None = None
    tax_behavior: TaxBehavior | None = None
    annotations: dict[str, str] = Field(default_factory=dict)


class FlatFeeTermsInput(Input):
    """The mutable part of a flat fee (lifecycles §2.3)."""

    amount: ExactNumber
    payment_term: PaymentTerm = PaymentTerm.IN_ADVANCE
    pro_rating: bool = False
    percentage_discount: PercentageInput = None
    service_period: BoundsInput
    full_service_period: BoundsInput | None = None
    billing_period: BoundsInput | None = None
    invoice_at: Moment | None = None
    name: Text
    description: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)


class CreateFlatFee(FlatFeeTermsInput):
    """Charge a customer one amount for a service period."""

    customer: Key
    feature: Key | None = None
    currency: Key
    settlement_mode: SettlementMode = SettlementMode.CREDIT_ONLY
    cost_basis: CostBasisInput = None
    managed_by: ManagedBy = ManagedBy.SUBSCRIPTION
    unique_reference_id: Key | None = None
    tax_code: Key | None = None
    tax_behavior: TaxBehavior | None = None
    annotations: dict[str, str] = Field(default_factory=dict)


class CreatePurchase(Input):
    """Give or sell credit to a customer (lifecycles §2.3, §11)."""

    customer: Key
    currency: Key
    amount: ExactNumber
    settlement: Literal["promotional", "external", "invoice"] = "promotional"
    cost_basis: ExactNumber | None = None
    fiat_currency: Key = "USD"
    initial_status: Literal["created", "authorized", "settled"] | None = None
    availability: Literal["on_creation", "on_authorization", "on_settlement"] | None = None
    name: Text = "Credit"
    effective_at: Moment | None = None
    expires_at: Moment | None = None
    priority: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    features: tuple[Key, ...] | None = None
    key: Key | None = None
    description: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _amount_above_zero(self) -> CreatePurchase:
        if self.amount <= 0:
            raise PydanticCustomError("amount_not_positive", "the amount of credit must be above zero")
        return self


class AmountInput(Input):
    """An amount of money or credit that is not zero."""

    amount: ExactNumber

    @model_validator(mode="after")
    def _amount_above_zero(self) -> Self:
        if self.amount <= 0:
            raise PydanticCustomError("amount_not_positive", "the amount must be above zero")
        return self


class AdvanceCharges(Input):
    """Advance everything of a customer that is due, or one charge."""

    customer: Key
    charge: UUID | None = None


class MovePeriodEndInput(Input):
    """Extend or shrink a charge's periods (lifecycles §16.2)."""

    charge: UUID
    service_period_to: Moment
    full_service_period_to: Moment | None = None
    billing_period_to: Moment | None = None
    invoice_at: Moment | None = None
    source: PatchSource = PatchSource.SYSTEM
    intent_version: int | None = None


class SetOverrideInput(Input):
    """Replace parts of the effective terms for the whole period (lifecycles §16.1).

    `price`, `discounts`, `unit_config` are of usage; `amount`, `percentage_discount`, `payment_term`, `pro_rating`
    of flat fees.
    """

    charge: UUID
    price: PriceInput | None = None
    amount: ExactNumber | None = None
    percentage_discount: PercentageInput = None
    pro_rating: bool | None = None
    payment_term: PaymentTerm | None = None
    service_period: BoundsInput | None = None
    full_service_period: BoundsInput | None = None
    billing_period: BoundsInput | None = None
    invoice_at: Moment | None = None
    name: Text | None = None
    description: Text | None = None
    metadata: dict[str, str] | None = None
    discounts: DiscountsInput = None
    unit_config: UnitConfigInput = None
    source: PatchSource = PatchSource.API
    intent_version: int | None = None


class PaymentReportInput(Input):
    """What a payment provider reports of an invoice."""

    invoice: UUID
    step: Literal["authorized", "paid", "failed"]
    amount: ExactNumber | None = None
    reference: Key | None = None


class RefundUnappliedInput(Input):
    """Pay unapplied credit of an invoice back; absent, all of it."""

    amount: ExactNumber | None = None


class DeleteInput(Input):
    """Delete a charge."""

    charge: UUID
    credit_refund: CreditRefund = CreditRefund.CORRECT
    invoice_refund: InvoiceRefund = InvoiceRefund.GRANT_CREDITS
    source: PatchSource = PatchSource.API
    intent_version: int | None = None


class ClearOverrideInput(Input):
    """Let the base terms hold again."""

    charge: UUID
    intent_version: int | None = None
