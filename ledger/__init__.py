"""An event-sourced ledger for usage-based billing.

    from ledger import Ledger

See `ledger.facade.Ledger` for what it can do, and README.md for the model on one screen.
"""

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
