"""All views of the product, in the order in which a reader meets them."""

from __future__ import annotations

from projections.balance_history import BALANCE_HISTORY
from projections.catalogue_entries import CATALOGUE_ENTRIES
from projections.charges import CHARGES
from projections.credit_transactions import CREDIT_TRANSACTIONS
from projections.current_runs import CURRENT_RUNS
from projections.customer_balances import CUSTOMER_BALANCES
from projections.customers import CUSTOMERS
from projections.invoices import INVOICES
from projections.late_usage import LATE_USAGE
from projections.ledger_entries import LEDGER_ENTRIES
from projections.metered_runs import METERED_RUNS
from projections.prior_runs import PRIOR_RUNS
from projections.projection import AnyProjection
from projections.slice_events import SLICE_EVENTS
from projections.stuck_charges import STUCK_CHARGES
from projections.trial_sums import TRIAL_SUMS

PROJECTIONS: tuple[AnyProjection, ...] = (
    CUSTOMERS,
    CATALOGUE_ENTRIES,
    CHARGES,
    STUCK_CHARGES,
    LATE_USAGE,
    CURRENT_RUNS,
    PRIOR_RUNS,
    INVOICES,
    METERED_RUNS,
    CUSTOMER_BALANCES,
    BALANCE_HISTORY,
    LEDGER_ENTRIES,
    CREDIT_TRANSACTIONS,
    TRIAL_SUMS,
    SLICE_EVENTS,
)
