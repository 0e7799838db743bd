"""A new price for what is not billed yet, through the library, over every store (lifecycles §22 row 3).

January at 1 USD a call, invoiced in parts: 15 calls by the 16th are issued, 4 more come after. From the 16th on a call
costs 2: the first invoice stands at 15.00, the second asks for 8.00.
"""

from __future__ import annotations

from typing import Any

import pytest

from aggregates.invoices.statuses import InvoiceStatus
from aggregates.policies import Policies
from aggregates.values.errors import OverridesBilledUsage, PreconditionFailed, ValidationFailed
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.prices import unit
from tests.application.scenes import at, january_charge, opened, used

END = "2026-02-01T00:00:00Z"


def billed_to_the_16th(ledger: Ledger) -> Any:
    """The charge, its first part issued."""
    ledger.customers.create("acme", progressive_billing=True)
    ledger.catalogue.define_meter("calls")
    ledger.catalogue.define_feature("calls", meter="calls")
    charge = january_charge(ledger, settlement_mode="credit_then_invoice")
    used(ledger, "15", "2026-01-10T00:00:00Z")
    at(ledger, "2026-01-16T00:00:00Z")
    ledger.charges.advance("acme")
    ledger.invoices.invoice_pending_lines("acme")
    at(ledger, "2026-01-16T00:01:00Z")
    ledger.worker.run_once()
    used(ledger, "4", "2026-01-20T00:00:00Z")
    return charge


def override(ledger: Ledger, charge: Any, begins: str) -> Any:
    return ledger.charges.set_override(charge.id, service_period={"from_": begins, "to": END}, price=unit("2"))


def test_what_was_issued_stands_and_the_rest_has_the_new_price(store_url: str) -> None:
    with opened(store_url, policies=Policies.standard()) as ledger:
        charge = billed_to_the_16th(ledger)

        override(ledger, charge, "2026-01-16T00:00:00Z")
        at(ledger, "2026-01-25T00:00:00Z")
        preview = ledger.live.balance("acme").impacts
        at(ledger, "2026-02-03T00:01:00Z")
        ledger.worker.run_once()
        ledger.worker.run_once()

        assert [impact.amount for impact in preview] == [8]
        assert [invoice.totals.total for invoice in ledger.invoices.list("acme")] == [15, 8]
        assert ledger.invoices.list("acme")[-1].status is InvoiceStatus.PAYMENT_PENDING
        assert ledger.audit.verify().findings == ()


def test_an_override_that_reaches_back_is_refused_by_name(store_url: str) -> None:
    with opened(store_url, policies=Policies.standard()) as ledger:
        charge = billed_to_the_16th(ledger)

        with pytest.raises(OverridesBilledUsage) as refused:
            override(ledger, charge, "2026-01-15T00:00:00Z")

        assert refused.value.code == "overrides_billed_usage"
        assert refused.value.billed_until == timestamp("2026-01-16T00:00:00Z")


def test_under_the_reference_policies_terms_hold_once_anything_is_billed(store_url: str) -> None:
    with opened(store_url) as ledger:
        charge = billed_to_the_16th(ledger)

        with pytest.raises(PreconditionFailed):
            override(ledger, charge, "2026-01-16T00:00:00Z")


def test_the_line_of_usage_can_be_named_and_discounted_while_it_waits(store_url: str) -> None:
    """4 calls at 1 USD less a quarter are 3.00 (lifecycles §22 row 6)."""
    with opened(store_url, policies=Policies.standard()) as ledger:
        ledger.customers.create("acme")
        ledger.catalogue.define_meter("calls")
        ledger.catalogue.define_feature("calls", meter="calls")
        january_charge(ledger, settlement_mode="credit_then_invoice")
        used(ledger, "4", "2026-01-20T00:00:00Z")
        at(ledger, END)
        ledger.worker.run_once()
        [draft] = ledger.invoices.list("acme")
        [line] = draft.lines

        ledger.invoices.edit_line(
            draft.id, line.line_id, name="Calls of January", discounts={"percentage": {"percentage": "25"}}
        )
        with pytest.raises(ValidationFailed) as refused:
            ledger.invoices.edit_line(draft.id, line.line_id, amount="1")
        at(ledger, "2026-02-03T00:01:00Z")
        ledger.worker.run_once()

        [issued] = ledger.invoices.list("acme")
        assert refused.value.codes == ("not_editable",)
        assert (issued.lines[0].content.name, issued.totals.total) == ("Calls of January", 3)
        assert issued.status is InvoiceStatus.PAYMENT_PENDING
        assert ledger.audit.verify().findings == ()
