"""What belongs together was saved together: the charge's side of a step, the run's, and the pool's (lifecycles §19.4).

Credit on a run names the posting group it came from; that group is an event of the same save, about the same charge
and run, over the same parts. The same holds of a purchase and its grant, payments and voiding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from aggregates.charges import events as c
from aggregates.credits import events as e
from aggregates.credits.allocation import allocations
from aggregates.event import AnyRecorded
from aggregates.runs import events as r
from aggregates.values.decimals import EXACT
from aggregates.values.identifiers import GroupRef
from ledger.audit.check import Check, Seen
from ledger.audit.postings import total_of


class Side(NamedTuple):
    """What one event says of a step, to be compared with what its counterpart says."""

    what: str
    expected: Any
    found: Any


class Together(Check):
    """Both sides of a step are in one save and say the same: credit of runs, purchases, opening and voiding of runs."""

    name = "together"

    def save(self, rows: Sequence[Seen]) -> None:
        """Look for the counterpart of every event that has one."""
        records = [seen.record for seen in rows if seen.record is not None]
        groups = {
            GroupRef(each.stream, each.version): each for each in records if isinstance(each.body, e.CreditPoolEvent)
        }
        named: set[GroupRef] = set()
        for seen in rows:
            if seen.record is None:
                continue
            for side in (*self._of_group(seen.record, groups, named), *_of_run(seen.record, records)):
                self.looked_at()
                if side.expected != side.found:
                    self.find(seen.place, f"{side.what} differ", expected=side.expected, found=side.found)
        for group, record in groups.items():
            moves = not isinstance(record.body, e.AccrualBroughtBack)
            if group not in named and moves and getattr(record.body, "run", None) is not None:
                place = f"stream {group.pool}, version {group.version}"
                self.find(
                    place, "credit moved for a run that does not know", expected="an event of the run", found=None
                )

    def _of_group(
        self, record: AnyRecorded, groups: Mapping[GroupRef, AnyRecorded], named: set[GroupRef]
    ) -> Iterator[Side]:
        """The sides of a step that name a posting group."""
        for group in groups_named(record.body):
            pool = groups.get(group)
            if pool is None:
                yield Side("posting group and save", f"an event of pool {group.pool}, version {group.version}", None)
            else:
                named.add(group)
                yield from _sides(record, group, pool.body)


def groups_named(body: Any) -> list[GroupRef]:
    """The posting groups an event names, each once."""
    match body:
        case r.CreditsAllocated(allocations=parts) | r.FiatOverageCreditsAllocated(allocations=parts):
            return list(dict.fromkeys(part.ledger_group for part in parts))
        case r.CreditsCorrected(corrections=parts) | r.FiatOverageCreditsCorrected(corrections=parts):
            return list(dict.fromkeys(part.ledger_group for part in parts))
        case c.CreditsGranted() | c.PaymentAuthorized() | c.PaymentSettled() | c.PurchaseVoided():
            return [body.ledger_group]
        case c.PaymentFailed() | c.PaymentReversed() | c.PaymentWrittenOff():
            return [body.ledger_group] if body.ledger_group is not None else []
        case r.InvoiceUsageAccrued() | r.RunPaymentAuthorized() | r.RunPaymentSettled() | r.RunPaymentFailed():
            return [body.ledger_group] if body.ledger_group is not None else []
        case r.RunWrittenOff() | r.RunReinstated() | r.RunCredited() | r.CorrectionCredited():
            return [body.ledger_group] if body.ledger_group is not None else []
        case _:
            return []


def _sides(record: AnyRecorded, group: GroupRef, pool: e.CreditPoolEvent) -> Iterator[Side]:
    """What an event says of its posting group, and what the group says itself."""
    match record.body, pool:
        case (r.CreditsAllocated() | r.FiatOverageCreditsAllocated()) as body, e.CreditCollected():
            yield Side("runs", record.stream, pool.run)
            of_pool = [(part.id, part.amount, part.kind.value) for part in allocations(pool)]
            of_run = [
                (part.id, part.amount, part.source.value) for part in body.allocations if part.ledger_group == group
            ]
            yield Side("allocations", of_pool, of_run)
        case (r.CreditsCorrected() | r.FiatOverageCreditsCorrected()) as body, e.CreditReturned():
            yield Side("runs", record.stream, pool.run)
            of_run_ = _by_allocation(
                (p.corrects, EXACT.minus(p.amount)) for p in body.corrections if p.ledger_group == group
            )
            yield Side("corrections", _by_allocation((part.allocation, part.amount) for part in pool.parts), of_run_)
        case c.CreditsGranted() as body, e.CreditGranted():
            yield Side("purchases", record.stream, pool.purchase)
            yield Side("granted amounts", (pool.amount, pool.currency), (body.amount, body.currency))
        case c.PaymentAuthorized() as body, e.PurchasePaymentAuthorized():
            yield Side("purchases", record.stream, pool.purchase)
            of_pool_ = (pool.fiat_amount, pool.fiat_currency)
            yield Side("authorised amounts", of_pool_, (body.fiat_amount, body.fiat_currency))
        case c.PaymentAuthorized() | c.PaymentSettled(), e.PurchasePaymentSettled() | e.CreditVoided():
            # Money that came in parts pays the price: with the last of them, or when the rest is asked for no more.
            yield Side("purchases", record.stream, pool.purchase)
        case c.PurchaseVoided() as body, e.CreditVoided():
            yield Side("purchases", record.stream, pool.purchase)
            yield Side("voided amounts", pool.amount, body.amount)
        case c.PurchaseVoided() as body, e.GrantCancelled():
            yield Side("purchases", record.stream, pool.purchase)
            yield Side("cancelled amounts", pool.amount, body.amount)
        case _:
            yield from _unpaid(record, pool)


def _unpaid(record: AnyRecorded, pool: e.CreditPoolEvent) -> Iterator[Side]:
    """What a purchase says of a payment that came to nothing, and what the pool booked of that."""
    match record.body, pool:
        case c.PaymentFailed() as body, e.PurchasePaymentFailed():
            yield Side("purchases", record.stream, pool.purchase)
            yield Side("amounts taken back", pool.amount, body.amount)
            yield Side("owed amounts", pool.fiat_owed, body.fiat_owed)
        case (
            c.PaymentReversed(),
            e.PurchasePaymentReversed()
            | e.PurchasePaymentFailed()
            | e.PurchaseCredited()
            | e.UnappliedCreditArisen()
            | e.PurchaseWrittenOff()
            | e.CreditVoided(),
        ):
            # Money or a promise went back; or a line was credited, or is owed again after a write-off.
            yield Side("purchases", record.stream, pool.purchase)
        case c.PaymentWrittenOff() as body, e.PurchaseWrittenOff():
            yield Side("purchases", record.stream, pool.purchase)
            yield Side("written off amounts", pool.fiat_amount, body.fiat_amount)
        case _:
            yield from _invoiced(record, pool)


def _invoiced(record: AnyRecorded, pool: e.CreditPoolEvent) -> Iterator[Side]:
    """What a run says of its invoiced total and of the money for it, and what the pool booked of that."""
    match record.body, pool:
        case r.InvoiceUsageAccrued() as body, e.InvoiceUsageAccrued():
            yield Side("runs", record.stream, pool.run)
            yield Side("accrued amounts", (pool.line, pool.amount), (body.line_id, body.totals.total))
        case r.RunPaymentAuthorized() as body, e.InvoicePaymentAuthorized():
            yield Side("runs", record.stream, pool.run)
            yield Side("authorised amounts", pool.amount, body.fiat_amount)
        case r.RunPaymentFailed() as body, e.InvoicePaymentAuthorized():
            yield Side("runs", record.stream, pool.run)
            yield Side("released amounts", pool.amount, EXACT.minus(body.released))
        case r.RunPaymentSettled() as body, e.InvoicePaymentSettled():
            yield Side("runs", record.stream, pool.run)
            yield Side("settled amounts", pool.amount, body.fiat_amount)
        case r.RunWrittenOff() as body, e.ReceivableWrittenOff():
            yield Side("runs", record.stream, pool.run)
            yield Side("written off amounts", pool.amount, body.fiat_amount)
        case r.RunReinstated() as body, e.ReceivableWrittenOff():
            yield Side("runs", record.stream, pool.run)
            yield Side("reinstated amounts", pool.amount, EXACT.minus(body.fiat_amount))
        case r.RunCredited() as body, e.InvoiceUsageCredited():
            yield Side("runs", record.stream, pool.run)
            yield Side("credited amounts", pool.amount, body.fiat_amount)
        case r.CorrectionCredited() as body, e.CreditGranted():
            yield Side("runs", record.stream, pool.purchase)
            yield Side("correction credits", (pool.amount, pool.currency), (body.amount, body.currency))
        case body, _:
            yield Side("kinds of event", f"the posting group of a {body.NAME}", pool.NAME)


def _by_allocation(parts: Iterator[tuple[UUID, Decimal]]) -> dict[UUID, Decimal]:
    sums: dict[UUID, Decimal] = {}
    for allocation, amount in parts:
        sums[allocation] = total_of((sums.get(allocation, EXACT.create_decimal(0)), amount))
    return sums


def _of_run(record: AnyRecorded, records: Sequence[AnyRecorded]) -> Iterator[Side]:
    """Opening and voiding a run: the charge's event and the run's own."""

    def bodies(run: UUID, kind: type) -> list[Any]:
        return [each.body for each in records if each.stream == run and isinstance(each.body, kind)]

    match record.body:
        case c.RealizationRunOpened() as opened:
            bounds = (
                record.stream,
                opened.type,
                opened.service_period_from,
                opened.service_period_to,
                opened.collection_end,
            )
            started = [
                (each.charge_id, each.type, each.service_period_from, each.service_period_to, each.stored_at_lt)
                for each in bodies(opened.run_id, r.RealizationRunStarted)
            ]
            yield Side("opened and started runs", [bounds], started)
        case c.RunVoidNoted() as noted:
            reasons = [each.reason for each in bodies(noted.run_id, r.RunVoided)]
            yield Side("noted and voided runs", [noted.reason], reasons)
        case _:
            return
