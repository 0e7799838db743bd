"""Charges that are stuck: what they refused, since when, and what would free them (lifecycles §22 row 15)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from aggregates.values import errors
from aggregates.values.errors import LedgerError
from projections.stuck_charges import StuckChargeRow

_DEFECT = "nothing from outside: the rules contradict themselves here; `ledger history` shows how it came to this"

# fmt: off
REMEDIES: dict[type[LedgerError], str] = {
    errors.FeatureNotFound:         "define the feature: the charge moves when its key names one",
    errors.MeterNotFound:           "define the feature with a meter: the charge moves when its key names that one",
    errors.ChargeTotalIsNegative:   "report the usage that is missing, or lay an override over the charge that does not"
                                    " rate below zero",
    errors.CostBasisNotEffective:   "enter a rate of the custom currency that is in force at that time",
    errors.FiatAmountRoundsToZero:  "enter a rate that does not round the amount to zero, or delete the charge",
    errors.Unsupported:             "lay an override over the charge with terms that are offered, or delete it",
    errors.ValidationFailed:        "lay an override over the charge with terms that can be rated",
    errors.ActiveRunAlreadyExists:  "let the current run end: its invoice is issued or deleted first",
    errors.Unavailable:             "nothing to do but wait for it to answer: it is asked again with every pass",
    errors.InsufficientFunds:       _DEFECT,
    errors.CreditAllocationsDoNotMatchTotal: _DEFECT,
    errors.PostingRefused:          _DEFECT,
}
# fmt: on
"""What frees a charge that refused for such a reason; of another it is the message itself that says it."""

_BY_CODE = {error.code: words for error, words in REMEDIES.items()}


class StuckCharge(msgspec.Struct, frozen=True, kw_only=True):
    """A charge whose last advance was refused. Times are UTC.

    It stays in `status` since `trigger` was refused there for the reason that `code` names and `message` tells:
    `since` is when that was first refused, `attempts` how many different refusals were recorded since the charge last
    moved. Every advance tries it again; `remedy` is what makes the next one succeed.
    """

    charge: UUID
    customer: str
    status: str
    trigger: str
    code: str
    message: str
    since: datetime
    attempts: int
    remedy: str


def stuck_charge(row: StuckChargeRow) -> StuckCharge:
    """A stuck charge as it is answered."""
    return StuckCharge(
        charge=row.charge,
        customer=row.customer,
        status=row.status,
        trigger=row.trigger,
        code=row.code,
        message=row.message,
        since=row.since,
        attempts=row.attempts,
        remedy=remedy(row.code, row.message),
    )


def remedy(code: str, message: str) -> str:
    """What frees what was refused with that code and message."""
    return _BY_CODE.get(code, message)
