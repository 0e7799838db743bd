"""What earlier events have said that later sentences need: currencies, and which grant a lot belongs to.

An event names a lot of its pool by number; people know a grant by its purchase and its expiry. `Known` learns both
from the events that come by, and a figure nobody has explained yet is said without the explanation.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from aggregates.charges.events import ChargeCreated
from aggregates.credits.events import CreditGranted, CreditReturned
from aggregates.event import AnyRecorded
from aggregates.invoices.events import InvoiceDrafted
from aggregates.runs.events import InvoiceUsageAccrued, RealizationRunStarted
from aggregates.values.money import Currency
from aggregates.values.period import Instant
from projections.audit import words


class Lot(NamedTuple):
    """A lot as people know it: credit of a purchase, with its expiry."""

    purchase: UUID | None
    expires_at: Instant | None

    @property
    def called(self) -> str:
        """The grant and its expiry: grant 019a3b2c…9f1e expiring 2026-02-01."""
        grant = f"grant {words.short(self.purchase)}" if self.purchase else "an opening balance"
        return f"{grant} expiring {words.moment(self.expires_at)}" if self.expires_at else grant


class Known:
    """Currencies by charge, run and invoice, lots by pool."""

    def __init__(self) -> None:
        self._currencies: dict[UUID, Currency] = {}
        self._fiat: dict[UUID, Currency] = {}
        self._lots: dict[tuple[UUID, int], Lot] = {}

    def learn(self, record: AnyRecorded) -> None:
        """Take in what the event says."""
        stream = record.stream
        match record.body:
            case ChargeCreated(identity=identity):
                self._currencies[stream] = identity.currency
            case RealizationRunStarted(currency=currency) | InvoiceDrafted(currency=currency):
                self._currencies[stream] = currency
            case InvoiceUsageAccrued(currency=fiat):
                self._fiat[stream] = fiat
            case CreditGranted() as granted:
                self._lots[stream, granted.lot] = Lot(granted.purchase, granted.expires_at)
            case CreditReturned(restored_lots=restored):
                self._lots |= {(stream, lot.sequence): Lot(lot.source, lot.expires_at) for lot in restored}
            case _:
                pass

    def currency(self, stream: UUID) -> Currency | None:
        """The currency of a charge, run or invoice, if its first event came by."""
        return self._currencies.get(stream)

    def fiat(self, run: UUID) -> Currency | None:
        """The currency a run was invoiced in, once it was."""
        return self._fiat.get(run)

    def lot(self, pool: UUID, lot: int | None) -> str:
        """What a lot is called."""
        known = self._lots.get((pool, lot)) if lot is not None else None
        return known.called if known is not None else f"lot {lot}"
