"""An event-sourced ledger for usage-based billing.

    from ledger import Ledger

See `ledger.facade.Ledger` for what it can do, and README.md for the model on one screen.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aggregates.policies import Policies
    from aggregates.values.errors import LedgerError, ValidationFailed
    from aggregates.values.money import Money, money, usd
    from ledger.facade import DryRun, Ledger
    from ledger.metering.usage import UsageEvent
    from ledger.ports import SettableClock
    from ledger.prices import (
        committed,
        dynamic,
        graduated,
        graduated_percentage,
        matrix,
        package,
        percentage,
        tiered_package,
        unit,
        volume,
    )

_PLACES = {
    "Policies": "aggregates.policies",
    "LedgerError": "aggregates.values.errors",
    "ValidationFailed": "aggregates.values.errors",
    "Money": "aggregates.values.money",
    "money": "aggregates.values.money",
    "usd": "aggregates.values.money",
    "DryRun": "ledger.facade",
    "Ledger": "ledger.facade",
    "UsageEvent": "ledger.metering.usage",
    "SettableClock": "ledger.ports",
}
"""Where each name is; the others are prices. A command line that only says what it can do needs none of them."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_PLACES.get(name, "ledger.prices")), name)
    globals()[name] = value
    return value


__all__ = [
    "Ledger",
    "DryRun",
    "Policies",
    "SettableClock",
    "UsageEvent",
    "Money",
    "money",
    "usd",
    "unit",
    "graduated",
    "volume",
    "package",
    "dynamic",
    "percentage",
    "graduated_percentage",
    "tiered_package",
    "matrix",
    "committed",
    "LedgerError",
    "ValidationFailed",
]
