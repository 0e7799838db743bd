"""Time that was billed twice: an invoice that stands, and a run that billed a part of its period again.

That is what shrinking over an issued line does under `shrink_over_issued = replace` where credit notes are impossible
(lifecycles §22 row 22): the line stays on its invoice, its run counts no more, and the charge bills again.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period
from ledger.answers import COUNTS
from projections.prior_runs import PRIOR_RUNS
from projections.runs import RunRow
from projections.stores.tables import Reader, Where


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """A period of a charge that two runs have billed. `amount` and `amount_again` are what each run rated, in full.

    `invoice` is the one that stands and could not be credited; `invoice_again` is absent while the second run has none.
    """

    charge: UUID
    customer: str
    currency: Currency
    period: Period
    run: UUID
    invoice: UUID | None
    amount: Decimal
    run_again: UUID
    invoice_again: UUID | None
    amount_again: Decimal


def overlaps_of(reader: Reader, namespace: str, customer: str | None) -> Iterator[Overlap]:
    """All overlaps, in the order in which the standing runs were started."""
    where = [Where("namespace", "=", namespace), Where("invalidated_at", "present")]
    where += [Where("customer", "=", customer)] if customer is not None else []
    for standing in reader.select(PRIOR_RUNS, where, order=("created_position",)):
        counting = [Where("charge", "=", standing.charge), *COUNTS]
        for again in reader.select(PRIOR_RUNS, counting, order=("created_position",)):
            if again.created_position > standing.created_position:
                yield from _overlap(standing, again)


def _overlap(standing: RunRow, again: RunRow) -> Iterator[Overlap]:
    from_ = max(standing.service_period_from, again.service_period_from)
    to = min(standing.service_period_to, again.service_period_to)
    if from_ >= to:
        return
    custom = standing.currency if standing.currency != standing.currency_code else None
    yield Overlap(
        charge=standing.charge,
        customer=standing.customer,
        currency=Currency(standing.currency_code, standing.currency_precision, custom),
        period=Period(Instant(from_), Instant(to)),
        run=standing.run,
        invoice=standing.invoice,
        amount=standing.amount,
        run_again=again.run,
        invoice_again=again.invoice,
        amount_again=again.amount,
    )
