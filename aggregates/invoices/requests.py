"""What can be asked of invoices, as it is handed in; `decisions.py` says all that is wrong with it at once."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.invoices.lines import LineContent, LineKind, ManagedBy
from aggregates.rating.prices import Discounts
from aggregates.values.money import Currency
from aggregates.values.period import Period


class NewLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line to be made for a charge: from its gathering line, or by hand.

    `content` is provisional (name, period) until the charge answers. `line_id` is minted where it is absent.
    `editable`: whether the API may edit and delete the line; lines of purchases never are (lifecycles §11.3).
    """

    charge_id: UUID
    kind: LineKind
    content: LineContent
    line_id: UUID | None = None
    managed_by: ManagedBy = ManagedBy.CHARGE
    editable: bool = False


class NewInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice to be made of these lines; all in one fiat currency, one line a charge."""

    customer: str
    currency: Currency
    lines: tuple[NewLine, ...]
    description: str | None = None


class LineEdit(msgspec.Struct, frozen=True, kw_only=True):
    """What the API wants changed of a line; what is absent stays as it is. Discounts are of usage."""

    name: str | None = None
    description: str | None = None
    period: Period | None = None
    amount: Decimal | None = None
    metadata: dict[str, str] | None = None
    discounts: Discounts | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a step did not succeed: the code and sentence of the refusal, and the line it came from, if any."""

    code: str
    message: str
    line_id: UUID | None = None


class PaymentReport(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody reports of a payment. `amount` absent: all that is meant, to the last unit.

    `currency` is the key of the reported currency, absent: the invoice's. `reference` is the reporter's own id of the
    payment: the same reference and amount again changes nothing.
    """

    amount: Decimal | None = None
    currency: str | None = None
    reference: str | None = None


class LineCredit(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a line to take back, before tax; all that is left of it when `amount` is absent."""

    line_id: UUID
    amount: Decimal | None = None
