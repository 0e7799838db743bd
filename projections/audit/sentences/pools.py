"""What happened in a credit pool, in a sentence: where credit came from, where it went, and what was paid."""

from __future__ import annotations

from typing import TypeAlias, assert_never
from uuid import UUID

from aggregates.credits.events import (
    AccrualBroughtBack,
    AdvanceCovered,
    AdvanceWrittenOff,
    CreditCollected,
    CreditGranted,
    CreditPoolEvent,
    CreditReturned,
    CreditVoided,
    EarningsRecognized,
    GrantCancelled,
    InvoicePaymentAuthorized,
    InvoicePaymentSettled,
    InvoiceUsageAccrued,
    InvoiceUsageCredited,
    PaymentAdjustment,
    PurchaseBroughtBack,
    PurchaseCredited,
    PurchasePaymentAuthorized,
    PurchasePaymentFailed,
    PurchasePaymentReversed,
    PurchasePaymentSettled,
    PurchaseRefunded,
    PurchaseSettlement,
    PurchaseWrittenOff,
    ReceivableWrittenOff,
    RecognitionKind,
    RecognitionReversed,
    SegmentState,
    SettlementMode,
    SlicesSealed,
    UnappliedCreditArisen,
    UnappliedCreditSpent,
    UnappliedUse,
)
from aggregates.event import Recorded
from projections.audit import words
from projections.audit.known import Known

InvoiceEvent: TypeAlias = (
    InvoiceUsageAccrued | InvoicePaymentAuthorized | InvoicePaymentSettled | InvoiceUsageCredited | ReceivableWrittenOff
)


def sentence(record: Recorded[CreditPoolEvent], known: Known) -> str:
    """The sentence of one event of a credit pool."""
    pool = record.stream
    match record.body:
        case CreditGranted() as body:
            return _granted(body)
        case CreditCollected() as body:
            return _collected(body, pool, known)
        case CreditReturned() as body:
            return _returned(body, pool, known)
        case PurchasePaymentAuthorized() | PurchasePaymentSettled() as body:
            return _paid(body)
        case PurchasePaymentReversed() | PurchaseRefunded() | PurchaseWrittenOff() as body:
            return _money_gone(body)
        case PurchaseCredited() | UnappliedCreditArisen() as body:
            return _credited(body)
        case PurchasePaymentFailed() as body:
            return _payment_failed(body)
        case AdvanceCovered() | AdvanceWrittenOff() as body:
            return _of_advance(body, pool, known)
        case EarningsRecognized() | RecognitionReversed():
            return _of_revenue(record.body)
        case CreditVoided() as body:
            return _voided(body)
        case GrantCancelled() as body:
            gone = words.clause(" of ", words.amount(body.amount, body.currency) if body.amount else "")
            return f"Scheduled grant {words.short(body.purchase)}{gone} cancelled before it became effective"
        case UnappliedCreditSpent() as body:
            return _spent(body)
        case SlicesSealed() | PurchaseBroughtBack() | AccrualBroughtBack() as body:
            return _kept(body)
        case _ as body:
            return _of_invoice(body)


def _paid(body: PurchasePaymentAuthorized | PurchasePaymentSettled) -> str:
    verb = "authorised" if isinstance(body, PurchasePaymentAuthorized) else "received"
    paid = words.amount(body.fiat_amount, body.fiat_currency)
    bought = words.amount(body.credit_amount, body.currency)
    return f"Payment of {paid} {verb} for purchase {words.short(body.purchase)} of {bought}"


def _of_revenue(body: EarningsRecognized | RecognitionReversed) -> str:
    figure = words.amount(body.amount, body.currency)
    if isinstance(body, RecognitionReversed):
        return f"{figure} of revenue taken back{_charges(body)}"
    kind = "paid for by credit" if body.kind is RecognitionKind.CREDIT else "invoiced"
    return f"Recognised {figure} of revenue, {kind}{_charges(body)}{_schedule(body)}"


def _of_advance(body: AdvanceCovered | AdvanceWrittenOff, pool: UUID, known: Known) -> str:
    figure = words.amount(body.amount.copy_abs(), body.currency)
    if isinstance(body, AdvanceCovered):
        covered = dict.fromkeys(part.charge for part in body.parts if part.charge)
        whose = words.clause(" of ", words.listed(f"charge {words.short(charge)}" for charge in covered))
        return f"{figure} from {known.lot(pool, body.lot)} cover usage beyond credit{whose}"
    if body.amount < 0:
        return f"{figure} of usage beyond credit{_for(body.charge)} owed again: its write-off was taken back"
    return f"{figure} of usage beyond credit{_for(body.charge)} written off as uncollectible"


def _spent(body: UnappliedCreditSpent) -> str:
    where = f"of unapplied credit of invoice {words.short(body.invoice)}"
    figure = words.amount(body.amount, body.currency)
    match body.use:
        case UnappliedUse.APPLIED:
            to = f"invoice {words.short(body.to_invoice)}" if body.to_invoice else "another invoice"
            return f"{figure} {where} set against {to}"
        case UnappliedUse.REFUNDED:
            return f"{figure} {where} paid back"
        case UnappliedUse.GRANTED:
            return f"{figure} {where} turned into credit"


def _kept(body: SlicesSealed | PurchaseBroughtBack | AccrualBroughtBack) -> str:
    if isinstance(body, AccrualBroughtBack):
        line = words.clause(" on line ", words.short(body.line) if body.line is not None else "")
        return f"{words.amount(body.amount, body.currency)} invoiced{line} needed again: read back from the history"
    if isinstance(body, PurchaseBroughtBack):
        return f"Purchase {words.short(body.purchase)} is needed again: its totals were read back from the history"
    counts = {
        "collected part": len(body.slices),
        "expired lot": len(body.lots),
        "paid line": len(body.accruals),
        "purchase": len(body.purchases),
    }
    parts = [f"{count} {what}{'s' if count != 1 else ''}" for what, count in counts.items() if count]
    if not parts and not body.final:
        return "Nothing put away"
    if not parts:
        return f"{words.listed(f'charge {words.short(charge)}' for charge in body.final)} final, credit still to follow"
    return f"{words.listed(parts)} put away: corrections of them read the history"


def _granted(body: CreditGranted) -> str:
    by = f"by purchase {words.short(body.purchase)}" if body.purchase else "as an opening balance"
    free = " (promotional)" if body.settlement is PurchaseSettlement.PROMOTIONAL else ""
    ends = words.clause(", expiring ", words.moment(body.expires_at) if body.expires_at else "")
    only = words.clause(", only for ", words.listed(body.route.features))
    covered = words.total(element.amount for element in body.backfill)
    took_over = f"; {words.amount(covered, body.currency)} of it covers earlier advance" if covered else ""
    return (
        f"Granted {words.amount(body.amount, body.currency)} {by}{free}, effective"
        f" {words.moment(body.effective_at)}{ends}{only}{took_over}"
    )


def _collected(body: CreditCollected, pool: UUID, known: Known) -> str:
    currency = body.currency
    parts = [
        f"{currency.rounded(one.amount):f} " + ("as advance" if one.lot is None else f"from {known.lot(pool, one.lot)}")
        for one in body.slices
    ]
    if body.shortfall and body.mode is SettlementMode.CREDIT_THEN_INVOICE:
        parts.append(f"{currency.rounded(body.shortfall):f} left to be invoiced")
    collected = words.total(one.amount for one in body.slices)
    return f"Collected {words.amount(collected, currency)}{_for(body.charge)}: {words.listed(parts)}"


def _returned(body: CreditReturned, pool: UUID, known: Known) -> str:
    parts: list[str] = []
    for part in body.parts:
        figure = f"{body.currency.rounded(part.amount):f}"
        if part.state is SegmentState.ADVANCE_WRITTEN_OFF:
            parts.append(f"{figure} of advance that had been written off")
        elif part.state is SegmentState.ADVANCE_UNCOVERED:
            parts.append(f"{figure} of advance nobody had covered")
        else:
            parts.append(f"{figure} to {known.lot(pool, part.lot)}")
    return f"Gave back {words.amount(body.amount, body.currency)}{_for(body.charge)}: {words.listed(parts)}"


def _money_gone(body: PurchasePaymentReversed | PurchaseRefunded | PurchaseWrittenOff) -> str:
    money, purchase = words.amount(body.fiat_amount, body.fiat_currency), words.short(body.purchase)
    match body:
        case PurchasePaymentReversed():
            return f"Payment of {money} for purchase {purchase} taken back; it is owed again"
        case PurchaseRefunded():
            return f"{money} refunded of purchase {purchase}"
        case PurchaseWrittenOff() if body.fiat_amount < 0:
            figure = words.amount(body.fiat_amount.copy_abs(), body.fiat_currency)
            return f"{figure} for purchase {purchase} owed again: its write-off was taken back"
        case PurchaseWrittenOff():
            return f"{money} owed for purchase {purchase} written off as uncollectible"
        case _ as unreachable:
            assert_never(unreachable)


def _credited(body: PurchaseCredited | UnappliedCreditArisen) -> str:
    purchase = words.short(body.purchase)
    if isinstance(body, UnappliedCreditArisen):
        money = words.amount(body.amount, body.currency)
        return f"{money} paid for purchase {purchase} are unapplied credit of invoice {words.short(body.invoice)}"
    told = (
        f"{words.amount(body.adjusted, body.currency)} are not to be paid any more" if body.adjusted else "",
        f"{words.amount(body.freed, body.fiat_currency)} that were paid are the customer's" if body.freed else "",
        f"{words.amount(body.released, body.fiat_currency)} authorised will not come" if body.released else "",
    )
    return f"Line of purchase {purchase} credited: {words.listed(told)}"


def _payment_failed(body: PurchasePaymentFailed) -> str:
    fiat = body.fiat_currency
    told = (
        f"{words.amount(body.amount, body.currency)} taken back" if body.amount else "",
        f"{words.amount(body.reversed, fiat)} received went back" if body.reversed else "",
        f"{words.amount(body.released, fiat)} authorised will not come" if body.released else "",
        f"{words.amount(body.fiat_owed, fiat)} is owed for what was used" if body.fiat_owed else "nothing is owed",
    )
    return f"Payment of purchase {words.short(body.purchase)} came to nothing: {words.listed(told)}"


def _voided(body: CreditVoided) -> str:
    fiat = None if body.currency.is_custom else body.currency
    match body.payment_adjustment:
        case PaymentAdjustment.NONE:
            payment = ""
        case PaymentAdjustment.REDUCE:
            payment = "; what is still to be paid for it shrinks"
        case PaymentAdjustment.REFUND:
            payment = f"; {words.amount(body.refunded, fiat)} of what was paid goes back"
    left = words.amount(body.amount, body.currency)
    if body.of_run:
        return f"Correction credit of run {words.short(body.purchase)} paid back: {left}"
    return f"Voided grant {words.short(body.purchase)}: {left} left of it taken back{payment}"


def _of_invoice(body: InvoiceEvent) -> str:
    figure = words.amount(body.amount.copy_abs(), body.currency)
    whose = _for(body.charge)
    match body:
        case InvoiceUsageAccrued():
            return f"{figure}{whose} acknowledged as owed, to be invoiced"
        case InvoicePaymentAuthorized():
            return f"Payment of {figure}{whose} authorised"
        case InvoicePaymentSettled():
            return f"Payment of {figure}{whose} received"
        case InvoiceUsageCredited():
            return f"Credit note over {figure}{whose}"
        case ReceivableWrittenOff(amount=amount):
            if amount < 0:
                return f"Write-off of {figure}{whose} taken back, because money came after all"
            return f"{figure}{whose} written off as uncollectible"
        case _ as unreachable:
            assert_never(unreachable)


def _for(charge: UUID | None) -> str:
    return f" for charge {words.short(charge)}" if charge else ""


def _schedule(body: EarningsRecognized) -> str:
    """Until when the revenue is spread that was booked ahead."""
    ahead = [part.booked_at for part in body.parts if part.booked_at > body.booked_at]
    return f", in {len(body.parts)} parts until {words.moment(max(ahead))}" if ahead else ""


def _charges(body: EarningsRecognized | RecognitionReversed) -> str:
    charges = dict.fromkeys(part.charge for part in body.parts if part.charge)
    return words.clause(" for ", words.listed(f"charge {words.short(charge)}" for charge in charges))
