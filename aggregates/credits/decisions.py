"""The single entry to the credit pool: what can be decided about it. Pure functions from state and request to event.

Every function takes the pool (`CreditPool.empty(currency)` before the first event) and a request, and returns the body
of the event to record, or None where the specification says that nothing is booked. Refusals come first and are typed
errors; nothing has happened then. One event is one posting group (ledger §4, §6, §11).

::

    grant  open_balance                          credit comes in              §6.1, §6.4
    authorize_purchase  settle_purchase          payment of a purchase        §6.1
    collect  open_advance                        credit is used               §6.2
    allocations                                  what a charge stores of it   §6.3
    correct  corrections                         value is given back          §6.7
    accrue_usage  authorize_invoice  settle_invoice  release_invoice          §6.5
    credit_invoice  write_off  reinstate         invoiced value, taken back   decisions 22, 23
    spend_unapplied                              money no invoice asks for    decision 23
    recognize  recognize_accrual  reverse_recognition   revenue               §6.6
    void  cancel  refund                         a grant is taken back        §6.8, decision 37
    receive_payment  reverse_payment             money as it comes and goes   decision 27, §17
    fail_payment  write_off_purchase             a payment that fails         decisions 22, 26
    asked_of  owed_on_line  credit_line          a purchase paid by invoice   decisions 22, 23, 27
    release_promise  write_off_line  reinstate_line  unapplied_arises
    write_off_advance  reinstate_advance         usage nobody will pay for    decision 22
    cover_advance                                credit that is free again    §17
    seal  bring_back  bring_accrual_back         what leaves the state        §11
"""

from __future__ import annotations

from aggregates.credits.advance import open_advance
from aggregates.credits.allocation import Allocation, AllocationKind, allocations
from aggregates.credits.by_invoice import (
    asked_of,
    credit_line,
    owed_on_line,
    reinstate_line,
    release_promise,
    unapplied_arises,
    write_off_line,
)
from aggregates.credits.collection import collect, select
from aggregates.credits.correction import correct, corrections
from aggregates.credits.covering import cover_advance
from aggregates.credits.deferral import recognize_accrual
from aggregates.credits.failing import fail_payment, write_off_purchase
from aggregates.credits.invoicing import (
    accrue_usage,
    authorize_invoice,
    credit_invoice,
    reinstate,
    release_invoice,
    settle_invoice,
    write_off,
)
from aggregates.credits.purchases import (
    authorize_purchase,
    grant,
    is_paid,
    open_balance,
    owed,
    receive_payment,
    settle_purchase,
)
from aggregates.credits.recognition import recognize, reverse_recognition
from aggregates.credits.refunding import refund, reverse_payment
from aggregates.credits.sealing import bring_accrual_back, bring_back, seal
from aggregates.credits.unapplied import spend_unapplied
from aggregates.credits.uncollectible import reinstate_advance, write_off_advance
from aggregates.credits.voiding import cancel, refund_correction, void

__all__ = [
    "asked_of",
    "credit_line",
    "owed_on_line",
    "reinstate_line",
    "release_promise",
    "unapplied_arises",
    "write_off_line",
    "fail_payment",
    "write_off_purchase",
    "owed",
    "is_paid",
    "bring_accrual_back",
    "bring_back",
    "write_off_advance",
    "reinstate_advance",
    "reverse_payment",
    "refund",
    "refund_correction",
    "receive_payment",
    "Allocation",
    "AllocationKind",
    "accrue_usage",
    "allocations",
    "authorize_invoice",
    "authorize_purchase",
    "cancel",
    "collect",
    "correct",
    "cover_advance",
    "corrections",
    "credit_invoice",
    "grant",
    "open_advance",
    "open_balance",
    "recognize",
    "recognize_accrual",
    "reinstate",
    "release_invoice",
    "reverse_recognition",
    "seal",
    "select",
    "settle_invoice",
    "spend_unapplied",
    "settle_purchase",
    "void",
    "write_off",
]
