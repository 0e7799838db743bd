"""Usage beyond credit that nobody will pay for: given up, and owed again when money comes after all (decision 22).

The charge stays billed and its usage acknowledged; what was owed of unknown cost meets `bad_debt`. Advance that was
given up is backfilled by no purchase until it is taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from aggregates.credits.events import AdvanceWrittenOff, WrittenOffPart
from aggregates.credits.pool import CreditPool, Slice
from aggregates.credits.posting import Postings, not_before, opened, when
from aggregates.credits.refusals import NothingToWriteOff
from aggregates.credits.requests import WriteOffAdvance
from aggregates.journal import templates
from aggregates.journal.templates import When
from aggregates.values.decimals import ONE, ZERO, exact


@exact
def write_off_advance(pool: CreditPool, request: WriteOffAdvance) -> AdvanceWrittenOff:
    """Give up uncovered advance, oldest first: receivable[unknown] +x, bad_debt -x.

    Raises `NothingToWriteOff` when less is uncovered than asked for, or nothing. Advance 30, written off: the balance
    is 0 and bad debt 30; the usage stays billed.
    """
    return _write_off(pool, request, lambda item: item.uncovered, ONE)


@exact
def reinstate_advance(pool: CreditPool, request: WriteOffAdvance) -> AdvanceWrittenOff:
    """Take a write-off of advance back: bad_debt +x, receivable[unknown] -x. A purchase may cover it again."""
    return _write_off(pool, request, lambda item: item.written_off, -ONE)


def _write_off(
    pool: CreditPool, request: WriteOffAdvance, available: Callable[[Slice], Decimal], sign: Decimal
) -> AdvanceWrittenOff:
    request = opened(request)
    candidates = [
        item
        for key, realized in pool.charges.items()
        if request.charge in (None, key)
        for item in realized.slices.values()
        if item.lot is None and available(item) > 0
    ]
    candidates.sort(key=lambda item: (item.booked_at, item.sequence))
    there = sum((available(item) for item in candidates), ZERO)
    wanted = there if request.amount is None else pool.currency.rounded(request.amount)
    if wanted <= 0 or wanted > there:
        raise NothingToWriteOff(wanted, there)

    postings = Postings()
    parts: list[WrittenOffPart] = []
    left = wanted
    for item in candidates:
        share = min(left, available(item))
        if share <= 0:
            break
        at = not_before(when(request.booked_at, request), When(item.booked_at, item.accounted_at))
        route = templates.advance(pool.currency, item.features)
        postings.add(templates.write_off(route, share, at, spend=item.charge, undone=sign < 0))
        parts.append(WrittenOffPart(slice=item.sequence, charge=item.charge, amount=share * sign))
        left -= share
    return AdvanceWrittenOff(
        currency=pool.currency,
        charge=request.charge,
        amount=wanted * sign,
        booked_at=request.booked_at,
        parts=tuple(parts),
        transactions=postings.all(),
    )
