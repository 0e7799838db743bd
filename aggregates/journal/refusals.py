"""Why the journal refuses a transaction: one class per invariant of ledger §4, each with its stable code.

::

    PostingRefused                                   family posting_refused
    ├─ UnbalancedTransaction                          §4.1  entries of a currency do not sum to zero
    ├─ AmountPrecision                                §4.2  an amount its currency cannot hold
    ├─ DuplicateEntryIdentity                         §4.3  two entries of one address and identity
    ├─ TaxDimensionsNotAllowed                        §4.4  tax elsewhere than on accrued or earnings
    ├─ FeaturesNotAllowed                             §4.4  features elsewhere than on fbo or receivable
    ├─ RouteDimensionInvalid                          §3    a dimension missing, or of an impossible value
    ├─ AccountTypeCombinationNotAllowed               §4.5  accounts that never meet in one transaction
    ├─ InvalidFlowDirection                           §4.6  value flowing backwards on one side only
    ├─ AuthorizationMismatch                          §4.7  cash against a receivable that is not authorized
    ├─ ReceivableTransitionNotSupported               §4.8  a move within receivables that has no meaning
    ├─ CostBasisTranslationInvalid                    §4.9  a move within one account that has no meaning
    ├─ UnknownCostBasisRequired                       §4.9  a move within one account between known cost bases
    ├─ RouteFieldMismatch                             §4.10 an entry without a partner of its route
    ├─ AmountNotPositive                              §4    a template asked for zero or less
    └─ CorrectionExceedsAvailable                     §5    more undone than is left uncorrected
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from aggregates.values.errors import PostingRefused


@dataclass(eq=False)
class JournalRefusal(PostingRefused):
    """A transaction breaks an invariant of the journal; nothing is booked."""

    family: ClassVar[str | None] = "posting_refused"
    text: ClassVar[str] = "{detail}"


@dataclass(eq=False)
class UnbalancedTransaction(JournalRefusal):
    """The entries of a currency do not sum to zero (ledger §4.1)."""

    code: ClassVar[str] = "unbalanced_transaction"
    text: ClassVar[str] = "the entries of each currency must sum to zero; left over: {detail}"


@dataclass(eq=False)
class AmountPrecision(JournalRefusal):
    """An amount is not exact at the precision of its currency (ledger §4.2)."""

    code: ClassVar[str] = "amount_precision"


@dataclass(eq=False)
class DuplicateEntryIdentity(JournalRefusal):
    """Two entries share address and identity (ledger §4.3)."""

    code: ClassVar[str] = "duplicate_entry_identity"


@dataclass(eq=False)
class TaxDimensionsNotAllowed(JournalRefusal):
    """Tax dimensions stand on an account other than accrued and earnings (ledger §4.4)."""

    code: ClassVar[str] = "tax_dimensions_only_allowed_on_accrued_or_earnings"


@dataclass(eq=False)
class FeaturesNotAllowed(JournalRefusal):
    """Features stand on an account other than fbo and receivable (ledger §4.4)."""

    code: ClassVar[str] = "features_only_allowed_on_fbo_or_receivable"


@dataclass(eq=False)
class RouteDimensionInvalid(JournalRefusal):
    """A route misses a dimension its account requires, or carries an impossible value (ledger §3)."""

    code: ClassVar[str] = "route_dimension_invalid"


@dataclass(eq=False)
class AccountTypeCombinationNotAllowed(JournalRefusal):
    """The account types of the transaction never meet (ledger §4.5)."""

    code: ClassVar[str] = "account_type_combination_not_allowed"


@dataclass(eq=False)
class InvalidFlowDirection(JournalRefusal):
    """Value flows against the direction of its accounts without being an entire reversal (ledger §4.6)."""

    code: ClassVar[str] = "invalid_flow_direction"


@dataclass(eq=False)
class AuthorizationMismatch(JournalRefusal):
    """Cash meets a receivable that is not authorized (ledger §4.7)."""

    code: ClassVar[str] = "transaction_authorization_status_mismatch"


@dataclass(eq=False)
class ReceivableTransitionNotSupported(JournalRefusal):
    """A transaction within receivables is neither an authorization nor an attribution (ledger §4.8)."""

    code: ClassVar[str] = "unsupported_receivable_same_account_transition"


@dataclass(eq=False)
class CostBasisTranslationInvalid(JournalRefusal):
    """A transaction within one account has no side of known cost basis, or mixes the two (ledger §4.8, §4.9)."""

    code: ClassVar[str] = "known_cost_basis_required"


@dataclass(eq=False)
class UnknownCostBasisRequired(JournalRefusal):
    """A transaction within one account moves value between known cost bases: 1 to 0.5 (ledger §4.8, §4.9)."""

    code: ClassVar[str] = "unknown_cost_basis_required"


@dataclass(eq=False)
class RouteFieldMismatch(JournalRefusal):
    """An entry has no partner whose route agrees with it (ledger §4.8-4.10)."""

    code: ClassVar[str] = "route_field_mismatch"


@dataclass(eq=False)
class AmountNotPositive(JournalRefusal):
    """A template amount is zero or negative (ledger §4)."""

    code: ClassVar[str] = "amount_not_positive"


@dataclass(eq=False)
class CorrectionExceedsAvailable(JournalRefusal):
    """More of a transaction was to be undone than is left uncorrected (ledger §5)."""

    code: ClassVar[str] = "correction_exceeds_available"
