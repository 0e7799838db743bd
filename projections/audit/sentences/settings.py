"""What happened to customers, the catalogue and the namespace, in a sentence."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from aggregates.catalogue import CostBasisDefined, CurrencyDefined, EntryEvent, FeatureDefined, KeyPointed, MeterDefined
from aggregates.customers import (
    CustomerCreated,
    CustomerDeleted,
    CustomerDeletionStarted,
    CustomerDeletionWithdrawn,
    CustomerEvent,
    CustomerProfileChanged,
    Profile,
)
from aggregates.deliveries import EffectsDelivered
from aggregates.event import Recorded
from aggregates.namespaces import (
    DefaultProfileChanged,
    NamespaceCreated,
    NamespaceEvent,
    PeriodClosed,
    PeriodReopened,
    PoliciesChanged,
    TaxSettings,
    TaxSettingsChanged,
)
from aggregates.policies import Policies
from aggregates.values.period import Duration
from projections.audit import words
from projections.audit.known import Known

SettingsEvent: TypeAlias = CustomerEvent | EntryEvent | KeyPointed | NamespaceEvent


def sentence(record: Recorded[SettingsEvent], known: Known) -> str:
    """The sentence of one event of a customer, a catalogue entry or key, or a namespace."""
    match record.body:
        case (
            CustomerCreated()
            | CustomerProfileChanged()
            | CustomerDeletionStarted()
            | CustomerDeletionWithdrawn()
            | CustomerDeleted() as body
        ):
            return _customer(record.customer, body)
        case MeterDefined(meter=meter):
            counted = f" of {meter.property}" if meter.property else ""
            decimals = f", {meter.decimals} decimals" if meter.decimals else ""
            return f"Meter {meter.key} defined: {words.spaced(meter.aggregation)}{counted}{decimals}"
        case FeatureDefined(feature=feature):
            metered = f", metered by {words.short(feature.meter_id)}" if feature.meter_id else ""
            return f"Feature {feature.key} ({feature.name}) defined{metered}"
        case CurrencyDefined(currency=currency):
            return f"Currency {currency.code} defined with {currency.precision} decimals"
        case CostBasisDefined(cost_basis=entry):
            rate, since = words.amount(entry.rate, entry.fiat_currency), words.moment(entry.effective_from)
            return f"One unit of currency {words.short(record.stream)} is worth {rate} from {since}"
        case KeyPointed(kind=kind, key=key, entry_id=entry_id):
            return f"{kind.capitalize()} key {key} now names {words.short(entry_id)}"
        case NamespaceCreated(policies=policies, profile=profile):
            return f"Namespace {record.namespace} opened{_profile('; ', profile)}; {_policies(policies)}"
        case PoliciesChanged(policies=policies):
            return f"Policies of {record.namespace} changed: {_policies(policies)}"
        case DefaultProfileChanged(profile=profile):
            return f"Default billing profile of {record.namespace} changed{_profile(': ', profile)}"
        case TaxSettingsChanged(tax=tax):
            codes = words.listed(tax.codes) or "none"
            return f"Tax codes of {record.namespace} changed: {codes}{_tax_defaults(tax)}"
        case PeriodClosed(until=until, reason=reason):
            return f"Books before {words.moment(until)} closed{words.clause(': ', reason)}"
        case PeriodReopened(from_=from_, reason=reason):
            return f"Books from {words.moment(from_)} on opened again{words.clause(': ', reason)}"
        case _ as unreachable:
            assert_never(unreachable)


def delivered(record: Recorded[EffectsDelivered]) -> str:
    """The sentence of a delivery."""
    return f"{record.body.count} requests of charges handed to the invoicing system outside"


def _customer(customer: str | None, body: CustomerEvent) -> str:
    match body:
        case CustomerCreated(key=key, name=name, profile=profile):
            called = f"{key} ({name})" if name != key else key
            return f"Customer {called} created{_profile('; ', profile)}"
        case CustomerProfileChanged(profile=profile):
            return f"Billing profile of {customer} changed{_profile(': ', profile)}"
        case CustomerDeletionStarted():
            return f"Deletion of customer {customer} started: nothing is open"
        case CustomerDeletionWithdrawn(open_items=items):
            return f"Customer {customer} stays: {'; '.join(item.detail for item in items)}"
        case CustomerDeleted():
            return f"Customer {customer} deleted; its history and its key stay"
        case _ as unreachable:
            assert_never(unreachable)


def _tax_defaults(tax: TaxSettings) -> str:
    defaults = {"usage and fees": tax.invoicing, "credit": tax.credit_grant}
    said = (f"{code.tax_code_id} for {what}" for what, code in defaults.items() if code and code.tax_code_id)
    return words.clause("; by default ", words.listed(said))


def _profile(lead: str, profile: Profile) -> str:
    """What the profile says, and nothing where it leaves everything to the defaults."""
    said = words.listed(
        (
            words.clause(
                "waits ", f"{profile.collection_interval} for late usage" if profile.collection_interval else ""
            ),
            words.clause("zone ", profile.zone or ""),
            words.clause("usage credit cut ", words.spaced(profile.usage_credit_cut or "")),
        )
    )
    return words.clause(lead, said)


def _policies(policies: Policies) -> str:
    grace = policies.restored_credit_grace
    lives = f"; credit given back after its expiry lives {grace}" if grace != Duration() else ""
    return f"usage credit cut {words.spaced(policies.usage_credit_cut)}{lives}"
