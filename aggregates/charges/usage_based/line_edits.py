"""What the API may change of a line of usage, while its run can change: name, description, discounts (§22 row 6).

As for a flat fee, the line shows what the charge says: an edit is an override, or a change of a base that is managed by
hand, and the run is metered within its bounds and rated again. Worked: 15 units at 1 on a draft, 10 % discount
given to the line: 15.00 less 1.50.
"""

from __future__ import annotations

import msgspec

from aggregates.charges.events import BaseIntentAmended, OverrideSet, RunRerated
from aggregates.charges.intent import ManagedBy
from aggregates.charges.line_content import is_zero_overage, nothing_to_pay, show
from aggregates.charges.requests import UsageTerms
from aggregates.charges.turn import Turn
from aggregates.charges.usage_based.invoiced_patches import permit
from aggregates.charges.usage_based.lifecycle import rate_and_cover
from aggregates.charges.validation import validated_usage_override
from aggregates.invoices.effects import LineEditAsked
from aggregates.lifecycle import Trigger
from aggregates.values.errors import PreconditionFailed
from aggregates.values.period import Period


def edit_line(turn: Turn, asked: LineEditAsked) -> None:
    """Change the charge as the API wants its line to be (line_manual_edit, lifecycles §22 row 6).

    Refuses: a line that is not the current run's (`PreconditionFailed`); a status that does not permit it; discounts
    once an earlier part of the period was issued without them (`PreconditionFailed`); everything wrong with the edit.
    """
    charge, entry = turn.charge, turn.charge.current_run
    if entry is None or (entry.line_id, entry.invoice_id) != (asked.line_id, asked.invoice_id):
        raise PreconditionFailed(f"line {asked.line_id} is not the mutable line of charge {charge.id}", charge.id)
    permit(charge, Trigger.LINE_MANUAL_EDIT)
    assert (asked.period, asked.amount) == (None, None), f"line {asked.line_id}: usage is metered, not edited"
    if asked.discounts is not None and len(charge.rated_runs) > 1:
        message = f"discounts of charge {charge.id} hold for its whole period, of which a part was issued without them"
        raise PreconditionFailed(message, charge.id)
    changes = {
        field: value
        for field in ("name", "description", "metadata", "discounts")
        if (value := getattr(asked, field)) is not None
    }
    # The price is as it was, so that nobody has to know again what its meter can tell.
    terms = msgspec.structs.replace(UsageTerms.of(turn.usage), **changes)
    layer = validated_usage_override(terms, turn.facts, None)
    if layer == turn.usage:
        return

    if charge.identity.managed_by is ManagedBy.MANUAL and charge.intent.override is None:
        turn.emit(BaseIntentAmended(base=layer))
    else:
        turn.emit(OverrideSet(override=layer, advance_after=charge.advance_after))
    rate_and_cover(turn, entry.run_id)
    run, charge = turn.run(entry.run_id), turn.charge
    turn.emit(
        RunRerated(
            run_id=run.id,
            service_period=Period(run.service_period_from, run.service_period_to),
            no_fiat=nothing_to_pay(charge, run),
            zero_overage=is_zero_overage(charge, run),
        )
    )
    show(turn, run)
