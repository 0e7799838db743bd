"""Invoices and charges within one unit of work: what one asks of the other is carried out before anything is saved.

An invoice tells the charges of its lines what happened to it; a charge answers with what it asks of invoices, and so
on until it is quiet (lifecycles §4.3, §17). Whatever a charge needs to know to answer, a metered quantity above all, is
found here, right before it is told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from uuid import UUID

import msgspec

from aggregates.charges import decisions as deciding
from aggregates.charges import state as charge_state
from aggregates.charges.facts import Facts
from aggregates.charges.line_content import KINDS
from aggregates.charges.state import Charge
from aggregates.invoices import decisions as invoicing
from aggregates.invoices import rounds
from aggregates.invoices import state as invoice_state
from aggregates.invoices.documents import Party
from aggregates.invoices.effects import (
    ExcessReceived,
    InvoiceEffect,
    InvoiceNotice,
    LineCreated,
    LineNotice,
    SyncRequested,
    UnappliedCreditApplied,
    UnappliedCreditRefunded,
)
from aggregates.invoices.facts import InvoiceFacts, TaxNeeded
from aggregates.invoices.lifecycle import FAILED_AT
from aggregates.invoices.lines import LineTax
from aggregates.invoices.refusals import InvoiceNotFound
from aggregates.invoices.requests import NewInvoice, NewLine
from aggregates.invoices.state import Invoice
from aggregates.invoices.statuses import NothingDue
from aggregates.policies import CreditNotes, Invoicing
from aggregates.values.errors import (
    OUTAGES,
    ActiveRunAlreadyExists,
    ChargeNotFound,
    LedgerError,
    NoLines,
    PreconditionFailed,
    Unavailable,
)
from aggregates.values.money import Currency
from aggregates.values.period import Duration, Period
from ledger import unapplied
from ledger.advance import AdvancedIds, Advancer, FailedAdvance
from ledger.context import Context
from ledger.facts import FactFinder
from ledger.ports import TaxQuery
from ledger.units import Work

logger = logging.getLogger(__name__)

Notices = Sequence[InvoiceNotice]


class Rounds:
    """Makes, moves and settles invoices within units of work."""

    def __init__(self, context: Context, facts: FactFinder, advancer: Advancer) -> None:
        self._context = context
        self._facts = facts
        self._advancer = advancer

    # ── making invoices ──────────────────────────────────────────────────────────────────────────────────────

    def invoice_due(
        self,
        work: Work,
        customer: str,
        named: Iterable[UUID] | None = None,
        *,
        partly: bool = True,
    ) -> tuple[UUID, ...]:
        """Make invoices of everything of a customer that can be invoiced now, or of the named charges alone.

        One invoice a currency, its lines in order of creation of their charges. A charge whose last line is not issued
        yet waits for that. `partly`: whether usage may be invoiced before its period ends, where the profile lets it.
        Raises `PreconditionFailed` when invoices are made outside, `ActiveRunAlreadyExists` when everything waits for
        another invoice, `NoLines` when nothing is due, and what a charge refuses its line for.
        """
        if self._outside(work):
            raise PreconditionFailed("invoices are made outside, by whoever the effects of charges are delivered to")
        found, busy = self._billable(work, customer, named, partly=partly)
        if not found and busy is not None:
            raise ActiveRunAlreadyExists(busy.id, busy.current_run_id)
        if not found:
            raise NoLines(customer, work.now)
        return tuple(self._make(work, customer, group) for group in _by_currency(found))

    def invoice_willing(self, work: Work, customer: str) -> AdvancedIds:
        """The same for a worker, of what the clock has brought: a charge that refuses does not stop the others.

        It goes on gathering, keeps the record of why it refused, and is told of in the answer. Nothing due is no error.
        """
        if self._outside(work):
            return AdvancedIds()
        found, _ = self._billable(work, customer, None, partly=False)
        made: list[UUID] = []
        failed: list[FailedAdvance] = []
        for group in _by_currency(found):
            savepoint = work.draft.savepoint()
            try:
                made.append(self._make(work, customer, group))
            except OUTAGES:
                raise
            except LedgerError:
                work.draft.rollback(savepoint)
                refusals = {charge.id: self._refusal(work, customer, charge, period) for charge, period in group}
                willing = [(charge, period) for charge, period in group if refusals[charge.id] is None]
                if len(willing) == len(group):
                    raise  # it is not one of them that refuses
                for charge_id, refusal in refusals.items():
                    if refusal is not None:
                        deciding.note_failure(work.draft, charge_id, refusal)
                        failed.append(FailedAdvance(charge_id, refusal.code, str(refusal)))
                if willing:
                    made.append(self._make(work, customer, willing))
        return AdvancedIds(tuple(made), tuple(failed))

    def _refusal(self, work: Work, customer: str, charge: Charge, period: Period) -> LedgerError | None:
        """Why a charge would not go on an invoice of its own; nothing is kept of the attempt."""
        savepoint = work.draft.savepoint()
        try:
            self._make(work, customer, [(charge, period)])
        except OUTAGES:
            raise
        except LedgerError as refusal:
            return refusal
        finally:
            work.draft.rollback(savepoint)
        return None

    def _outside(self, work: Work) -> bool:
        return self._context.within(work).settings().policies.invoicing is Invoicing.OUTSIDE

    def _billable(
        self, work: Work, customer: str, named: Iterable[UUID] | None, *, partly: bool
    ) -> tuple[list[tuple[Charge, Period]], Charge | None]:
        progressive = partly and bool(self._context.within(work).profile(customer).progressive_billing)
        found: list[tuple[Charge, Period]] = []
        busy: Charge | None = None
        for charge in self._charges(work, customer, named, due=not partly):
            period = deciding.due_line(charge, work.now, progressive=progressive)
            if period is None:
                continue
            if charge.current_run_id is not None:
                busy = charge
            else:
                found.append((charge, period))
        return found, busy

    def _charges(self, work: Work, customer: str, named: Iterable[UUID] | None, *, due: bool = False) -> list[Charge]:
        """The named charges, or all that are not over, or of those the ones the clock has something to do for."""
        if named is None:
            until = work.now if due else None
            rows = self._context.repository.store.charges_of(self._context.namespace, customer, until, over=False)
            ids = [row.charge for row in rows]
        else:
            ids = list(named)
        streams = [charge_state.stream(charge_id, customer) for charge_id in ids]
        work.load(*streams)
        return [charge for stream in streams if (charge := work.draft.state(stream.id)) is not None]

    def _make(self, work: Work, customer: str, group: Sequence[tuple[Charge, Period]]) -> UUID:
        currency = group[0][0].invoice_currency
        facts = self.facts(work, customer, issuing=currency)
        lines = tuple(
            NewLine(
                charge_id=charge.id,
                kind=KINDS[charge.charge_type.value],
                content=deciding.provisional_line(charge, period),
                editable=charge.charge_type.value == "flat_fee",
            )
            for charge, period in group
        )
        request = NewInvoice(customer=customer, currency=currency, lines=lines)
        invoice_id, notices = invoicing.create(work.draft, request, facts)
        self.advance(work, customer, invoice_id, notices, facts)
        return invoice_id

    # ── moving them ──────────────────────────────────────────────────────────────────────────────────────────

    def advance(
        self, work: Work, customer: str, invoice_id: UUID, notices: Notices = (), facts: InvoiceFacts | None = None
    ) -> bool:
        """Move an invoice as far as it goes by itself; whether it moved."""
        known = facts or self.facts(work, customer, issuing=self.invoice(work, customer, invoice_id).currency)
        tell, tax = self._teller(work, customer), self._tax(work, customer, invoice_id, known)
        return rounds.advance(work.draft, invoice_id, known, tell, notices=notices, tax=tax)

    def repeat(self, work: Work, customer: str, invoice_id: UUID) -> bool:
        """Repeat the step of an invoice that failed; whether it came to anything else than the same failure.

        Nothing is kept of a repeat that failed for the same reasons. One that is not failing any more is left alone.
        """
        before = self.invoice(work, customer, invoice_id)
        if before.status not in FAILED_AT.values():
            return False
        savepoint = work.draft.savepoint()
        facts = self.facts(work, customer, issuing=before.currency)
        notices = invoicing.retry(work.draft, invoice_id, facts)
        self.advance(work, customer, invoice_id, notices, facts)
        after = self.invoice(work, customer, invoice_id)
        if (after.status, after.issues) != (before.status, before.issues):
            return True
        work.draft.rollback(savepoint)
        return False

    def deliver(self, work: Work, customer: str, notices: Notices, facts: InvoiceFacts) -> None:
        """Carry notices out, and what comes of them."""
        rounds.deliver(work.draft, notices, facts, self._teller(work, customer))

    def tell(self, work: Work, customer: str, notice: LineNotice) -> None:
        """Let a charge act upon what an invoice outside did; what it asks for in return is among its events."""
        self._answer(work, notice, self._facts.of_customer(work, customer), advancing=isinstance(notice, LineCreated))

    def settle(self, work: Work, customer: str) -> None:
        """Apply what charges have asked of invoices in this unit, and what comes of that (lifecycles §17.5)."""
        effects: list[InvoiceEffect] = work.draft.take_effects()
        if not effects:
            return
        facts = self.facts(work, customer)
        work.load(*(invoice_state.stream(effect.invoice_id, customer) for effect in effects))
        rounds.apply(work.draft, effects, facts, self._teller(work, customer))

    def collected(self, work: Work, customer: str) -> list[UUID]:
        """The invoices of a customer that wait for late usage no longer."""
        charges = self._charges(work, customer, None, due=True)
        ids = {run.invoice_id for charge in charges if (run := charge.current_run) is not None}
        streams = [invoice_state.stream(invoice_id, customer) for invoice_id in sorted(i for i in ids if i is not None)]
        work.load(*streams)
        found: list[Invoice] = [work.draft.state(stream.id) for stream in streams]
        return [each.id for each in found if each.advance_after is not None and each.advance_after <= work.now]

    def invoice(self, work: Work, customer: str, invoice_id: UUID) -> Invoice:
        """Put an invoice of the customer in hand. Raises `InvoiceNotFound`."""
        state: Invoice | None = work.state(invoice_state.stream(invoice_id, customer))
        if state is None or (state.customer, state.namespace) != (customer, self._context.namespace):
            raise InvoiceNotFound(invoice_id)
        return state

    def charge(self, work: Work, customer: str, charge_id: UUID) -> Charge:
        """Put a charge of the customer in hand. Raises `ChargeNotFound`."""
        state: Charge | None = work.state(charge_state.stream(charge_id, customer))
        if state is None or (state.customer, state.namespace) != (customer, self._context.namespace):
            raise ChargeNotFound(charge_id)
        return state

    def facts(self, work: Work, customer: str, *, issuing: Currency | None = None) -> InvoiceFacts:
        """What invoices of a customer may know.

        With a currency to be issued in: the number series in hand, and the invoices that left something unapplied.
        """
        look = self._context.within(work)
        profile, policies = look.profile(customer), look.settings().policies
        assert profile.zone is not None, "the built-in default has one"
        assert profile.payment_terms is not None, "the built-in default has them"
        credit_notes = policies.credit_notes is CreditNotes.ON
        facts = InvoiceFacts(
            now=work.now,
            mint=self._context.mint,
            seller=Party(name=self._context.namespace),
            buyer=Party(name=look.customer(customer).name, reference=customer),
            zone=profile.zone,
            auto_approve=bool(profile.auto_approve),
            payment_terms=Duration.parse(profile.payment_terms),
            credit_notes=credit_notes,
            nothing_due=NothingDue(policies.nothing_due.value),
        )
        if issuing is not None or credit_notes:
            work.load(*invoicing.series_needed(self._context.namespace, facts))
        if issuing is None:
            return facts
        left_over = unapplied.arisen(work, customer, issuing)
        work.load(*(invoice_state.stream(invoice_id, customer) for invoice_id in left_over))
        return msgspec.structs.replace(facts, unapplied_from=tuple(left_over), unapplied_in_books=left_over)

    def _tax(self, work: Work, customer: str, invoice_id: UUID, facts: InvoiceFacts) -> rounds.AskTax | None:
        """How the tax of an invoice is asked for, where somebody calculates it."""
        taxes = self._context.taxes
        if taxes is None:
            return None

        def ask(lines: Sequence[TaxNeeded]) -> Mapping[UUID, LineTax]:
            if not lines:
                return {}
            self._context.probe("invoice.tax")
            query = TaxQuery(
                namespace=self._context.namespace,
                customer=customer,
                invoice_id=invoice_id,
                currency=self.invoice(work, customer, invoice_id).currency,
                at=work.now,
                zone=facts.zone,
                lines=tuple(lines),
            )
            try:
                return taxes.taxes(query)
            except LedgerError:
                raise
            except Exception as failure:
                logger.warning("taxes of invoice %s could not be calculated", invoice_id, exc_info=True)
                raise Unavailable("the calculation of taxes", f"{type(failure).__name__}: {failure}") from failure

        return ask

    # ── telling charges ──────────────────────────────────────────────────────────────────────────────────────

    def _teller(self, work: Work, customer: str) -> Callable[[InvoiceNotice], Sequence[InvoiceEffect]]:
        facts = self._facts.of_customer(work, customer)

        def tell(notice: InvoiceNotice) -> Sequence[InvoiceEffect]:
            match notice:
                case SyncRequested():
                    self._context.probe("invoice.sync")
                    return ()
                case ExcessReceived():
                    unapplied.keep_excess(work, notice, facts.closed_until)
                    return ()
                case UnappliedCreditRefunded() | UnappliedCreditApplied():
                    unapplied.spend(work, notice, facts.closed_until)
                    return ()
                case LineCreated():
                    return self._answer(work, notice, facts, advancing=True)
                case _:
                    return self._answer(work, notice, facts, advancing=False)

        return tell

    def _answer(self, work: Work, notice: LineNotice, facts: Facts, *, advancing: bool) -> Sequence[InvoiceEffect]:
        """Let a charge act upon a notice, having advanced it first where it gets a line (lifecycles §17.3)."""
        stream = charge_state.stream(notice.charge_id, notice.customer)
        charge: Charge | None = work.state(stream)
        if charge is None:
            raise ChargeNotFound(notice.charge_id)
        asked: list[InvoiceEffect] = []
        if advancing:
            self._advancer.charge(work, charge.id, facts)
            asked += work.draft.take_effects()
            charge = work.draft.state(stream.id)
            assert charge is not None
        work.load(*deciding.streams_answering(charge, notice))
        asked += deciding.answer(work.draft, notice, self._facts.answering(work, charge, notice, facts))
        # A run below zero asks for credit notes over other invoices than the one that told it (run rating R14).
        work.load(*(invoice_state.stream(effect.invoice_id, notice.customer) for effect in asked))
        return asked


def invoices_of(charge: Charge | None) -> list[UUID]:
    """The invoices a charge has, or had, a line on."""
    if charge is None:
        return []
    ids = [entry.invoice_id for entry in charge.runs if entry.invoice_id is not None]
    lines = (*charge.former_lines, *([charge.linked_line] if charge.linked_line is not None else []))
    return [*ids, *(line.invoice_id for line in lines)]


def _by_currency(found: Iterable[tuple[Charge, Period]]) -> list[list[tuple[Charge, Period]]]:
    """What goes on one invoice, by the currency it is invoiced in."""
    groups: dict[str, list[tuple[Charge, Period]]] = {}
    for charge, period in found:
        groups.setdefault(charge.invoice_currency.key, []).append((charge, period))
    return list(groups.values())
