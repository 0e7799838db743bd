"""What may be posted: the invariants of ledger §4, checked in this order before anything is recorded.

1. every amount is exact at its currency's precision         4. the accounts may meet in one transaction
2. every route is one its account may carry                  5. value flows in the direction of its accounts
3. address and identity are unique                           6. routes agree between the two sides

That entries sum to zero needs no check here: an unbalanced transaction cannot be constructed. Which accounts meet,
which way value flows between them and which dimensions must agree is one table, `PAIRS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from aggregates.journal import refusals
from aggregates.journal.chart import Account, Authorization, Route
from aggregates.journal.postings import Entry, Template, Transaction
from aggregates.values.decimals import text

FBO, RECEIVABLE, ACCRUED = Account.FBO, Account.RECEIVABLE, Account.ACCRUED
WASH, EARNINGS, BROKERAGE, BREAKAGE = Account.WASH, Account.EARNINGS, Account.BROKERAGE, Account.BREAKAGE


class Pair(NamedTuple):
    """Two accounts that may meet: which side value leaves on the way forward, and what their routes must share."""

    left: Account
    right: Account
    flows: bool
    """Value goes from left to right, or entirely back; pairs without a direction take either sign."""
    agreeing: tuple[str, ...]


_COST = ("currency", "cost_basis", "cost_basis_currency")

# fmt: off
PAIRS = (
    Pair(FBO,        RECEIVABLE,       False, (*_COST, "features")),
    Pair(FBO,        ACCRUED,          True,  _COST),
    Pair(RECEIVABLE, ACCRUED,          True,  _COST),
    Pair(WASH,       RECEIVABLE,       True,  _COST),
    Pair(ACCRUED,    EARNINGS,         True,  (*_COST, "tax_code", "tax_behavior")),
    Pair(FBO,        BROKERAGE,        False, ()),
    Pair(RECEIVABLE, BROKERAGE,        False, ()),
    Pair(FBO,        BREAKAGE,         True,  _COST),
    Pair(RECEIVABLE, Account.BAD_DEBT, False, _COST),
)
# fmt: on

_PAIR_BY_ACCOUNTS = {frozenset((pair.left, pair.right)): pair for pair in PAIRS}
_KEYS: dict[tuple[str, ...], Callable[[Route], Any]] = {
    pair.agreeing: attrgetter(*pair.agreeing) for pair in PAIRS if pair.agreeing
}
_AUTHORIZATION_AGREES = attrgetter("currency", "tax_code", "features", "cost_basis", "credit_priority")
_TRANSLATION_AGREES: dict[Account, Callable[[Route], Any]] = {
    # An attribution may change features: the advance's on one side, the purchase's on the other.
    RECEIVABLE: attrgetter("currency"),
    FBO: attrgetter("currency", "features", "credit_priority"),
    ACCRUED: attrgetter("currency", "tax_code", "tax_behavior"),
}


def check(transaction: Transaction) -> Transaction:
    """The transaction, when every invariant holds. Raises the `JournalRefusal` of the one that does not."""
    entries = transaction.entries
    for entry in entries:
        _check_amount(entry)
        _check_route(entry.account, entry.route)
    _check_identity(entries)
    accounts = {entry.account for entry in entries}
    if len(accounts) == 1:
        _check_within(next(iter(accounts)), entries, reducing=transaction.template is Template.PAYMENT_REDUCE)
        return transaction
    pair = _PAIR_BY_ACCOUNTS.get(frozenset(accounts))
    if pair is None:
        raise refusals.AccountTypeCombinationNotAllowed(detail=f"{', '.join(sorted(accounts))} never meet")
    left = [entry for entry in entries if entry.account is pair.left]
    right = [entry for entry in entries if entry.account is pair.right]
    if pair.flows:
        _check_flow(pair, left, right)
    if pair.left is WASH and transaction.template is not Template.REFUND:
        _check_authorized(right)
    if pair.agreeing:
        _check_agreement(_KEYS[pair.agreeing], left, right, pair.agreeing)
    return transaction


def _check_amount(entry: Entry) -> None:
    if not entry.route.currency.holds(entry.amount):
        currency = entry.route.currency
        raise refusals.AmountPrecision(
            detail=f"{text(entry.amount)} has more than the {currency.precision} decimals of {currency.code}"
        )


def _check_route(account: Account, route: Route) -> None:
    """Dimensions on the accounts that may carry them, and nowhere else (ledger §3, §4.4)."""
    if route.tax_behavior is not None and route.tax_code is None:
        raise refusals.RouteDimensionInvalid(detail="a tax behaviour needs a tax code")
    if route.tax_code is not None and account is not ACCRUED and account is not EARNINGS:
        raise refusals.TaxDimensionsNotAllowed(detail=f"{account} carries no tax dimensions")
    if route.features and account is not FBO and account is not RECEIVABLE:
        raise refusals.FeaturesNotAllowed(detail=f"{account} carries no features")
    priority = route.credit_priority
    if (account is FBO) != (priority is not None) or (priority is not None and priority < 1):
        raise refusals.RouteDimensionInvalid(detail=f"{account} with a credit priority of {priority}")
    if (account is RECEIVABLE) != (route.authorization is not None):
        raise refusals.RouteDimensionInvalid(detail=f"{account} with authorization {route.authorization}")
    basis = route.cost_basis
    if basis is not None and basis < 0:
        raise refusals.RouteDimensionInvalid(detail=f"a cost basis of {basis} is below zero")
    if (route.cost_basis_currency is not None) != (basis is not None and route.currency.is_custom):
        raise refusals.RouteDimensionInvalid(
            detail="a cost basis currency goes with the cost basis of a custom currency, and with nothing else"
        )


def _check_identity(entries: Sequence[Entry]) -> None:
    if len(entries) == 2 and entries[0].account is not entries[1].account:
        return
    seen: set[object] = set()
    for entry in entries:
        identity = (entry.account, entry.route, entry.index, entry.corrects, entry.source, entry.spend)
        if identity in seen:
            raise refusals.DuplicateEntryIdentity(detail=f"two entries of {entry.account} have one identity")
        seen.add(identity)


def _check_within(account: Account, entries: Sequence[Entry], *, reducing: bool) -> None:
    """One account alone: a move between stages of payment, or between known and unknown cost basis (§4.8, §4.9)."""
    if account not in _TRANSLATION_AGREES:
        raise refusals.AccountTypeCombinationNotAllowed(detail=f"{account} never stands alone")
    negative = [entry for entry in entries if entry.amount < 0]
    positive = [entry for entry in entries if entry.amount > 0]
    if reducing:
        negative, positive = positive, negative
    if account is RECEIVABLE and {entry.route.authorization for entry in entries} != {Authorization.OPEN}:
        authorizes = all(entry.route.authorization is Authorization.AUTHORIZED for entry in negative) and all(
            entry.route.authorization is Authorization.OPEN for entry in positive
        )
        if not authorizes:
            raise refusals.ReceivableTransitionNotSupported(
                detail="within receivables, value is authorized (authorized negative, open positive) or attributed"
            )
        _check_agreement(_AUTHORIZATION_AGREES, negative, positive, ("currency", "features", "cost_basis"))
        return
    known = [entry for entry in entries if entry.route.cost_basis is not None]
    unknown = [entry for entry in entries if entry.route.cost_basis is None]
    if not unknown:
        raise refusals.UnknownCostBasisRequired(
            detail=f"within {account}, value is attributed from unknown cost basis; every entry here has a known one"
        )
    if not known or _mixed(known) or _mixed(unknown):
        raise refusals.CostBasisTranslationInvalid(
            detail=f"within {account}, value moves between known and unknown cost basis only"
        )
    _check_agreement(_TRANSLATION_AGREES[account], known, unknown, ("currency", "features", "tax"))


def _check_flow(pair: Pair, left: Sequence[Entry], right: Sequence[Entry]) -> None:
    """From left to right or entirely back. Since each currency sums to zero, what is left to refuse is zero entries."""
    if _mixed(left) or _mixed(right):
        return
    forward = all(entry.amount < 0 for entry in left) and all(entry.amount > 0 for entry in right)
    back = all(entry.amount > 0 for entry in left) and all(entry.amount < 0 for entry in right)
    if not forward and not back:
        raise refusals.InvalidFlowDirection(detail=f"value goes from {pair.left} to {pair.right}, or entirely back")


def _check_authorized(receivable: Sequence[Entry]) -> None:
    if any(entry.route.authorization is not Authorization.AUTHORIZED for entry in receivable):
        raise refusals.AuthorizationMismatch(detail="cash settles authorized receivables only")


def _check_agreement(
    key: Callable[[Route], Any], left: Sequence[Entry], right: Sequence[Entry], fields: tuple[str, ...]
) -> None:
    """Every entry has a partner on the other side with the same key."""
    if {key(entry.route) for entry in left} != {key(entry.route) for entry in right}:
        raise refusals.RouteFieldMismatch(detail=f"both sides must agree in {', '.join(fields)}")


def _mixed(entries: Sequence[Entry]) -> bool:
    return any(entry.amount < 0 for entry in entries) and any(entry.amount > 0 for entry in entries)
