"""What every period of a charge should hold, from boundaries and snapshots alone (run rating R11).

The epochs are the intervals between all boundaries known inside the charge: the periods of live runs, of the lines
still outstanding, and of the run being rated. Each epoch is rated from zero and gets what the earlier ones do not hold.
Rating twice gives the same, for nothing but boundaries and quantities goes in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise

import msgspec

from aggregates.rating.lines import REGULAR, DetailedLine
from aggregates.rating.prices import VOLUME, Price, TieredPrice
from aggregates.rating.requests import PriorRun, RateOptions, Rater, RunToRate, SnapshotAt
from aggregates.rating.subtract import NOTHING, combined, has_money
from aggregates.values.decimals import ONE, ZERO
from aggregates.values.period import Instant, Period

Component = tuple[str, str, str, Decimal | None]
"""Pricer reference, category, payment term, per-unit amount; without the last where it is a rated amount."""

Holdings = dict[Component, DetailedLine]


def boundaries(run: RunToRate, priors: Iterable[PriorRun], outstanding: Iterable[DetailedLine]) -> list[Instant]:
    """Every boundary inside `[start of the charge, end of the run]`, in order."""
    start, end = run.service_period.from_, run.period.to
    moments = {start, run.period.from_, end}
    for period in [*(prior.period for prior in priors), *(line.service_period for line in outstanding)]:
        if period is not None:
            moments.update((period.from_, period.to))
    return sorted(moment for moment in moments if start <= moment <= end)


def expected_by_epoch(
    run: RunToRate,
    bounds: Sequence[Instant],
    snapshot_at: SnapshotAt,
    rater: Rater,
) -> dict[Period, Holdings]:
    """What each epoch should hold, component by component."""
    held: dict[Period, Holdings] = {}
    for from_, to in pairwise(bounds):
        epoch = Period(from_, to)
        options = RateOptions(ignore_minimum_commitment=to < run.service_period.to)
        rated = components(rater(snapshot_at(to), epoch, options), run.price, rated_amounts_apart=False)
        held[epoch] = _epoch_share(rated, list(held.values()), run.price, epoch)
    return held


def components(lines: Iterable[DetailedLine], price: Price, *, rated_amounts_apart: bool = True) -> Holdings:
    """Lines folded by component. Per-unit amounts that are rated amounts tell lines apart only if asked for."""
    folded: Holdings = {}
    for line in lines:
        component = component_of(line, price, rated_amounts_apart=rated_amounts_apart)
        first = folded.get(component)
        folded[component] = line if first is None else combined(first, line, 1)
    return folded


def component_of(line: DetailedLine, price: Price, *, rated_amounts_apart: bool = True) -> Component:
    """The component a line belongs to."""
    apart = rated_amounts_apart or not (price.rates_amounts and line.category == REGULAR)
    return (
        line.pricer_reference_id,
        line.category,
        line.payment_term,
        line.per_unit_amount if apart else None,
    )


def _epoch_share(rated: Holdings, earlier: list[Holdings], price: Price, epoch: Period) -> Holdings:
    """What an epoch gets of what is rated up to its end; takes repriced components off the earlier epochs."""
    share: Holdings = {}
    is_volume = isinstance(price, TieredPrice) and price.mode == VOLUME
    still_regular = any(line.category == REGULAR for line in rated.values())
    order = [*rated, *dict.fromkeys(c for holdings in earlier for c in holdings if c not in rated)]
    for component in order:
        parts = [holdings[component] for holdings in earlier if component in holdings]
        now = rated.get(component)
        if now is None and is_volume and still_regular:
            _remove(component, earlier)
            continue
        if not parts:
            assert now is not None
            share[component] = now
            continue
        line = _difference(now, parts, price, epoch)
        if not has_money(line.totals):
            continue
        if is_sign_coherent(line):
            share[component] = line
            continue
        _remove(component, earlier)
        if now is not None:
            share[component] = now
    return share


def _remove(component: Component, earlier: Iterable[Holdings]) -> None:
    for holdings in earlier:
        holdings.pop(component, None)


def _difference(now: DetailedLine | None, parts: list[DetailedLine], price: Price, epoch: Period) -> DetailedLine:
    """What is rated now less what earlier epochs hold; nothing rated now is an empty component."""
    if now is None:
        line = msgspec.structs.replace(
            parts[0], quantity=ZERO, totals=NOTHING, amount_discounts=(), service_period=epoch
        )
    else:
        line = now
    for part in parts:
        line = combined(line, part, -1)
    if price.rates_amounts and line.category == REGULAR:
        amount = line.totals.amount
        quantity = ONE if amount > 0 else -ONE if amount < 0 else ZERO
        line = msgspec.structs.replace(line, quantity=quantity, per_unit_amount=abs(amount))
    return line


def is_sign_coherent(line: DetailedLine) -> bool:
    """Whether quantity, amounts and every discount point one way, so that the line fits on a document (R10)."""
    t = line.totals
    figures = [t.amount, t.charges_total, t.discounts_total, t.total]
    for discount in line.amount_discounts:
        figures += [discount.amount, discount.rounding_amount]
    if line.quantity > 0:
        return all(figure >= 0 for figure in figures)
    return line.quantity < 0 and all(figure <= 0 for figure in figures)
