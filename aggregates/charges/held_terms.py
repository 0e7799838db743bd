"""Which terms hold for usage of which time: those of an override from its start on, before it those it came after.

An override of usage that is invoiced in parts begins where the last issued part ends, or later (lifecycles §22 row 3).
What was issued keeps its terms, and so does usage of that time that is stored since: it is rated by them, with what
was issued under them, to a late adjustment (decision 24). Their minimum belongs to their whole period and is not
charged. Worked: 10 units by the 16th at 1 are an invoice of 10.00; then an override at 2 from the 16th on; 3 units of
the 12th, stored on the 20th, are 3.00.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from aggregates.charges.intent import UsageLayer
from aggregates.charges.kept import Kept
from aggregates.values.period import Instant, Period


class HeldTerms(Kept, frozen=True, kw_only=True):
    """Terms of usage at a version of the intent; `until`: where the last run ends that was issued under former ones."""

    layer: UsageLayer
    intent_version: int
    until: Instant | None = None

    @property
    def period(self) -> Period:
        """The time whose usage is charged by them."""
        whole = self.layer.service_period
        return Period(whole.from_, self.until or whole.to)

    def rates(self, service_period_to: Instant) -> bool:
        """Whether a run that ends there is rated by them; what is held beyond the end of the period is."""
        return self.layer.service_period.from_ < service_period_to and (
            self.until is None or service_period_to <= self.until
        )


def overridden(terms: Sequence[HeldTerms], ends: Iterable[Instant], by: UsageLayer) -> tuple[HeldTerms, ...]:
    """The former terms once an override follows: with the last ones, where a run of theirs ends before it begins.

    `terms` are those until now, the effective ones last, and `ends` those of the runs that are rated by the last.
    """
    until = max(ends, default=None)
    former = tuple(terms[:-1])
    if until is None or until > by.service_period.from_:
        return former
    return (*former, msgspec.structs.replace(terms[-1], until=until))
