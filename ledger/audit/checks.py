"""The definition of a sound history: one list of named checks. Whoever reads it knows what an audit proves.

The first half looks at what is stored, byte for byte; the second at what it means; the last at what is kept beside it.
"""

from __future__ import annotations

from ledger.audit.balances import Balances
from ledger.audit.charges import RunIndex, Runs, Statuses
from ledger.audit.check import Check
from ledger.audit.invoices import InvoicedRuns, Invoices, Numbers
from ledger.audit.log import Bytes, Chains, Events, Positions, Sealed
from ledger.audit.metering import Metered, Rated, StoredUsage
from ledger.audit.postings import Postings, Transactions
from ledger.audit.receipts import Receipts
from ledger.audit.tables import ChargeIndex, Reservations, Snapshots, Views
from ledger.audit.together import Together
from ledger.audit.usage_chain import UsageChunks

CHECKS: tuple[type[Check], ...] = (
    Positions,
    Bytes,
    Chains,
    Receipts,
    Sealed,
    Events,
    Together,
    Transactions,
    Postings,
    Balances,
    Runs,
    RunIndex,
    Statuses,
    Rated,
    Metered,
    StoredUsage,
    UsageChunks,
    Numbers,
    Invoices,
    InvoicedRuns,
    Snapshots,
    ChargeIndex,
    Reservations,
    Views,
)

CHAINS: tuple[type[Check], ...] = (Positions, Bytes, Chains, Receipts, Sealed)
"""What proves that nothing was changed, without looking into events: quick enough for every night."""
