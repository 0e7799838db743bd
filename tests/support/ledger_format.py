"""Which arguments and keys the ledger vectors may use (FORMAT.md): anything else would be passed over in silence."""

from __future__ import annotations

from typing import Any

ANYWHERE = frozenset({"op", "currency", "booked_at", "note"})
"""What every operation takes: `booked_at` is the clock when absent, `currency` that of the vector."""

_INVOICE = "charge amount mode cost_basis"
_TAX = "tax_code tax_behavior"

ARGUMENTS: dict[str, frozenset[str]] = {
    name: frozenset(arguments.split()) | ANYWHERE
    for name, arguments in {
        "grant": "id amount settlement cost_basis priority features effective_at expires_at settlement_currency",
        "schedule_grant": "id amount features effective_at",
        "delete_grant": "id",
        "authorize_purchase": "id fiat_amount",
        "settle_purchase": "id fiat_amount",
        "collect": f"charge amount mode feature source_balance_as_of final {_TAX}",
        "correct": "charge amount allocation",
        "invoice_accrue": f"{_INVOICE} {_TAX}",
        "authorize_invoice": f"{_INVOICE} over_payment",
        "settle_invoice": _INVOICE,
        "recognize": "",
        "recognize_up_to": "amount",
        "correct_template": "template amount",
        "void": "id",
        "charge": "id kind amount mode feature starts_at final",
        "mark_allocations_voided": "charge",
        "fund": "amount priority features cost_basis source settled expires_at settlement_currency",
        "advance_exposure": f"amount features spend {_TAX}",
        "cover_receivable": "amount priority",
        "select": "amount feature as_of",
        "post": "entries",
        "correction_request": "allocations amount",
        "allocate_by_amount": "amount items",
        "reconcile": "current target handler_allocates exact",
        "wait": "",
    }.items()
}

ENTRY = frozenset({"account", "amount", "route", "identity", "source", "spend"})
"""What an entry of `post` may say."""

FILTER = frozenset({"currency", "cost_basis", "cost_basis_currency", "features", "priority", "auth", *_TAX.split()})
"""The dimensions that a filter, a route of `post` and `group_by` may name."""

KEYS: dict[str, frozenset[str]] = {
    name: frozenset(keys.split())
    for name, keys in {
        "balances": "account filter as_of recorded_as_of amount currency",
        "buckets": "account filter as_of recorded_as_of group_by rows currency",
        "selections": "amount source expires_at currency cost_basis cost_basis_currency features priority",
        "breakage": "kind expires_at amount",
        "open_plans": "source open expires_at",
        "customer_balance": "feature_filter as_of recorded_as_of currency settled live pending error",
        "listings": "feature_filter as_of recorded_as_of currency type rows totals error",
    }.items()
}

ROW = frozenset({"type", "booked_at", "amount", "before", "after"})
"""What a row of a listing may say."""


def check_operation(op: dict[str, Any]) -> None:
    """Fail on an argument that the player would pass over."""
    _known(op, ARGUMENTS[op["op"]], op["op"])
    for entry in op.get("entries", ()):
        _known(entry, ENTRY, "an entry")
        _known(entry.get("route") or {}, FILTER, "a route")


def check_expectation(name: str, wanted: Any) -> None:
    """Fail on a key that the player would pass over."""
    for item in wanted if name in KEYS else ():
        _known(item, KEYS[name], name)
        _known(item.get("filter") or {}, FILTER, f"the filter of {name}")
        if name == "listings":
            for row in item.get("rows", ()):
                _known(row, ROW, "a row")


def _known(given: dict[str, Any], known: frozenset[str], what: str) -> None:
    unknown = sorted(set(given) - known)
    assert not unknown, f"{what} does not know {', '.join(unknown)}: play it or take it out of the vector"
