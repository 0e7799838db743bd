"""`ledger.credits`: give or sell credit to a customer, and take back what is left of it.

Credit is granted by a purchase, which is a charge like any other: it has an id, a lifecycle and a history. A
promotional purchase is granted and final at once; an external one waits for its payment, and is granted before that
or with it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import msgspec

from aggregates.charges.events import PurchaseVoided
from aggregates.charges.intent import ChargeType, PurchaseLayer
from aggregates.charges.requests import PaymentStep
from aggregates.charges.state import Charge
from aggregates.credits import decisions as pools
from aggregates.credits.events import (
    CreditVoided,
    GrantCancelled,
    PaymentAdjustment,
    PurchasePaymentReversed,
    PurchasePaymentSettled,
)
from aggregates.credits.pool import CreditPool, Purchase
from aggregates.credits.requests import (
    CancelGrant,
    PurchasePayment,
    RefundCorrection,
    RefundPurchase,
    ReversePayment,
    Void,
    WriteOffAdvance,
)
from aggregates.event import DomainEvent, Stream
from aggregates.values.decimals import ZERO
from aggregates.values.errors import Findings, PreconditionFailed, RunNotFound
from aggregates.values.identifiers import GroupRef, pool_id
from aggregates.values.money import Currency
from aggregates.values.period import Instant, instant
from ledger import pools as covering
from ledger import validation
from ledger.advance import index
from ledger.charges import Charges
from ledger.commands import AmountInput
from ledger.context import CommandId, Context
from ledger.invoiced_sales import InvoicedSales
from ledger.pools import has_left, histories, whole_history
from ledger.units import Work


class Credits:
    """Grants and purchases of credit."""

    def __init__(self, context: Context, charges: Charges) -> None:
        self._context = context
        self._charges = charges
        self._sales = InvoicedSales(context, charges)

    def grant(
        self, customer: str, amount: object, currency: str = "USD", *, command_id: CommandId = None, **terms: Any
    ) -> Charge:
        """Give a customer promotional credit (ledger §6.1, lifecycles §11.1).

        Args:
            customer: Key of an existing customer.
            amount: Above zero, rounded to the currency's precision: "100" or "12.50".
            currency: ISO code or the code of a custom currency.
            command_id: Makes a retry safe.
            **terms: `priority` (1 is consumed first, 100 by default), `effective_at`, `expires_at` (exclusive),
                `features` (keys it is restricted to), `key` (unique per customer), `name`, `description`, `metadata`.

        What the customer owes for usage beyond its credit is covered first, oldest usage first (ledger §6.4).

        Raises:
            ValidationFailed: everything wrong with the input, at once; nothing was written.
            CustomerNotFound, CurrencyNotFound: when that alone is wrong.
            ReferenceInUse: `key` belongs to another purchase of the customer.
        """
        return self._purchase(customer, amount, currency, command_id, {"settlement": "promotional", **terms})

    def sell(
        self,
        customer: str,
        amount: object,
        currency: str = "USD",
        *,
        cost_basis: object,
        command_id: CommandId = None,
        **terms: Any,
    ) -> Charge:
        """Sell credit that is paid for outside (lifecycles §11.2): 100 at a cost basis of 0.5 costs 50.

        `settlement="invoice"` sells it by invoice instead (§11.3): the credit is granted as soon as its line is on one.
        `terms` as for `grant`, and `initial_status`: how far the payment is, "created", "authorized" or "settled";
        `availability`: the step that grants the credit, "on_creation", "on_authorization" or "on_settlement": from then
        on it can be spent, also where `effective_at` is earlier; `fiat_currency`: what a custom currency is paid in
        ("USD"). Report what happens to the payment with `record_payment`. Raises as `grant`.
        """
        asked = {"settlement": "external", "cost_basis": cost_basis, **terms}
        return self._purchase(customer, amount, currency, command_id, asked)

    def record_payment(
        self,
        purchase: UUID | str,
        step: PaymentStep | str,
        *,
        reason: str | None = None,
        command_id: CommandId = None,
    ) -> Charge:
        """Record what happened to the payment of a sold purchase (lifecycles §11.2, §13; decision 26).

        `step`: `authorized`, `paid`, `failed`, `cancelled` or `charged_back`, for a `reason` in words. When it came to
        nothing, unused credit is taken back and what was used stays owed: 100 at 0.5, charged back with 40 used: 60 are
        gone, 20.00 are owed. Then `retry_payment`, or `write_off_payment`; money that comes all the same is recorded.

        Raises `PaymentAlreadyAuthorized`, `PaymentAlreadySettled`, `NothingOwed`, `UnsupportedOperation`,
        `ValidationFailed`, `ChargeNotFound`, `PreconditionFailed` for credit that is sold by invoice.
        """
        return self._charges.record_payment(purchase, step, reason=reason, command_id=command_id)

    def retry_payment(self, purchase: UUID | str, *, command_id: CommandId = None) -> Charge:
        """Wait for a new payment of what is owed after one failed (decision 26).

        Raises `NothingOwed`, `UnsupportedOperation`, `ChargeNotFound`.
        """
        return self._charges.payments.retry(self._charges.get(purchase).id, command_id)

    def write_off_payment(self, purchase: UUID | str, *, command_id: CommandId = None) -> Charge:
        """Give up what is owed for used credit after its payment failed: bad debt (decisions 22, 26).

        The purchase is final then; money that comes later takes the write-off back. Doing it again does nothing.
        Raises `UnsupportedOperation`, `ChargeNotFound`.
        """
        return self._charges.payments.write_off(self._charges.get(purchase).id, command_id)

    def receive(self, purchase: UUID | str, amount: object, *, command_id: CommandId = None) -> Purchase:
        """Record money for a sold purchase as it came: part of its price, all of it, or more (decision 27).

        `amount`: fiat, above zero. When nothing is left to pay, the purchase is paid as by `record_payment`. What is
        too much stands as an open receivable above zero until it is refunded. Answers the purchase's totals.

        Raises `ValidationFailed`, `ChargeNotFound`, `PreconditionFailed` for credit that is not sold,
        or sold by invoice.
        """
        received = _amount(amount)
        self._sales.require_outside(purchase)

        def decide(pool: CreditPool, charge: Charge, dated: Dated) -> DomainEvent:
            cost = charge.resolved_cost_basis
            layer = charge.intent.effective
            if cost is None or not isinstance(layer, PurchaseLayer):
                raise PreconditionFailed(f"purchase {charge.id} is not paid for", charge.id)
            return pools.receive_payment(
                pool,
                PurchasePayment(
                    purchase=charge.id,
                    credit_amount=layer.credit_amount,
                    cost_basis=cost.rate,
                    fiat_amount=received,
                    fiat_currency=cost.fiat_currency,
                    features=layer.feature_filters,
                    booked_at=dated.now,
                    closed_until=dated.closed_until,
                ),
            )

        return self._on_purchase("receive", purchase, received, command_id, decide)

    def reverse_payment(self, purchase: UUID | str, amount: object = None, *, command_id: CommandId = None) -> Purchase:
        """Record that money received was taken back: it is owed again, and waited for; the credit stays.

        Report a payment as `charged_back` to take the unused credit back too. `amount`: fiat; absent, all that was
        received. Raises `NothingToReverse`, `ValidationFailed`, `ChargeNotFound`, and `PreconditionFailed` for credit
        that is sold by invoice.
        """
        self._sales.require_outside(purchase)
        taken = _amount(amount) if amount is not None else None
        return self._on_purchase(
            "reverse_payment",
            purchase,
            taken,
            command_id,
            lambda pool, charge, dated: pools.reverse_payment(
                pool,
                ReversePayment(purchase=charge.id, amount=taken, booked_at=dated.now, closed_until=dated.closed_until),
            ),
        )

    def refund(self, purchase: UUID | str, amount: object = None, *, command_id: CommandId = None) -> Purchase:
        """Give back what was paid for credit that was voided, or paid too much (ledger §6.8, decision 37).

        `amount`: fiat; absent, all there is to give back. What was paid by invoice is credited there where credit notes
        are on, and goes back once nothing of it is open where they are off. Raises `NothingToRefund`,
        `ValidationFailed`, `ChargeNotFound`, `PreconditionFailed`. 100 at 0.5, paid 50, 40 used, voided: 30.00 go back.
        """
        asked = _amount(amount) if amount is not None else None
        if self._sales.is_invoiced_here(purchase):
            self._sales.refund(purchase, asked, command_id)
            return self.purchase(purchase)
        return self._on_purchase(
            "refund",
            purchase,
            asked,
            command_id,
            lambda pool, charge, dated: pools.refund(
                pool,
                RefundPurchase(purchase=charge.id, amount=asked, booked_at=dated.now, closed_until=dated.closed_until),
            ),
        )

    def reduce(
        self,
        purchase: UUID | str,
        amount: object,
        *,
        payment_adjustment: PaymentAdjustment | str = PaymentAdjustment.REFUND,
        command_id: CommandId = None,
    ) -> Purchase:
        """Take back part of what is left of a purchase, and its price (ledger §17).

        100 sold at 0.5 and paid, 40 used, reduced by 20: 40 are left, and 10.00 go back. Credit that is sold by invoice
        is taken off its line too, paid or not, as `void` says; one that waits for its line can be reduced as well.
        Raises `ReductionExceedsUnused`, `NothingToVoid`, `ValidationFailed`, `ChargeNotFound`, `IssuedLineStands`.
        """
        less = _amount(amount, self._charges.get(purchase).currency)
        if self._sales.is_by_invoice(purchase):
            self._sales.take_back("reduce", purchase, less, payment_adjustment, command_id)
            return self.purchase(purchase)
        return self._take_back("reduce", purchase, less, payment_adjustment, command_id)

    def void(
        self,
        purchase: UUID | str,
        *,
        payment_adjustment: PaymentAdjustment | str = PaymentAdjustment.NONE,
        command_id: CommandId = None,
    ) -> Charge:
        """Take back what is left of a purchase (lifecycles §11.4). Voiding again answers the first result.

        `payment_adjustment`: `none` leaves what was paid standing; `reduce` asks no more for what was taken back;
        `refund` gives its price back too (decision 37).

        Credit that is sold by invoice is taken off its line with any of them: off what waits and off a draft; off an
        issued line by a credit note. What had been paid of it is unapplied credit then with `reduce`, paid back with
        `refund`, and stands on the invoice with `none` until it is refunded. Where credit notes are off, an issued line
        keeps its price: with `none`, and the others are refused. 100 at 0.5, issued, 40 used: a credit note of 30.00,
        and 20.00 are asked for.

        Raises `NothingToVoid`, `ChargeNotFound`, `ValidationFailed`, `IssuedLineStands`; `PreconditionFailed` where it
        is not granted yet (`cancel` it, or `reduce` it).
        """
        if self._sales.is_by_invoice(purchase):
            self._sales.take_back("void", purchase, None, payment_adjustment, command_id)
            return self._charges.get(purchase)
        if validation.choice(PaymentAdjustment, "payment_adjustment", payment_adjustment) is PaymentAdjustment.NONE:
            return self._charges.void_purchase(purchase, command_id=command_id)
        self._take_back("void", purchase, None, payment_adjustment, command_id)
        return self._charges.get(purchase)

    def cancel(self, purchase: UUID | str, *, command_id: CommandId = None) -> Charge:
        """Cancel a grant before it becomes effective, as if it had never been (ledger §6.8).

        One that is sold by invoice is never invoiced then, and is over. Raises `GrantAlreadyEffective` for one that is
        effective, in use or paid for (void it instead), `ChargeNotFound`.
        """

        def decide(pool: CreditPool, charge: Charge, dated: Dated) -> DomainEvent:
            if charge.grant is None and charge.payment is not None:
                message = f"purchase {charge.id} is paid for; report its payment as cancelled instead"
                raise PreconditionFailed(message, charge.id)
            return pools.cancel(pool, CancelGrant(purchase=charge.id, now=dated.now))

        self._on_purchase("cancel", purchase, None, command_id, decide)
        return self._charges.get(purchase)

    def write_off(
        self,
        customer: str,
        currency: str = "USD",
        *,
        amount: object = None,
        charge: UUID | str | None = None,
        command_id: CommandId = None,
    ) -> Decimal:
        """Give up usage beyond credit as uncollectible, oldest first; answers what advance is left (decision 22).

        `amount`, `charge`: narrow it; absent, everything that is owed. Raises `NothingToWriteOff`,
        `ValidationFailed`, `CustomerNotFound`, `CurrencyNotFound`.
        """
        asked = (customer, currency, amount, charge)
        return self._write_off("write_off", pools.write_off_advance, asked, command_id)

    def recover(
        self,
        customer: str,
        currency: str = "USD",
        *,
        amount: object = None,
        charge: UUID | str | None = None,
        command_id: CommandId = None,
    ) -> Decimal:
        """Take a write-off back: the usage is owed again, and the next purchase covers it. As `write_off`."""
        asked = (customer, currency, amount, charge)
        return self._write_off("recover", pools.reinstate_advance, asked, command_id)

    def cover_advance(self, customer: str, currency: str = "USD", *, command_id: CommandId = None) -> Decimal:
        """Let free credit take over usage beyond credit, oldest first; answers what advance is left (ledger §17).

        Credit and open advance lie side by side where a correction gave credit back: 4 are free, 10 of advance are
        open, and afterwards 6. A purchase would cover the same: advance that shares a feature with the credit, booked
        before it expires. The balance stays as it is; what was covered is revenue. Nothing to cover is no error.

        Raises `CustomerNotFound`, `CurrencyNotFound`.
        """
        self._context.look.customer(customer)
        found = self._context.look.currency(currency)
        stream = Stream("credit_pool", pool_id(self._context.namespace, customer, found.key), customer)

        def carry_out(work: Work) -> WriteOffAnswer:
            work.load(stream)
            covering.cover_advance(work, stream, None, _dated(self._context, work).closed_until)
            index(work)
            pool: CreditPool | None = work.draft.state(stream.id)
            return WriteOffAnswer(pool.uncovered_advance if pool is not None else ZERO)

        done = self._context.send(
            "credits.cover_advance", customer, found, command_id, answer=WriteOffAnswer, decide=carry_out
        )
        answer: WriteOffAnswer = done.answer
        return answer.left

    def refund_correction(
        self, customer: str, run: UUID | str, amount: object = None, *, command_id: CommandId = None
    ) -> Decimal:
        """Pay back credit that a run below zero gave, or a deletion, for what had been paid; answers what is left.

        `run`: the source of the credit, as `views.entries` has it. `amount`: all that is left of it where absent. 30
        given, 10 used: 20 go back at most; fbo -20, wash +20, and the receivable is as before (decision 20).

        Raises `CorrectionCreditExceeded`, also when there is none; `ValidationFailed`, `RunNotFound`,
        `CustomerNotFound`.
        """
        self._context.look.customer(customer)
        asked = _amount(amount) if amount is not None else None
        source = self._charges.run(run)
        if source.customer != customer:
            raise RunNotFound(source.id)
        stream = self._charges.get(source.charge_id).fiat_pool

        def carry_out(work: Work) -> WriteOffAnswer:
            pool: CreditPool | None = work.state(stream)
            dated = _dated(self._context, work)
            request = RefundCorrection(
                run=source.id, amount=asked, booked_at=dated.now, closed_until=dated.closed_until
            )
            known = pool if pool is not None else CreditPool.empty(self._charges.get(source.charge_id).invoice_currency)
            work.draft.emit(stream, pools.refund_correction(known, request))
            index(work)
            after: CreditPool = work.draft.state(stream.id)
            totals = after.purchases.get(source.id, Purchase())
            return WriteOffAnswer(sum((after.lots[lot].balance for lot in totals.lots if lot in after.lots), ZERO))

        done = self._context.send(
            "credits.refund_correction",
            customer,
            (source.id, asked),
            command_id,
            answer=WriteOffAnswer,
            decide=carry_out,
        )
        answer: WriteOffAnswer = done.answer
        return answer.left

    def purchase(self, purchase: UUID | str) -> Purchase:
        """What was granted, voided, authorized, received and refunded of a purchase, as the pool has it.

        Raises `ChargeNotFound`.
        """
        charge = self._charges.get(purchase)
        loaded = self._context.repository.load(charge.pool)
        state: CreditPool | None = loaded.state
        if state is not None and has_left(state, charge):
            state = whole_history(self._context.repository.store, charge.pool.id, loaded.version)
        known = state.purchases.get(charge.id) if state is not None else None
        return known if known is not None else Purchase()

    def list(self, customer: str) -> list[Charge]:
        """The purchases of a customer, in order of creation."""
        return [c for c in self._charges.list(customer) if c.charge_type is ChargeType.CREDIT_PURCHASE]

    def _take_back(
        self,
        name: str,
        purchase: UUID | str,
        amount: Decimal | None,
        payment_adjustment: PaymentAdjustment | str,
        command_id: CommandId,
    ) -> Purchase:
        adjustment = validation.choice(PaymentAdjustment, "payment_adjustment", payment_adjustment)

        def decide(pool: CreditPool, charge: Charge, dated: Dated) -> DomainEvent | None:
            request = Void(
                purchase=charge.id,
                amount=amount,
                booked_at=dated.now,
                payment_adjustment=adjustment,
                closed_until=dated.closed_until,
            )
            return pools.void(pool, request)

        return self._on_purchase(name, purchase, (amount, adjustment), command_id, decide)

    def _on_purchase(
        self, name: str, purchase: UUID | str, content: object, command_id: CommandId, decide: Deciding
    ) -> Purchase:
        """One event of the pool about a purchase; the charge moves with it where it is paid or taken back whole."""
        before = self._charges.get(purchase)
        if before.charge_type is not ChargeType.CREDIT_PURCHASE:
            raise PreconditionFailed(f"charge {before.id} is no credit purchase", before.id)

        def carry_out(work: Work) -> PurchaseAnswer:
            charge: Charge = work.state(before.stream)
            work.load(charge.pool)
            begun = work.draft.savepoint()
            event = decide(self._in_hand(work, charge), charge, _dated(self._context, work))
            if event is None:
                work.draft.rollback(begun)
            else:
                record = work.draft.emit(charge.pool, event)
                _follow(work, charge, event, GroupRef(record.stream, record.version))
                if isinstance(event, PurchasePaymentReversed):
                    self._charges.payments.no_longer_paid(work, charge)
                elif isinstance(event, PurchasePaymentSettled | CreditVoided):
                    self._charges.payments.paid_in_full(work, charge)
                elif isinstance(event, GrantCancelled) and charge.gathering_line is not None:
                    self._charges.payments.goes_on(work, charge)
            index(work)
            return PurchaseAnswer(charge.id)

        self._context.send(
            f"credits.{name}",
            before.customer,
            (before.id, content),
            command_id,
            answer=PurchaseAnswer,
            decide=carry_out,
        )
        return self.purchase(before.id)

    def _in_hand(self, work: Work, charge: Charge) -> CreditPool:
        """The pool of a purchase with its totals, brought back where they have left its state."""
        pool: CreditPool = work.draft.state(charge.pool.id) or CreditPool.empty(charge.currency)
        store, follower = self._context.repository.store, self._context.follower
        history = histories(work, store, follower, charge).get(charge.pool.id)
        event = pools.bring_back(pool, charge.id, history) if history is not None else None
        if event is not None:
            work.draft.emit(charge.pool, event)
            pool = work.draft.state(charge.pool.id)
        return pool

    def _write_off(
        self,
        name: str,
        decide: Callable[[CreditPool, WriteOffAdvance], DomainEvent],
        asked: tuple[str, str, object, UUID | str | None],
        command_id: CommandId,
    ) -> Decimal:
        customer, currency, amount, charge = asked
        self._context.look.customer(customer)
        found = self._context.look.currency(currency)
        of = self._charges.get(charge).id if charge is not None else None
        wanted = _amount(amount) if amount is not None else None
        stream = Stream("credit_pool", pool_id(self._context.namespace, customer, found.key), customer)

        def carry_out(work: Work) -> WriteOffAnswer:
            pool: CreditPool = work.state(stream) or CreditPool.empty(found)
            dated = _dated(self._context, work)
            request = WriteOffAdvance(charge=of, amount=wanted, booked_at=dated.now, closed_until=dated.closed_until)
            work.draft.emit(stream, decide(pool, request))
            index(work)
            return WriteOffAnswer(work.draft.state(stream.id).uncovered_advance)

        done = self._context.send(
            f"credits.{name}", customer, (found, of, wanted), command_id, answer=WriteOffAnswer, decide=carry_out
        )
        answer: WriteOffAnswer = done.answer
        return answer.left

    def pool(self, customer: str, currency: str = "USD") -> CreditPool:
        """The credit of a customer as decisions see it, right after any command: lots, and what is going on in them.

        Raises `CustomerNotFound`, `CurrencyNotFound`.
        """
        self._context.look.customer(customer)
        found = self._context.look.currency(currency)
        stream = Stream("credit_pool", pool_id(self._context.namespace, customer, found.key), customer)
        state: CreditPool | None = self._context.repository.load(stream).state
        return state if state is not None else CreditPool.empty(found)

    def _purchase(
        self, customer: str, amount: object, currency: str, command_id: CommandId, terms: dict[str, Any]
    ) -> Charge:
        request = self._charges.requests.purchase(customer, amount=amount, currency=currency, **terms)
        return self._charges.create([request], command_id=command_id)[0]


class PurchaseAnswer(msgspec.Struct, frozen=True):
    """What a receipt keeps of a command about a purchase."""

    purchase: UUID


class WriteOffAnswer(msgspec.Struct, frozen=True):
    """What a receipt keeps of a write-off or a cover: the advance that nobody has covered or given up since."""

    left: Decimal


class Dated(NamedTuple):
    """When a decision is made, and up to when the books are closed."""

    now: Instant
    closed_until: Instant | None


Deciding: TypeAlias = Callable[[CreditPool, Charge, Dated], DomainEvent | None]


def _dated(context: Context, work: Work) -> Dated:
    return Dated(instant(work.now), context.within(work).settings().closed_until)


def _follow(work: Work, charge: Charge, event: DomainEvent, group: GroupRef) -> None:
    """What the charge has to know of what its pool decided: that its credit was taken back."""
    if isinstance(event, CreditVoided | GrantCancelled) and charge.voided is None:
        pool: CreditPool = work.draft.state(charge.pool.id)
        known = pool.purchases.get(charge.id, Purchase())
        left = [pool.lots[lot].balance for lot in known.lots if lot in pool.lots]
        if not any(left):
            voided = PurchaseVoided(voided_at=work.now, amount=event.amount, ledger_group=group)
            work.draft.emit(charge.stream, voided)


def _amount(amount: object, currency: Currency | None = None) -> Decimal:
    """An amount as it came in: a decimal above zero that the currency holds, or everything that is wrong with it."""
    findings = Findings()
    command = validation.parse(AmountInput, findings, amount=amount)
    if command is not None and currency is not None and not currency.holds(command.amount):
        message = f"{command.amount:f} has more than the {currency.precision} decimals of {currency.code}"
        findings.add("amount", "too_many_decimals", message)
    validation.fail(findings)
    assert command is not None, "a command that cannot be read has findings"
    return command.amount
