"""Policies: where the reference's behaviour is not what everyone would accept, the choice has a name.

A namespace records its policies as an event; a customer's profile may override those marked (c).
`Policies.reference()` plays the conformance vectors; `Policies.standard()` is the default of a new ledger
(decisions A). Policies join this record together with the rules that read them.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from aggregates.values.decimals import parse_decimal, text
from aggregates.values.period import Duration


class UsageCreditCut(StrEnum):
    """Which credit is live for usage of a period that ends at T; booking stays at T in both cases.

    A January grant that expires on 1 February at midnight, January usage of 30: under `period_end` the grant has
    expired at the cut and the 30 become advance; under `last_second` the grant was live in the last second of the
    period and pays the 30.
    """

    PERIOD_END = "period_end"
    """effective at or before T, expiring strictly after T (ledger §6.2)."""
    LAST_SECOND = "last_second"
    """effective before T, expiring at or after T (decisions A)."""


class RunEngine(StrEnum):
    """What the lines of a run look like that corrects earlier ones (run rating, parts II and III); sums are the same.

    Volume price, up to 15 units at 10, above at 5 for all; 15 units are invoiced as 150, then there are 16. `delta`
    books +16 at 5 and −15 at 10 with no word on what the −15 takes back; `invoice_compatible_delta` makes each negative
    line the reversal of one booked line, so that it fits on a credit note.
    """

    DELTA = "delta"
    INVOICE_COMPATIBLE_DELTA = "invoice_compatible_delta"


class Arithmetic(StrEnum):
    """How rating rounds and divides where the reference's arithmetic is doubtful (rating §14: W1, W5-W8, W10, W11).

    Three tiers that cost 0.005 each: `reference` rounds every line and bills 0.03; `exact` lets the lines sum to the
    rounded sum of the price, 0.02.
    """

    REFERENCE = "reference"
    EXACT = "exact"


class ShrinkOverIssued(StrEnum):
    """What happens to usage that was invoiced beyond the new end of a period, where no credit note is possible (c).

    January to April was invoiced with 12 units, 4 of them in April; the charge is shrunk to the end of March.
    `replace`: the run is invalid and March is billed again, 8 + 3 units on top of the invoice that stands. `hold`: the
    intent changes and nothing is billed twice.
    """

    REPLACE = "replace"
    HOLD = "hold"


class CreditNotes(StrEnum):
    """Whether issued lines can be corrected: with `off` an invoice that should change is only warned about."""

    OFF = "off"
    ON = "on"


class NothingDue(StrEnum):
    """What becomes of an issued invoice with figures and nothing to pay: 5.00 of usage, 5.00 of credit, 0.00 due."""

    PAID = "paid"
    """It is paid as soon as it is issued: there is nobody to wait for."""
    PENDING = "pending"
    """It waits for a payment report like any other."""


class RecognizeCredit(StrEnum):
    """When usage that credit paid for becomes revenue (ledger §6.6).

    January usage of 30 paid from credit: under `when_used` the save that books it moves 30 from accrued to earnings,
    dated in January; under `never` the 30 stay in accrued until somebody recognises them by hand.
    """

    NEVER = "never"
    """Only when it is asked for."""
    WHEN_USED = "when_used"
    """After every grant and every advance, in the same save, for the date of the usage (lifecycles §15.3)."""


class Invoicing(StrEnum):
    """Who makes invoices: this ledger, or a system outside that is told what to invoice and tells what it did.

    Under `inside` a flat fee of 31.00 that is due becomes INV-000001 by itself; under `outside` the request for it is
    an event that is delivered from the log, and the fee waits to be told of its line, its issue and its payment.
    """

    INSIDE = "inside"
    OUTSIDE = "outside"


class RunCuts(StrEnum):
    """How many runs usage of one period makes that is settled from credit only (c).

    30 of credit expire on 20 January, 100 never do; 2 units of 1 USD are used every day of January. `period_end`: one
    run of 62 at the end of the month, which the 100 pay; the 30 have lapsed. `lot_bounds`: a run of 38 up to 20
    January, which takes the 30 first, and one of 24 for the rest.
    """

    PERIOD_END = "period_end"
    LOT_BOUNDS = "lot_bounds"
    """A run ends wherever credit that may pay for it begins or expires: credit alive at the time of use pays."""


class LateUsageAction(StrEnum):
    """What is done about usage that is stored after the final run (decisions A)."""

    NONE = "none"
    BILL = "bill"
    ABSORB = "absorb"
    ASK = "ask"


class LateUsage(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What becomes of usage stored after the final run of its period (c): a late adjustment (run rating R13), or not.

    January was billed with 100 units of 1 USD; 3 units of January arrive in March. `none`: they stay unbilled, and can
    be listed. `bill`: a late adjustment of 3.00. `absorb:5.00`: nothing is charged, as 3.00 is not above 5.00; 6 units
    would be charged whole. `ask`: they are listed until somebody bills or dismisses them. What the customer is owed,
    an adjustment below zero, is settled under all but `none` and `ask`. `up_to` is in the currency of the charge.
    """

    action: LateUsageAction
    up_to: Decimal | None = None

    @staticmethod
    def parse(said: str) -> LateUsage:
        """`none`, `bill`, `absorb:5.00`, `ask`. Raises `ValueError` for anything else."""
        name, _, amount = said.partition(":")
        absorbs = name == LateUsageAction.ABSORB
        if name not in set(LateUsageAction) or absorbs is not bool(amount):
            msg = f"{said!r} is not a policy of late usage, like bill, none, ask or absorb:5.00"
            raise ValueError(msg)
        up_to = parse_decimal(amount) if amount else None
        if up_to is not None and up_to <= 0:
            msg = f"{amount!r} is nothing to absorb; write none, or an amount above zero"
            raise ValueError(msg)
        return LateUsage(LateUsageAction(name), up_to)

    def __str__(self) -> str:
        return self.action.value if self.up_to is None else f"{self.action.value}:{text(self.up_to)}"


class RecognizeInvoiced(StrEnum):
    """When invoiced value that no credit paid for becomes revenue.

    A fee of 31.00 for January, in advance, issued on 1 January: `never` leaves 31.00 in accrued; `on_issue` moves them
    to earnings with the issue; `over_service_period` moves 1.00 a day. Usage and fees in arrears are recognised at
    their accounting date, the last second of the period, under both.
    """

    NEVER = "never"
    ON_ISSUE = "on_issue"
    OVER_SERVICE_PERIOD = "over_service_period"
    """Straight line by day of the service period for what is paid in advance (decisions A)."""


class OfferReleasedCredit(StrEnum):
    """Whether credit that a correction gives back covers the oldest open advance at once (c; lifecycles §22 row 18).

    10 of advance are open; a correction gives 4 back. `off`: 4 are free and 10 stay open until somebody buys credit;
    `on`: 6 stay open.
    """

    OFF = "off"
    ON = "on"


class Policies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One named bundle of choices. What a namespace recorded before a choice existed reads as the reference's.

    `restored_credit_grace`: how long credit lives that a correction of ours gives back after its expiry: until
    max(its expiry, return + grace), counted in the customer's zone. 10 that expired on 10
    January are given back on 20 January: under `P0D` they expire as they return, under `P30D` they can be used until
    19 February (decisions A; ledger §6.7).

    `correction_horizon`: slices booked longer ago than this leave the state of the pool; correcting them still works
    and reads the pool's history (decision 40). Credit that expired before it can no longer pay for late usage.

    `periodic_runs`: usage settled from credit only makes a run this often, counted from the start of its period in the
    customer's zone, so that a long period takes credit as it goes (c; lifecycles §22 row 4). `P0D` is off. Under `P7D`
    usage of January has runs that end on the 8th, 15th, 22nd, 29th and on 1 February.
    """

    usage_credit_cut: UsageCreditCut
    recognize_credit: RecognizeCredit = RecognizeCredit.NEVER
    restored_credit_grace: Duration = Duration()
    correction_horizon: Duration = Duration(days=400)
    run_engine: RunEngine = RunEngine.DELTA
    rating_arithmetic: Arithmetic = Arithmetic.REFERENCE
    shrink_over_issued: ShrinkOverIssued = ShrinkOverIssued.REPLACE
    credit_notes: CreditNotes = CreditNotes.OFF
    nothing_due: NothingDue = NothingDue.PENDING
    run_cuts: RunCuts = RunCuts.PERIOD_END
    late_usage: LateUsage = LateUsage(LateUsageAction.NONE)
    recognize_invoiced: RecognizeInvoiced = RecognizeInvoiced.NEVER
    periodic_runs: Duration = Duration()
    offer_released_credit: OfferReleasedCredit = OfferReleasedCredit.OFF
    invoicing: Invoicing = Invoicing.INSIDE

    @staticmethod
    def reference() -> Policies:
        """The reference's behaviour, number for number."""
        return Policies(
            usage_credit_cut=UsageCreditCut.PERIOD_END,
            run_engine=RunEngine.DELTA,
            shrink_over_issued=ShrinkOverIssued.REPLACE,
            credit_notes=CreditNotes.OFF,
            nothing_due=NothingDue.PENDING,
            recognize_credit=RecognizeCredit.NEVER,
            restored_credit_grace=Duration(),
            run_cuts=RunCuts.PERIOD_END,
            late_usage=LateUsage(LateUsageAction.NONE),
            recognize_invoiced=RecognizeInvoiced.NEVER,
        )

    @staticmethod
    def standard() -> Policies:
        """What a customer, a controller and an auditor would accept: the default of every new ledger."""
        return Policies(
            usage_credit_cut=UsageCreditCut.LAST_SECOND,
            run_engine=RunEngine.INVOICE_COMPATIBLE_DELTA,
            shrink_over_issued=ShrinkOverIssued.HOLD,
            credit_notes=CreditNotes.ON,
            nothing_due=NothingDue.PAID,
            recognize_credit=RecognizeCredit.WHEN_USED,
            restored_credit_grace=Duration(days=30),
            run_cuts=RunCuts.LOT_BOUNDS,
            late_usage=LateUsage(LateUsageAction.BILL),
            recognize_invoiced=RecognizeInvoiced.OVER_SERVICE_PERIOD,
        )


PER_CUSTOMER = (
    "usage_credit_cut",
    "run_engine",
    "run_cuts",
    "shrink_over_issued",
    "late_usage",
    "periodic_runs",
    "offer_released_credit",
)
"""The policies that a customer's profile may override, by the names they have in both."""
